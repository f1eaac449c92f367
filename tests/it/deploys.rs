//! Broken deploys, each on each kind of pool: the configuration is changed, the change is taken over,
//! and nothing comes of it but words.
//!
//! While it fails clients ask without pause. Afterwards a sound deploy has to go through.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;

use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Load, Said, Site};

/// How many rows are tried at once; the machine may have few processors.
const AT_ONCE: usize = 6;

/// Clients at once: more than workers, so that whoever is new is asked too, however busy the others.
const CLIENTS: usize = 8;

/// A launch may start so many workers in the time it takes to be given up; those of a minute are
/// bounded by them, since a launch that was given up is not tried again.
const STARTS_MAX: u64 = 20;

/// The usual budget of deaths, which is what a deploy may cost that only shows itself by its first
/// requests.
const BUDGET: usize = 5;

/// What becomes of a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its generation is held.
    Held,
    /// The same, after requests were lost to it.
    HeldAtACost,
    /// The configuration is refused, and no worker was started.
    Refused,
}

/// A way to break a deploy.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    /// What stands in place of the sound `run` and the sound `listen`.
    run: &'static str,
    listen: &'static str,
    /// How long it may take to get ready. Short only where that is the point: a machine may be busy.
    patience: &'static str,
    end: End,
}

const SOUND: Row = Row {
    name: "sound",
    run: "[$unruly, serve]",
    listen: "$dir/b.sock",
    patience: "30s",
    end: End::Held,
};

const ROWS: [Row; 11] = [
    Row { name: "exit 1 at once", run: "[$unruly, exit, '1']", ..SOUND },
    Row { name: "exit 100", run: "[$unruly, exit, '100']", ..SOUND },
    Row { name: "hangs before READY", run: "[$unruly, silent]", patience: "300ms", ..SOUND },
    Row {
        name: "crashes on its first request",
        run: "[$unruly, brittle]",
        end: End::HeldAtACost,
        ..SOUND
    },
    Row { name: "SIGSEGV at start", run: "[$unruly, segv]", ..SOUND },
    Row { name: "missing program", run: "[$dir/no-program]", end: End::Refused, ..SOUND },
    Row { name: "missing interpreter", run: "[$dir/script]", end: End::Refused, ..SOUND },
    Row { name: "missing interpreter of env", run: "[$dir/script-of-env]", ..SOUND },
    Row { name: "unwritable directory", listen: "/proc/b.sock", end: End::Refused, ..SOUND },
    Row { name: "port taken", listen: "$dir/taken.sock", end: End::Refused, ..SOUND },
    Row { name: "bad YAML", run: "[$unruly, serve", end: End::Refused, ..SOUND },
];

const POOLS: [(&str, &str); 3] =
    [("1", "1"), ("4", "4"), ("on demand", "{min: 0, max: 4, idle_timeout: 50ms}")];

/// The first line of a script whose interpreter nobody looks for before it is run.
const OF_ENV: &str = "#!/usr/bin/env no-such-interpreter";

fn config(row: &Row, workers: &str) -> String {
    let Row { run, listen, patience, .. } = row;
    format!(
        "
apps:
  blog:
    run: {run}
    listen: unix:{listen}
    workers: {workers}
    start_timeout: {patience}
  shop: {{run: [$echo], listen: 'unix:$dir/shop.sock', workers: 1}}
"
    )
}

/// How often workers of the app were started so far.
fn starts(daemon: &Daemon) -> u64 {
    let started = daemon.metric("scgid_worker_starts_total{app=\"blog\"}").unwrap();
    started.to_string().parse().unwrap()
}

/// A sound site with this kind of pool, and what `row` needs to be broken.
fn site(row: &Row, workers: &str) -> (Daemon, Option<UnixListener>) {
    let site = Site::new(&config(&SOUND, workers));
    for (name, first) in [("script", "#!/no/such/interpreter"), ("script-of-env", OF_ENV)] {
        let script = site.write(name, first);
        std::fs::set_permissions(script, Permissions::from_mode(0o755)).unwrap();
    }
    let taken = (row.name == "port taken").then(|| UnixListener::bind(site.path("taken.sock")));
    (site.serve(), taken.map(Result::unwrap))
}

fn load(daemon: &Daemon) -> Load {
    let client = daemon.app("blog");
    let load = Load::start(CLIENTS, move || match client.get("/") {
        Ok(answer) if answer.text() == "unruly\n" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    load.until_answered(20);
    load
}

/// Deploys `row` onto a sound app with such a pool, and returns what was said of that.
///
/// # Panics
///
/// If it harmed anybody.
fn deploy(row: &Row, workers: &str) -> String {
    let (daemon, _taken) = site(row, workers);
    let load = load(&daemon);
    let (shop, before, started) = (daemon.pids("shop"), daemon.pids("blog"), starts(&daemon));

    daemon.site().write_config(&config(row, workers));
    let said = daemon.scgictl("reload");

    judge(&daemon, row, &said);
    let started = starts(&daemon) - started;
    assert!(started < STARTS_MAX, "{started} starts");
    load.until_answered(50);
    let failed = load.stop().failed;
    assert_eq!(daemon.pids("shop"), shop, "the other app was not touched");
    match row.end {
        End::Held => assert!(failed.is_empty(), "{failed:?}"),
        // One request for each death.
        End::HeldAtACost => assert!(failed.len() <= BUDGET, "{failed:?}"),
        End::Refused => {
            assert!(failed.is_empty(), "{failed:?}");
            assert_eq!(daemon.look("blog").generation.0, 1);
        }
    }
    // A pool on demand starts and ends workers as it always does.
    let is_fixed = !workers.starts_with('{');
    if is_fixed && row.end == End::Refused {
        assert_eq!(started, 0, "nobody was started");
    }
    if is_fixed && row.end != End::HeldAtACost {
        assert_eq!(daemon.pids("blog"), before, "the old workers were not touched");
    }
    mend(&daemon, workers);
    without_progress(&said.redacted(daemon.site()))
}

/// How an apply ended: what is said of an app on the way depends on who looks when.
fn without_progress(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("blog: "))
        .fold(String::new(), |told, line| told + line + "\n")
}

fn judge(daemon: &Daemon, row: &Row, said: &Said) {
    let app = daemon.look("blog");
    let told = (said.code, app.state);
    match row.end {
        End::Held | End::HeldAtACost => {
            assert_eq!(told, (Some(1), AppState::Held), "{said:?}");
            assert!(app.trouble.is_some_and(|trouble| !trouble.next.is_empty()));
        }
        End::Refused => {
            assert_eq!(said.code, Some(2), "{said:?}");
            assert!(app.state.is_well(), "{app:?}");
        }
    }
}

/// A sound deploy goes through, by workers of its own.
fn mend(daemon: &Daemon, workers: &str) {
    let before = daemon.pids("blog");
    let generation = daemon.look("blog").generation;
    let load = load(daemon);
    let sound = config(&SOUND, workers).replace("serve]", "serve, mended]");
    daemon.site().write_config(&sound);

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(0), "the sound deploy afterwards: {said:?}");
    load.until_answered(50);
    assert_eq!(load.stop().failed, Vec::<String>::new());
    assert!(daemon.look("blog").generation > generation);
    assert!(daemon.pids("blog").iter().all(|pid| !before.contains(pid)));
}

/// Runs the cases, a few at once; what each returned, by row and pool. A case that fails is told with
/// the names of both.
fn run_all() -> BTreeMap<(usize, usize), Result<String, String>> {
    let cases = (0..ROWS.len()).flat_map(|row| (0..POOLS.len()).map(move |pool| (row, pool)));
    let cases = Mutex::new(cases);
    let told = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((row, pool)) = cases.lock().unwrap().next() else { return };
                    let case = || deploy(&ROWS[row], POOLS[pool].1);
                    let outcome = std::panic::catch_unwind(case).map_err(|panic| words(&*panic));
                    told.lock().unwrap().insert((row, pool), outcome);
                }
            });
        }
    });
    told.into_inner().unwrap()
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let literal = || panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    panic.downcast_ref::<String>().cloned().or_else(literal).unwrap_or_default()
}

#[test]
fn no_broken_deploy_harms_what_was_there_and_each_says_what_is_wrong() {
    assert!(!Path::new("/no/such/interpreter").exists());

    let told = run_all();

    let mut failed = String::new();
    let mut table = String::new();
    for (index, row) in ROWS.iter().enumerate() {
        let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (pool, (name, _)) in POOLS.iter().enumerate() {
            match &told[&(index, pool)] {
                Ok(words) => said.entry(words).or_default().push(name),
                Err(why) => writeln!(failed, "{}, pool {name}: {why}", row.name).unwrap(),
            }
        }
        for (words, pools) in said {
            writeln!(table, "== {} ({})\n{words}", row.name, pools.join(", ")).unwrap();
        }
    }
    assert!(failed.is_empty(), "{failed}");
    insta::with_settings!({ omit_expression => true, snapshot_path => "words", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("broken_deploys", table);
    });
}
