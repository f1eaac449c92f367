//! Plans of random sites, held against what the core then does with them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use scgi_protocol::name::OperationId;

use super::*;
use crate::spec::{
    ControlSpec, Health, Identity, Kind, Launch, Limit, ListenAt, ListenSpec, Ownership, Ready,
    Resource, Restart, Roll, Sizing, StopSignal, Surge, Timing,
};
use crate::supervisor::{Action, Event, Moment, Pid, Signal, Supervisor};

type Apps = BTreeMap<AppName, Arc<AppSpec>>;

/// Few words, so that two specs often agree in some of them.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b c", "", "-v", "\"q\", r"]).prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::sample::select(vec!["/a", "/b", "/b, c"]).prop_map(PathBuf::from)
}

fn span() -> impl Strategy<Value = Duration> {
    prop::sample::select(vec![1, 1500, 90_000, 90_001]).prop_map(Duration::from_millis)
}

fn identity() -> impl Strategy<Value = Identity> {
    let login = option::of((prop::sample::select(vec!["www", "root"]), path()));
    (0..2_u32, 0..2_u32, vec(0..2_u32, 0..2), login).prop_map(|(uid, gid, groups, login)| {
        Identity { uid, gid, groups, login: login.map(|(name, home)| (name.to_owned(), home)) }
    })
}

fn launch() -> impl Strategy<Value = Launch> {
    let limit = (option::of(0..2_u64), option::of(0..2_u64));
    let resource = prop::sample::select(vec![Resource::Nofile, Resource::As]);
    let first = (path(), vec(word(), 1..3), option::of(path()), btree_map("[AB]", word(), 0..2));
    let second = (vec(path(), 0..2), any::<bool>(), option::of(identity()), option::of(0..2_u32));
    let third = (option::of(0..2_i32), btree_map(resource, limit, 0..2), option::of("/[ab]"));
    (first, second, third).prop_map(|(first, second, third)| {
        let (program, arguments, directory, env) = first;
        let (env_files, clear_env, identity, umask) = second;
        let (nice, limits, mount) = third;
        let limits =
            limits.into_iter().map(|(of, (soft, hard))| (of, Limit { soft, hard })).collect();
        Launch {
            program,
            arguments,
            directory,
            env,
            env_files,
            clear_env,
            identity,
            umask,
            nice,
            limits,
            mount,
            queue_timeout: None,
            preload: false,
            strict: false,
        }
    })
}

fn listen() -> impl Strategy<Value = ListenSpec> {
    let at = prop::sample::select(vec!["unix:/a", "unix:/b", "127.0.0.1:1"])
        .prop_map(|text| ListenAt::Address(text.parse().unwrap()));
    let at = prop_oneof![at, Just(ListenAt::Systemd("x".into()))];
    let part = || option::of(0..2_u32);
    (at, part(), part(), part(), 1..3_u16).prop_map(|(at, owner, group, mode, backlog)| {
        ListenSpec { at, ownership: Ownership { owner, group, mode }, backlog }
    })
}

fn policies() -> impl Strategy<Value = (Sizing, Timing, Restart, Roll)> {
    let sizing = (0..3_u16, 1..3_u16, 0..2_u16, span()).prop_map(|(min, more, spare, idle)| {
        Sizing::dynamic(min, min + more - u16::from(min > 0), spare, idle).unwrap()
    });
    let ready = prop_oneof![Just(Ready::Notify), span().prop_map(Ready::After)];
    let signal = prop::sample::select(StopSignal::ALL.to_vec());
    let timing = (ready, span(), span(), signal).prop_map(|(ready, start, stop, stop_signal)| {
        Timing { ready, start_timeout: start, stop_timeout: stop, stop_signal }
    });
    let restart = (1..3_u32, span(), span(), span(), any::<bool>());
    let restart = restart.prop_map(|(budget, period, first, max, give_up)| Restart {
        budget,
        period,
        backoff_first: first,
        backoff_max: max,
        give_up,
    });
    let surge = prop_oneof![(0..2_u16).prop_map(Surge::Count), (1..3_u16).prop_map(Surge::Percent)];
    let health = option::of(("/[ab]", span()));
    let roll = (surge, span(), health).prop_map(|(surge, soak, health)| Roll {
        surge,
        soak,
        health: health.map(|(path, timeout)| Health { path, timeout }),
    });
    (sizing, timing, restart, roll)
}

fn spec() -> impl Strategy<Value = AppSpec> {
    (launch(), vec(listen(), 1..3), 1..3_u16, policies()).prop_map(
        |(launch, listen, concurrency, (sizing, timing, restart, roll))| AppSpec {
            name: "nobody".parse().unwrap(),
            kind: Kind::Worker,
            launch,
            listen,
            sizing,
            concurrency,
            timing,
            restart,
            roll,
        },
    )
}

/// Up to three apps of four names.
fn apps() -> impl Strategy<Value = Apps> {
    btree_map("[abcd]", spec(), 0..4).prop_map(|apps| {
        let named = |(name, spec): (String, AppSpec)| {
            let name: AppName = name.parse().unwrap();
            (name.clone(), Arc::new(AppSpec { name, ..spec }))
        };
        apps.into_iter().map(named).collect()
    })
}

/// Two sites that often have apps in common which differ in a part.
fn pair() -> impl Strategy<Value = (Apps, Apps)> {
    (apps(), apps(), any::<[bool; 8]>()).prop_map(|(one, other, takes)| {
        let mixed = other.into_iter().map(|(name, theirs)| {
            let Some(ours) = one.get(&name) else { return (name, theirs) };
            let mut spec = AppSpec::clone(ours);
            let theirs = AppSpec::clone(&theirs);
            let [launch, listen, concurrency, sizing, timing, restart, roll, _] = takes;
            let take = [launch, listen, concurrency, sizing, timing, restart, roll];
            for part in take.iter().enumerate().filter(|(_, takes)| **takes).map(|(part, _)| part) {
                match part {
                    0 => spec.launch = theirs.launch.clone(),
                    1 => spec.listen = theirs.listen.clone(),
                    2 => spec.concurrency = theirs.concurrency,
                    3 => spec.sizing = theirs.sizing,
                    4 => spec.timing = theirs.timing,
                    5 => spec.restart = theirs.restart,
                    _ => spec.roll = theirs.roll.clone(),
                }
            }
            (name, Arc::new(spec))
        });
        let mixed = mixed.collect();
        (one, mixed)
    })
}

fn plan_of(now: &Apps, next: &Apps) -> Vec<AppPlan> {
    let control = ControlSpec {
        socket: "/c".into(),
        ownership: Ownership::default(),
        readers: Vec::new(),
        writers: Vec::new(),
    };
    let revisions = RevisionsSpec { directory: None, keep: 1 };
    let site = Site { control, metrics: None, revisions, apps: next.clone() };
    changes(now, &site, |_| false, |_| None)
}

/// A core whose workers are there and ready as soon as it wants them.
#[derive(Default)]
struct World {
    core: Supervisor,
    owners: BTreeMap<Pid, AppName>,
    last: u64,
}

impl World {
    /// Applies a site; the apps whose workers were started or asked to leave for it.
    fn apply(&mut self, apps: &Apps) -> BTreeSet<AppName> {
        self.last += 1;
        let now = Moment(Duration::from_secs(100 * self.last));
        let operation = OperationId(self.last);
        let apply = Event::Apply { apps: apps.clone(), unprepared: BTreeMap::new(), operation };
        // What is due by now is none of this apply's doing.
        self.settle(vec![Event::Tick], now);
        self.settle(vec![apply], now)
    }

    fn settle(&mut self, mut facts: Vec<Event>, now: Moment) -> BTreeSet<AppName> {
        let mut touched = BTreeSet::new();
        while let Some(fact) = facts.pop() {
            for action in self.core.handle(fact, now) {
                match action {
                    Action::Spawn(spawn) => {
                        let pid = Pid::try_from(spawn.worker.0).unwrap() + 1;
                        touched.insert(spawn.app.name.clone());
                        self.owners.insert(pid, spawn.app.name.clone());
                        facts.insert(0, Event::Spawned { worker: spawn.worker, pid });
                        facts.insert(0, Event::Ready { pid });
                    }
                    Action::Signal { pid, signal: Signal::Stop(_) | Signal::Kill } => {
                        touched.extend(self.owners.get(&pid).cloned());
                    }
                    _ => {}
                }
            }
        }
        touched
    }
}

proptest! {
    #[test]
    fn a_plan_is_empty_exactly_if_nothing_differs((now, next) in pair()) {
        prop_assert_eq!(plan_of(&now, &now), []);
        prop_assert_eq!(plan_of(&now, &next).is_empty(), now == next);
    }

    #[test]
    fn the_way_back_is_the_way_there_turned_round((now, next) in pair()) {
        let mut back = plan_of(&next, &now);
        for plan in &mut back {
            plan.action = match plan.action {
                PlanAction::Add => PlanAction::Remove,
                PlanAction::Remove => PlanAction::Add,
                PlanAction::Change => PlanAction::Change,
            };
            for Difference { old, new, .. } in &mut plan.differences {
                std::mem::swap(old, new);
            }
            plan.differences.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let mut there = plan_of(&now, &next);
        there.iter_mut().for_each(|plan| plan.differences.sort_by(|a, b| a.key.cmp(&b.key)));

        prop_assert_eq!(there, back);
    }

    #[test]
    fn an_apply_touches_only_what_is_planned_and_the_way_back_ends_where_it_began(
        (now, next) in pair()
    ) {
        let mut world = World::default();
        world.apply(&now);

        for (from, to) in [(&now, &next), (&next, &now)] {
            let planned = plan_of(from, to);
            let planned: BTreeSet<AppName> = planned.into_iter().map(|plan| plan.app).collect();
            let touched = world.apply(to);

            prop_assert!(touched.is_subset(&planned), "{:?} of {:?}", touched, planned);
            for (app, spec) in to {
                prop_assert_eq!(world.core.spec(app), Some(spec));
            }
        }
    }
}
