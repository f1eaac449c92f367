//! What must be so over many seeds, and in the end of every history.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scgi_protocol::control::{AppState, Verb, Wish};
use scgi_protocol::name::AppName;

use super::chaos;
use super::lives::Life;
use super::process::Nature;
use super::rng::Rng;
use super::world::World;
use crate::spec::{AppSpec, Health, Roll, Sizing, Surge};
use crate::supervisor::{AppOrder, Role};

/// How many histories of each kind are tried unless the environment says another number.
const SEEDS: u64 = 400;

/// Longest that a sound world needs to settle: the timeouts and pauses of what was before it.
const LONG: Duration = Duration::from_secs(600);

/// Tries `history` with every seed.
fn with_seeds(history: impl Fn(u64) + Sync) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SCGID_SIM_SEED") {
        return history(seed);
    }
    let seeds = number("SCGID_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| history(seed))) {
                next.store(seeds, Ordering::Relaxed);
                resume_unwind(panic);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
}

/// A history full of surprises.
fn wild(seed: u64) -> World {
    let mut world = World::new(seed);
    chaos::decide_natures(&mut world);
    chaos::site(&mut world);
    let surprises = 10 + world.rng.below(60);
    if world.rng.chance(50) {
        world.mortality = world.rng.below(30);
    }
    for _ in 0..surprises {
        chaos::surprise(&mut world);
        for _ in 0..world.rng.below(12) {
            world.step();
        }
    }
    world
}

#[test]
fn after_any_history_a_sound_world_becomes_what_was_asked_for() {
    with_seeds(|seed| {
        let mut world = wild(seed);

        world.mortality = 0;
        chaos::make_sound(&mut world);
        world.run_for(LONG);
        world.check_settled();
        if world.differs_from_its_site() {
            // Somebody undid a roll. What is asked for is asked for once more.
            let site = world.site.values().map(|spec| (**spec).clone()).collect();
            world.apply(site);
            world.run_for(LONG);
        }
        for app in world.site.clone().into_keys() {
            world.order(&app, AppOrder::Retry);
        }
        world.run_for(LONG);
        assert!(!world.differs_from_its_site());
        world.check_perfect();

        for (app, spec) in world.site.clone() {
            // Whoever connects to one with a socket of its own is not seen.
            if world.core.wish(&app) == Some(Wish::Run) && !spec.kind.is_alone() {
                assert!(world.connect(&app));
            }
        }
        world.run_for(Duration::from_secs(10));
        for (app, front) in &world.fronts {
            assert_eq!(front.waiting(), 0, "somebody waits for {app}");
        }
        world.run_for(LONG);
        world.check_perfect();
    });
}

#[test]
fn after_any_history_a_shutdown_ends_everything() {
    with_seeds(|seed| {
        let mut world = wild(seed);

        world.mortality = 0;
        world.shutdown();
        let hurries = world.rng.chance(50);
        if hurries {
            let time = world.rng.ms(0..=2000);
            world.run_for(time);
            world.shutdown();
            world.run_for(Duration::from_secs(4));
        } else {
            for _ in 0..world.rng.below(5) {
                chaos::surprise(&mut world);
            }
            chaos::make_sound(&mut world);
            world.run_for(LONG);
        }

        assert!(world.ledger.exited);
        assert_eq!(world.alive.len(), 0);
        assert!(world.lives.values().all(|life| life.forgotten && life.told_gone));
        for (app, front) in &world.fronts {
            assert!(front.open.is_empty(), "listeners of {app} are open");
        }
    });
}

impl World {
    /// Everything is as asked for, or held or given up with a reason.
    fn check_settled(&self) {
        for (id, done) in &self.ledger.operations {
            let ended = done.ended.is_some() || done.verb == Verb::Shutdown;
            assert!(ended, "operation {id} goes on for ever: {done:?}");
        }
        for app in self.fronts.keys() {
            let Some(pool) = self.core.pools.get(app) else { continue };
            let launch = pool.active();
            let given_up = launch.trail.is_given_up(&launch.spec.restart);
            let held = pool.state == AppState::Held;
            if given_up {
                let relief = |w: &crate::supervisor::worker::Worker| {
                    w.role == Role::Relief && w.is_serving()
                };
                // Nobody can answer where nobody listens but the program.
                let answered = !pool.served().is_empty()
                    || pool.workers.values().any(relief)
                    || launch.spec.kind.is_alone();
                assert!(answered || pool.is_leaving(), "nobody answers for {app}");
            } else if held {
                let seats = usize::from(pool.demand.target());
                assert_eq!(pool.served().len(), seats, "held {app} does not serve");
            } else {
                self.check_app(app);
            }
        }
    }

    /// Everything is as asked for.
    fn check_perfect(&self) {
        for app in self.site.keys().chain(self.fronts.keys()) {
            self.check_app(app);
        }
    }

    /// An app runs by another spec than was last applied.
    fn differs_from_its_site(&self) -> bool {
        let differs = |(app, spec): (&AppName, &Arc<AppSpec>)| {
            self.core.pools.get(app).is_some_and(|pool| pool.latest.spec != *spec)
        };
        self.site.iter().any(differs)
    }

    fn check_app(&self, app: &AppName) {
        let alive: Vec<_> = self.alive.iter().filter(|id| self.lives[id].app == *app).collect();
        let open = self.fronts.get(app).map(|front| front.open.keys().cloned().collect::<Vec<_>>());
        let open = open.unwrap_or_default();
        if !self.site.contains_key(app) {
            assert!(alive.is_empty() && open.is_empty(), "{app} was removed: {alive:?} {open:?}");
            assert!(!self.core.pools.contains_key(app));
            return;
        }
        let Some(pool) = self.core.pools.get(app) else { panic!("where is {app}?") };
        // After an undo that is not what was asked for last.
        let spec = &pool.latest.spec;
        if pool.wish == Wish::Stop {
            assert_eq!(pool.state, AppState::Stopped, "{app}");
            assert!(alive.is_empty() && open.is_empty(), "{app} is stopped: {alive:?} {open:?}");
            return;
        }
        let bounds = pool.bounds();
        let expected = if pool.scaled.is_some() { bounds.min } else { spec.sizing.min() };
        // One that sleeps may have the template of whom it would begin with.
        let templates = self.templates(app);
        let begins_with = &pool.filler(self.now).spec;
        let (fewest, most) = match expected {
            0 => (0, usize::from(begins_with.launch.preload)),
            _ => (usize::from(spec.launch.preload), usize::from(spec.launch.preload)),
        };
        assert!((fewest..=most).contains(&templates), "{templates} templates of {app}");
        let workers = alive.len() - templates;
        assert_eq!(workers, usize::from(expected), "workers of {app}, {:?}", pool.state);
        for id in alive {
            let life = &self.lives[id];
            if life.role == Role::Template {
                continue;
            }
            assert_eq!(life.role, Role::App);
            assert_eq!(life.generation, pool.latest.generation, "{app}");
            assert_eq!(life.spec.launch, spec.launch, "{app}");
            assert!(self.is_ready(*id) && pool.workers[id].is_serving(), "{app}: {life:?}");
        }
        let state = if expected == 0 { AppState::Idle } else { AppState::Serving };
        assert_eq!(pool.state, state, "{app}");
        let mut listen = spec.listen.clone();
        listen.sort();
        assert_eq!(open, listen, "listeners of {app}");
    }
}

#[test]
fn a_crash_looping_app_makes_fewer_than_twenty_starts_in_its_first_minute() {
    with_seeds(|seed| {
        let mut world = World::new(seed);
        let natures = [
            Nature::Crashes,
            Nature::Hangs,
            Nature::CannotSpawn,
            Nature::Quits,
            Nature::Flashes,
            Nature::Deserts,
        ];
        let nature = *world.rng.pick(&natures).expect("there are some");
        let count = *world.rng.pick(&[1, 2, 4, 8, 16, 64, 300]).expect("there are some");
        let sizing = match world.rng.below(3) {
            0 => Sizing::dynamic(0, count, 0, Duration::from_secs(1)),
            1 => Sizing::dynamic(count / 2, count, count / 2, Duration::from_secs(60)),
            _ => Sizing::fixed(count),
        };
        let mut shop = chaos::spec("shop", "bad", sizing.expect("within bounds"));
        shop.timing.start_timeout = world.rng.ms(500..=30_000);
        shop.timing.stop_timeout = world.rng.ms(500..=30_000);
        world.natures.insert((shop.name.clone(), "bad".to_owned()), nature);

        let app = shop.name.clone();
        world.apply(vec![shop]);
        for _ in 0..60 {
            world.connect(&app);
            world.run_for(Duration::from_secs(1));
        }

        let starts = world.lives.values().filter(|life| life.role == Role::App).count();
        assert!(starts < 20, "{starts} starts of {count} {nature:?}");
    });
}

/// A roll that never serves with fewer.
fn any_careful_roll(rng: &mut Rng) -> Roll {
    let surge = if rng.chance(70) {
        Surge::Count(rng.between(1..=4))
    } else {
        Surge::Percent(rng.between(1..=100))
    };
    let soak = if rng.chance(50) { Duration::ZERO } else { rng.ms(0..=3000) };
    let health = Health { path: "/up".to_owned(), timeout: Duration::from_secs(5) };
    Roll { surge, soak, health: rng.chance(50).then_some(health) }
}

/// A pool of a fixed size that has been serving for a while, of processes that behave.
fn calm(seed: u64) -> (World, AppSpec) {
    let mut world = World::new(seed);
    let count = world.rng.between(1..=12);
    let mut shop = chaos::spec("shop", "v1", Sizing::fixed(count).expect("within bounds"));
    shop.roll = any_careful_roll(&mut world.rng);
    shop.restart.budget = u32::from(world.rng.between(1..=8));
    shop.timing.start_timeout = world.rng.ms(1000..=10_000);
    world.apply(vec![shop.clone()]);
    world.run_for(Duration::from_secs(30));
    (world, shop)
}

#[test]
fn no_roll_ever_serves_with_fewer_workers_than_before() {
    with_seeds(|seed| {
        let (mut world, mut shop) = calm(seed);
        let count = usize::from(shop.sizing.max());

        for version in 2..6 {
            let roll = if world.rng.chance(50) {
                world.order(&shop.name, AppOrder::Reload)
            } else {
                shop.launch.arguments[1] = format!("v{version}");
                world.apply(vec![shop.clone()])
            };
            if world.rng.chance(70) {
                assert_eq!(world.least_until(roll, &shop.name), count);
                assert_eq!(world.outcome(roll), Ok(()));
            } else {
                // The next one comes before this one is through.
                let time = world.rng.ms(0..=1000);
                world.run_for(time);
            }
        }
    });
}

#[test]
fn no_roll_in_which_daemons_are_killed_ever_serves_with_fewer_workers_than_before() {
    with_seeds(|seed| {
        let (mut world, mut shop) = calm(seed);
        let count = usize::from(shop.sizing.max());
        world.mortality = 100;

        for version in 2..5 {
            shop.launch.arguments[1] = format!("v{version}");
            let roll = world.apply(vec![shop.clone()]);
            assert!(world.least_until(roll, &shop.name) >= count);
            world.run_for(LONG);
        }

        world.mortality = 0;
        world.kill_daemon();
        world.run_for(LONG);
        world.check_perfect();
        assert!(world.successions > 1);
    });
}

#[test]
fn no_generation_that_can_never_start_ever_costs_a_worker_of_the_older() {
    with_seeds(|seed| {
        let (mut world, mut shop) = calm(seed);
        let count = usize::from(shop.sizing.max());
        let mut natures = vec![
            Nature::Crashes,
            Nature::Hangs,
            Nature::CannotSpawn,
            Nature::Deserts,
            Nature::Flashes,
        ];
        if shop.roll.health.is_some() {
            natures.push(Nature::Sick);
        }
        let nature = *world.rng.pick(&natures).expect("there are some");
        world.natures.insert((shop.name.clone(), "bad".to_owned()), nature);
        shop.launch.arguments[1] = "bad".to_owned();
        shop.timing.stop_timeout = world.rng.ms(500..=10_000);

        let roll = world.apply(vec![shop.clone()]);
        let least = world.least_until(roll, &shop.name);
        world.run_for(LONG);

        assert_eq!(least, count);
        assert!(world.outcome(roll).is_err());
        assert_eq!(world.core.pools[&shop.name].state, AppState::Held);
        assert_eq!(world.accepting_for(&shop.name).len(), count);
        let bad = |life: &&Life| life.spec.launch.arguments[1] == "bad";
        let starts = world.lives.values().filter(bad).count();
        let most = usize::try_from(shop.restart.budget).expect("small");
        assert!(
            starts <= most + shop.roll.surge.of(shop.sizing.max()),
            "{starts} starts for {most}"
        );
    });
}
