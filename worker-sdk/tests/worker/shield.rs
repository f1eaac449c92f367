//! Slow clients: none of them holds a thread, and none is lost on the way out.

use nix::sys::signal::Signal;

use crate::client::{Connection, ask, head, until};
use crate::process::{Site, Worker};

/// Slow clients of each kind at once.
const SLOW: usize = 50;

/// A reply larger than the kernel keeps for a reader who does not read.
const BIG_BYTES: usize = 1 << 20;

/// Clients in the middle of something, who do not go on.
struct Slow {
    uploaders: Vec<Connection>,
    readers: Vec<Connection>,
    silent: Vec<Connection>,
}

impl Slow {
    /// So many of each kind; waits until the worker has parked them all.
    fn clients(site: &Site, worker: &Worker, of_each: usize) -> Self {
        let saying = |bytes: &[u8]| -> Vec<Connection> {
            let clients = (0..of_each).map(|_| {
                let mut connection = Connection::to(&site.address).unwrap();
                connection.say(bytes).unwrap();
                connection
            });
            clients.collect()
        };
        let slow = Self {
            uploaders: saying(&[head("POST", "/length", 9), b"half".to_vec()].concat()),
            readers: saying(&head("GET", &format!("/big?{BIG_BYTES}"), 0)),
            silent: saying(b"70:CONTENT_LENGTH"),
        };
        let all = 3 * of_each as u64;
        until("all are parked", || (worker.page.parked() == all).then_some(()));
        slow
    }

    /// All of them but the silent go on, and get what they came for.
    fn go_on(self) {
        for mut uploader in self.uploaders {
            uploader.say(b" more").unwrap();
            let seen = String::from_utf8(uploader.hear().unwrap()).unwrap();
            assert!(seen.ends_with("9 bytes"), "{seen}");
        }
        for mut reader in self.readers {
            let heard = reader.hear().unwrap();
            assert!(heard.len() > BIG_BYTES, "{} bytes", heard.len());
        }
        drop(self.silent);
    }
}

#[test]
fn a_worker_of_one_thread_answers_while_slow_clients_of_every_kind_hang_on_it() {
    let site = Site::unix();
    let worker = site.worker();
    let slow = Slow::clients(&site, &worker, SLOW);

    for _ in 0..20 {
        assert!(ask(&site.address, "GET", "/", b"").unwrap().ends_with("ok"));
    }
    assert_eq!(worker.page.parked(), 3 * SLOW as u64, "they hang there all the while");
    until("its thread is idle", || worker.page.idle_since(u64::MAX));
    assert_eq!(worker.page.in_flight(99), 0);
    assert_eq!(worker.page.serving(), []);

    slow.go_on();
    until("nobody is parked", || (worker.page.parked() == 0).then_some(()));
    let report = worker.page.report();
    assert_eq!((report.begun, report.ended), (2 * SLOW as u64 + 20, 2 * SLOW as u64 + 20));
    assert_eq!((report.ends[1], report.aborted), (report.ended, 0));
    assert_eq!((report.refused, report.shed), ([0, 0, SLOW as u64], 0));
    assert!(worker.leave().success());
}

#[test]
fn a_worker_told_to_leave_loses_none_of_its_slow_clients() {
    for threads in [1, 3] {
        let site = Site::unix();
        let mut worker = site.worker_as("usual", |birth| birth.concurrency = threads);
        let slow = Slow::clients(&site, &worker, 5);

        worker.signal(Signal::SIGTERM);
        worker.until_said("STOPPING", |notice| notice.stopping);
        slow.go_on();

        assert!(worker.until_ended().success());
        let report = worker.page.report();
        assert_eq!((report.begun, report.ended, report.aborted), (10, 10, 0));
    }
}

#[test]
fn slow_clients_that_leave_are_counted_each_as_what_it_was() {
    let site = Site::unix();
    let worker = site.worker();

    drop(Slow::clients(&site, &worker, 5));

    until("nobody is parked", || (worker.page.parked() == 0).then_some(()));
    let report = worker.page.report();
    assert_eq!((report.begun, report.ended, report.aborted), (10, 10, 10));
    assert_eq!(report.refused, [0, 0, 5]);
}

#[test]
fn where_there_is_no_room_who_has_been_silent_longest_makes_it() {
    let site = Site::unix();
    let worker = site.worker_as("crowded", |_| {});
    let say = |bytes: &[u8]| {
        let mut connection = Connection::to(&site.address).unwrap();
        connection.say(bytes).unwrap();
        connection
    };
    let mut uploader = say(&head("POST", "/length", 4));
    let parked = |count| until("it is parked", || (worker.page.parked() == count).then_some(()));
    parked(1);
    let mut silent = Vec::new();
    for count in 2..=crate::CROWD as u64 {
        silent.push(say(b"7"));
        parked(count);
    }

    silent.push(say(b"7"));

    assert_eq!(silent[0].hear().unwrap(), b"", "the first of the silent");
    until("it is counted", || (worker.page.report().shed == 1).then_some(()));
    assert_eq!(worker.page.report().refused, [0, 0, 1]);
    assert!(ask(&site.address, "GET", "/", b"").unwrap().ends_with("ok"));
    uploader.say(b"body").unwrap();
    assert!(String::from_utf8(uploader.hear().unwrap()).unwrap().ends_with("4 bytes"));
}
