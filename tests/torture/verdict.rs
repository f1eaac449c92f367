//! What must be so in the end. A breach is told in a sentence; there shall be none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use scgi_tests::process;

use crate::blows::Dealt;
use crate::clients::Work;
use crate::dice::pause;
use crate::rollers::Rolled;
use crate::world::{App, Holdings, World};

/// How much the daemon's memory may grow, whatever it went through: its journal fills up to a bound,
/// and what was freed is not always given back.
const GROWTH_MAX_BYTES: u64 = 12 << 20;

/// Why workers may end.
const ORDERLY: [&str; 2] = ["rolled", "scaled_down"];

/// How often and how far apart something is looked at until it is as it should be.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(50);

/// What was found while the daemon lived.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    pub(crate) breaches: Vec<String>,
    pub(crate) before: Holdings,
    pub(crate) after: Holdings,
}

/// Looks at everything that can be seen while the daemon lives, once nobody asks any more.
pub(crate) fn look(
    world: &World,
    before: Holdings,
    work: &[Work],
    rolled: &[Rolled],
    dealt: &Dealt,
) -> Findings {
    let mut breaches: Vec<_> = rolled.iter().flat_map(|one| one.failed.clone()).collect();
    breaches.extend(dealt.breaches.clone());
    let all: Vec<&Work> = work.iter().chain(rolled.iter().map(|one| &one.work)).collect();
    breaches.extend(all.iter().flat_map(|work| work.words.clone()));
    let failures: u64 = all.iter().map(|work| work.failures).sum();
    if failures > 0 {
        breaches.push(format!("{failures} requests failed"));
    }
    world.until_at_rest();
    for (app, asked) in answered(&all) {
        let counted = settled_count(world, app, asked);
        if counted != asked {
            let name = app.name();
            breaches.push(format!("{name}: clients had {asked} answers, {counted} are counted"));
        }
        breaches.extend(aborted(world, app));
        breaches.extend(unasked(world, app));
    }
    // What is held is compared between equals.
    world.roll_everybody();
    let after = world.holdings();
    breaches.extend(left_over(world, before, after));
    Findings { breaches, before, after }
}

/// What the daemon holds and should not, in words.
fn left_over(world: &World, before: Holdings, after: Holdings) -> Vec<String> {
    let mut breaches = Vec::new();
    let wanted: usize = App::ALL.iter().map(|app| app.processes_at_rest()).sum();
    let there = world.daemon.staff().len();
    if there != wanted {
        breaches.push(format!("{there} processes belong to the daemon, {wanted} to its apps"));
    }
    let dead = unburied(world.daemon.pid());
    if !dead.is_empty() {
        breaches.push(format!("the daemon has not buried {dead:?}"));
    }
    if after.descriptors > before.descriptors {
        breaches.push(format!(
            "the daemon has {} descriptors and had {} before: {}",
            after.descriptors,
            before.descriptors,
            descriptors(world.daemon.pid())
        ));
    }
    if after.memory_bytes > before.memory_bytes + GROWTH_MAX_BYTES {
        let kib = |bytes| bytes / 1024;
        let (before, after) = (kib(before.memory_bytes), kib(after.memory_bytes));
        breaches.push(format!("the daemon takes {after} KiB and took {before} KiB before"));
    }
    breaches
}

fn answered(all: &[&Work]) -> BTreeMap<App, u64> {
    let mut sums = BTreeMap::new();
    for work in all {
        *sums.entry(work.app).or_default() += work.answered;
    }
    sums
}

/// How many requests to `app` the metrics count, once that is as many as were `asked`; or does not
/// become so.
fn settled_count(world: &World, app: App, asked: u64) -> u64 {
    let mut counted = 0;
    for _ in 0..LOOKS {
        counted = world.daemon.requests_counted(app.name());
        if counted == asked && world.daemon.look(app.name()).requests == asked {
            break;
        }
        // The last page is read a moment later.
        pause(LOOK);
    }
    counted
}

/// Requests that workers began and did not finish, in words.
fn aborted(world: &World, app: App) -> Option<String> {
    let series = format!("scgid_aborted_requests_total{{app=\"{}\"}}", app.name());
    let count = world.daemon.metric(&series).unwrap_or_default();
    (count > 0.0).then(|| format!("{}: {count} requests were aborted", app.name()))
}

/// Workers that ended in another way than they should, in words: nobody asked for a death.
fn unasked(world: &World, app: App) -> Vec<String> {
    let series = format!("scgid_worker_exits_total{{app=\"{}\",reason=\"", app.name());
    let text = world.daemon.metrics();
    let exits = text.lines().filter_map(|line| line.strip_prefix(&series)?.split_once("\"} "));
    let unasked = exits.filter(|(reason, count)| !ORDERLY.contains(reason) && *count != "0");
    unasked.map(|(why, count)| format!("{}: {count} workers ended: {why}", app.name())).collect()
}

/// Children that have ended and were not waited for, once there is none; or does not come to be none.
fn unburied(daemon: i32) -> Vec<i32> {
    let mut dead = Vec::new();
    for _ in 0..LOOKS {
        dead = process::descendants(daemon);
        dead.retain(|pid| !process::is_alive(*pid));
        if dead.is_empty() {
            break;
        }
        pause(LOOK);
    }
    dead
}

/// What the descriptors of a process are, so that the one too many is found.
fn descriptors(pid: i32) -> String {
    let folder = Path::new("/proc").join(pid.to_string()).join("fd");
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.display().to_string();
        *kinds.entry(target.split(':').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let words: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    words.join(", ")
}

/// Ends the daemon; what is wrong with that, and who is left over.
pub(crate) fn end(world: World) -> Vec<String> {
    let mut staff = world.daemon.staff();
    let ended = world.stop();
    let mut breaches = Vec::new();
    if !ended.is_in_order() {
        breaches.push(format!("the daemon ended with {}", ended.status));
    }
    staff.retain(|pid| process::is_alive(*pid));
    if !staff.is_empty() {
        breaches.push(format!("workers are left over: {staff:?}"));
    }
    breaches
}
