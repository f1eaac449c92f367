//! `scgi-torture`: a real daemon with apps on unix sockets, on TCP and behind nginx, asked without
//! pause by clients of every kind, while its apps are rolled, and it is upgraded and killed, at
//! random instants.
//!
//! ```text
//! world     what is tortured           clients   who asks         rollers   who rolls
//! blows     what is done to the daemon itself    upgrade   one of them
//! verdict   what must be so in the end           evidence  what is kept if it is not so
//! report    what is shown                        span      when something was
//! ```
//!
//! Nothing may be lost: it ends with 1 if a request failed or was miscounted, or if anything is
//! left over. It says how long everything took, and asserts nothing about that.

mod blows;
mod clients;
mod dice;
mod evidence;
mod options;
mod report;
mod rollers;
mod span;
mod upgrade;
mod verdict;
mod world;

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use blows::{Blow, Blows, Dealt};
use clients::Clients;
use options::Options;
use rollers::Rollers;
use world::World;

/// Between two looks at whether it is over.
const TICK: Duration = Duration::from_millis(5);

/// Between two lines that say how far it is.
const NEWS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let options = Options::parse().seeded();
    talk(&format!("seed {}", options.seed()));
    match std::panic::catch_unwind(|| torture(&options)) {
        Ok(breaches) if breaches.is_empty() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => {
            talk(&format!("FAILED with --seed {}", options.seed()));
            ExitCode::FAILURE
        }
    }
}

/// All of it; what was found to be wrong.
fn torture(options: &Options) -> Vec<String> {
    let mut world = World::start();
    let strained = std::panic::catch_unwind(AssertUnwindSafe(|| strain(&mut world, options)));
    let mut breaches = strained.unwrap_or_else(|_| vec!["it panicked; see above".to_owned()]);
    if !breaches.is_empty() {
        evidence::keep(&world.daemon, options.seed(), &breaches);
    }
    breaches.extend(verdict::end(world));
    print(&format!("\nseed {}; {} breaches", options.seed(), breaches.len()));
    breaches.iter().for_each(|breach| print(&format!("* {breach}")));
    breaches
}

/// Puts clients and rollers on it, and looks at it once they are gone.
fn strain(world: &mut World, options: &Options) -> Vec<String> {
    let before = world.holdings();
    let epoch = Instant::now();
    let clients = Clients::start(world, options.seed(), epoch);
    let rollers = Rollers::start(world, options.seed(), epoch);
    let dealt = go_on(Blows::shuffled(options, epoch), options, world, &clients, &rollers);
    let rolled = rollers.stop();
    let work = clients.stop();
    let took = epoch.elapsed();
    let findings = verdict::look(world, before, &work, &rolled, &dealt);
    print(&report::tables(&work, &rolled, &dealt, &findings));
    print(&format!("It took {} s.", took.as_secs()));
    findings.breaches
}

/// Deals the blows, and returns when there was enough of everything; what came of the blows.
fn go_on(
    mut blows: Blows,
    options: &Options,
    world: &mut World,
    clients: &Clients,
    rollers: &Rollers,
) -> Dealt {
    let (began, mut told) = (Instant::now(), Instant::now());
    while rollers.done() < options.rolls
        || !blows.are_over()
        || began.elapsed() < options.at_least()
    {
        dice::pause(TICK);
        blows.deal(&mut world.daemon, rollers);
        if told.elapsed() >= NEWS {
            told = Instant::now();
            let (seconds, rolls) = (began.elapsed().as_secs(), rollers.done());
            let [upgrades, kills] = [Blow::Upgrade, Blow::Kill].map(|blow| blows.dealt.count(blow));
            let requests = clients.answered();
            talk(&format!(
                "{seconds:4} s: {rolls} rolls, {upgrades} upgrades, {kills} kills, {requests} requests"
            ));
        }
    }
    blows.dealt
}

/// A line of the report. A reader that went away is not told.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line that is no part of the report.
fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
