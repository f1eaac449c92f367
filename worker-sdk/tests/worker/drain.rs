//! Workers come and go under load, hundreds of times, and no request is lost.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use crate::client::ask;
use crate::process::{Site, Worker};

/// Clients that ask without a pause.
const BUSY_CLIENTS: usize = 6;

/// Workers told to leave, one after the other.
const DEPARTURES: usize = 150;

#[test]
fn no_request_is_lost_while_workers_come_and_go_on_a_unix_socket() {
    no_request_is_lost(&Site::unix(), 1);
}

#[test]
fn no_request_is_lost_while_workers_come_and_go_on_tcp() {
    no_request_is_lost(&Site::tcp(), 1);
}

#[test]
fn no_request_is_lost_while_workers_with_threads_come_and_go() {
    no_request_is_lost(&Site::unix(), 3);
}

#[test]
fn no_request_waits_for_the_next_one_while_idle_workers_come_and_go_on_a_unix_socket() {
    no_wake_up_is_lost(&Site::unix());
}

#[test]
fn no_request_waits_for_the_next_one_while_idle_workers_come_and_go_on_tcp() {
    no_wake_up_is_lost(&Site::tcp());
}

/// One client alone: if a leaving worker eats the wake-up of its connection, nobody comes.
fn no_wake_up_is_lost(site: &Site) {
    let mut workers: Vec<Worker> = (0..3).map(|_| site.worker()).collect();
    for _ in 0..DEPARTURES {
        let oldest = workers.remove(0);
        workers.push(site.worker());
        let leaving = thread::spawn(move || oldest.leave());

        for _ in 0..3 {
            let seen = ask(&site.address, "GET", "/", b"").unwrap();
            assert!(seen.ends_with("ok"), "{seen}");
        }

        assert!(leaving.join().unwrap().success());
    }
}

fn no_request_is_lost(site: &Site, threads: u16) {
    let start = || site.worker_as("usual", |birth| birth.concurrency = threads);
    let mut workers: Vec<Worker> = (0..2).map(|_| start()).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..BUSY_CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0_u64;
                    while !done.load(Relaxed) {
                        match ask(&site.address, "GET", "/", b"") {
                            Ok(seen) if seen.ends_with("\r\n\r\nok") => answered += 1,
                            lost => panic!("lost after {answered}: {lost:?}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..DEPARTURES {
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            workers.push(start());
            assert!(workers.remove(0).leave().success());
        }
        done.store(true, Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
}
