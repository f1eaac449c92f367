//! What people, programs and the kernel come up with: orders, sites, stale facts and lies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use scgi_protocol::control::Scale;
use scgi_protocol::name::{AppName, WorkerId};

use super::process::Nature;
use super::rng::Rng;
use super::world::{Happening, World};
use crate::spec::{
    AppSpec, Health, Kind, Launch, ListenAt, ListenSpec, Ownership, Ready, Restart, Roll, Sizing,
    Standalone, StopSignal, Surge, Timing,
};
use crate::supervisor::{AppOrder, Event, Exit, Load, Pid};

const APPS: [&str; 3] = ["blog", "shop", "wiki"];

const VERSIONS: u16 = 4;

pub(super) fn name(app: &str) -> AppName {
    app.parse().expect("a name as it should be")
}

/// A place to listen at.
pub(super) fn listener(app: &str, number: u16) -> ListenSpec {
    ListenSpec {
        at: ListenAt::Systemd(format!("{app}-{number}")),
        ownership: Ownership::default(),
        backlog: ListenSpec::DEFAULT_BACKLOG,
    }
}

/// An app of `sizing`, otherwise by default.
pub(super) fn spec(app: &str, version: &str, sizing: Sizing) -> AppSpec {
    AppSpec {
        name: name(app),
        kind: Kind::Worker,
        launch: Launch {
            program: PathBuf::from("/srv/app"),
            arguments: vec![app.to_owned(), version.to_owned()],
            directory: None,
            env: BTreeMap::new(),
            env_files: Vec::new(),
            clear_env: true,
            identity: None,
            umask: None,
            nice: None,
            limits: BTreeMap::new(),
            mount: None,
            queue_timeout: None,
            preload: false,
            strict: false,
        },
        listen: vec![listener(app, 0)],
        sizing,
        concurrency: 1,
        timing: Timing::default(),
        restart: Restart::default(),
        roll: Roll::default(),
    }
}

/// The same app as a program that has its address to itself.
pub(super) fn alone(spec: AppSpec) -> AppSpec {
    let Roll { soak, .. } = spec.roll;
    AppSpec {
        kind: Kind::Standalone(Standalone { at: None }),
        listen: Vec::new(),
        sizing: Sizing::fixed(spec.sizing.max()).expect("it was a number of workers before"),
        roll: Roll { surge: Surge::Count(0), soak, health: None },
        launch: Launch { preload: false, ..spec.launch },
        ..spec
    }
}

/// Decides what the programs of this history are like.
pub(super) fn decide_natures(world: &mut World) {
    for app in APPS {
        for version in 0..VERSIONS {
            let nature = nature(&mut world.rng);
            world.natures.insert((name(app), format!("v{version}")), nature);
        }
    }
    world.relief = if world.rng.chance(20) { Nature::Unruly } else { Nature::Good };
}

fn nature(rng: &mut Rng) -> Nature {
    match rng.below(23) {
        22 => Nature::Barren,
        0..=5 => Nature::Good,
        20 => Nature::Sick,
        21 => Nature::Poisoned,
        6 => Nature::Crashes,
        7 => Nature::Hangs,
        8 => Nature::CannotSpawn,
        9 => Nature::Flashes,
        10 => Nature::Quits,
        11 => Nature::Deserts,
        12 => Nature::Crowd(usize::from(rng.between(1..=3))),
        _ => Nature::Unruly,
    }
}

/// Everything behaves from here on.
pub(super) fn make_sound(world: &mut World) {
    world.natures.clear();
    world.relief = Nature::Good;
    for app in APPS.map(name) {
        if world.core.pools.get(&app).is_some_and(|pool| pool.paused) {
            world.order(&app, AppOrder::Resume);
        }
    }
    for id in world.alive.clone() {
        // A template that forks nobody is found out once it is asked to, which may be late.
        if let Some(process) = world.process(id) {
            process.fate.forks = true;
        }
        // Nobody would ever miss these: they count as ready because they live.
        if matches!(world.lives[&id].spec.timing.ready, Ready::After(_)) {
            let soon = world.rng.ms(0..=1000);
            world.later(soon, Happening::Ready(id));
        }
    }
}

/// Does something nobody expected.
pub(super) fn surprise(world: &mut World) {
    match world.rng.below(100) {
        0..=24 => visitors(world),
        25..=49 => order(world),
        50..=59 => site(world),
        60..=79 => stale(world),
        80..=87 => lie(world),
        88..=91 => change_of_nature(world),
        92 if world.mortality > 0 => world.kill_daemon(),
        92..=94 => world.tell(&Event::Tick),
        95..=97 => {
            let time = world.rng.ms(0..=90_000);
            world.oversleep(time);
        }
        _ => {
            let pid = any_pid(world);
            world.tell(&Event::Said { pid, text: "hello".to_owned() });
        }
    }
}

fn any_app(world: &mut World) -> AppName {
    name(world.rng.pick(&APPS).expect("there are some"))
}

fn visitors(world: &mut World) {
    let app = any_app(world);
    for _ in 0..world.rng.between(1..=6) {
        world.connect(&app);
    }
}

fn order(world: &mut World) {
    let app = any_app(world);
    let what = match world.rng.below(13) {
        10 => AppOrder::Pause,
        11 => AppOrder::Resume,
        12 => AppOrder::Undo,
        0 | 1 => AppOrder::Start,
        2 => AppOrder::Stop,
        3 => AppOrder::Restart,
        4 | 5 => AppOrder::Reload,
        6 | 7 => AppOrder::Retry,
        _ => AppOrder::Scale(scale(&mut world.rng)),
    };
    if world.rng.chance(20) {
        world.queue(&app, what);
    } else {
        world.order(&app, what);
    }
}

fn scale(rng: &mut Rng) -> Scale {
    let maybe = |rng: &mut Rng| rng.chance(70).then(|| rng.between(0..=6));
    match rng.below(10) {
        0..=3 => Scale::To(rng.between(0..=7)),
        4..=6 => Scale::By(i32::from(rng.between(0..=8)) - 4),
        7 => Scale::By(i32::MIN),
        _ => Scale::Range { min: maybe(rng), max: maybe(rng) },
    }
}

/// Another site: every app stays, changes or goes.
pub(super) fn site(world: &mut World) {
    let mut apps = Vec::new();
    let mut unprepared = BTreeMap::new();
    for app in APPS {
        let before = world.site.get(&name(app)).map(|spec| (**spec).clone());
        match (world.rng.below(12), before) {
            (0 | 1, _) => {}
            (2, _) => drop(unprepared.insert(name(app), "program not found".to_owned())),
            (3..=8, Some(spec)) => apps.push(spec),
            (9, Some(spec)) => {
                let version = format!("v{}", world.rng.between(0..=VERSIONS - 1));
                let mut next = spec;
                next.launch.arguments[1] = version;
                apps.push(next);
            }
            _ => apps.push(any_spec(app, &mut world.rng)),
        }
    }
    world.apply_in_part(apps, unprepared);
}

fn any_spec(app: &str, rng: &mut Rng) -> AppSpec {
    let version = format!("v{}", rng.between(0..=VERSIONS - 1));
    let start_timeout = rng.ms(2000..=30_000);
    let mut spec = AppSpec {
        timing: Timing {
            ready: if rng.chance(25) { Ready::After(rng.ms(0..=2000)) } else { Ready::Notify },
            start_timeout,
            stop_timeout: rng.ms(100..=30_000),
            stop_signal: StopSignal::Term,
        },
        restart: Restart {
            budget: u32::from(rng.between(1..=8)),
            give_up: rng.chance(10),
            ..Restart::default()
        },
        roll: any_roll(rng),
        ..spec(app, &version, any_sizing(rng))
    };
    if rng.chance(40) {
        let numbers: BTreeSet<_> = (0..2).map(|_| rng.between(0..=2)).collect();
        spec.listen = numbers.into_iter().map(|number| listener(app, number)).collect();
    }
    spec.launch.preload = rng.chance(25);
    if rng.chance(10) { alone(spec) } else { spec }
}

fn any_roll(rng: &mut Rng) -> Roll {
    let surge = match rng.below(5) {
        0 => Surge::Count(0),
        1 => Surge::Percent(rng.between(1..=100)),
        _ => Surge::Count(rng.between(1..=3)),
    };
    let soak = if rng.chance(40) { rng.ms(0..=4000) } else { Duration::ZERO };
    let health = Health { path: "/up".to_owned(), timeout: Health::DEFAULT_TIMEOUT };
    Roll { surge, soak, health: rng.chance(30).then_some(health) }
}

fn any_sizing(rng: &mut Rng) -> Sizing {
    if rng.chance(50) {
        return Sizing::fixed(rng.between(1..=6)).expect("within bounds");
    }
    let max = rng.between(1..=7);
    let (min, spare) = (rng.between(0..=max.min(3)), rng.between(0..=max.min(2)));
    let idle_timeout = rng.ms(0..=60_000);
    Sizing::dynamic(min, max, spare, idle_timeout).expect("within bounds")
}

fn any_pid(world: &mut World) -> Pid {
    if world.rng.chance(50) {
        return i32::from(world.rng.between(0..=200));
    }
    let known: Vec<_> = world.lives.values().filter_map(|life| life.pid).collect();
    world.rng.pick(&known).copied().unwrap_or(1)
}

/// A fact that comes too late, about a worker or a process that is no more.
fn stale(world: &mut World) {
    let pid = any_pid(world);
    let dead: Vec<_> =
        world.lives.iter().filter(|(_, life)| life.over).map(|(id, _)| *id).collect();
    let worker = world.rng.pick(&dead).copied().unwrap_or(WorkerId(u64::MAX));
    match world.rng.below(6) {
        0 => return world.tell(&Event::Spawned { worker, pid }),
        1 => return world.tell(&Event::NotSpawned { worker, error: "late".to_owned() }),
        _ => {}
    }
    if world.pids.contains_key(&pid) {
        return;
    }
    let by = Duration::from_micros(world.rng.next());
    let event = match world.rng.below(4) {
        0 => Event::Ready { pid },
        1 => Event::Stopping { pid },
        2 => Event::Extend { pid, by },
        _ => Event::Exited {
            pid,
            exit: Exit::Code(1),
            served: Some(1),
            words: None,
            said: Vec::new(),
        },
    };
    world.tell(&event);
}

/// Numbers that cannot be: unknown workers, crowds, eternities.
fn lie(world: &mut World) {
    let app = any_app(world);
    let mut load: Load = world.load(&app);
    let rng = &mut world.rng;
    if rng.chance(30) {
        load.waiting = u32::MAX;
    }
    if rng.chance(30) {
        load.idle.clear();
    }
    for _ in 0..rng.between(0..=3) {
        let id = WorkerId(rng.below(60));
        let idle = if rng.chance(50) { None } else { Some(Duration::MAX) };
        load.idle.insert(id, idle);
    }
    if rng.chance(2) {
        load.idle.extend((0..400).map(|n| (WorkerId(n), Some(Duration::ZERO))));
    }
    world.tell(&Event::Load { app, load });
}

fn change_of_nature(world: &mut World) {
    let app = any_app(world);
    let version = format!("v{}", world.rng.between(0..=VERSIONS - 1));
    let nature = nature(&mut world.rng);
    world.natures.insert((app, version), nature);
}
