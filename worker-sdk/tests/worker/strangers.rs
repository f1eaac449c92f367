//! Peers that do not behave: what they get, and that the worker outlives them all.

use std::io;

use crate::client::{Connection, ask, head};
use crate::process::{Site, Worker};

/// A site with one worker, which is still well at the end.
fn with_worker(of: &Site, role: &str, try_it: impl FnOnce(&Worker)) {
    let worker = of.worker_as(role, |_| {});
    try_it(&worker);
    let seen = ask(&of.address, "GET", "/", b"").unwrap();
    assert!(seen.ends_with("ok"), "the worker is not well afterwards: {seen}");
    assert!(worker.leave().success());
}

fn said(site: &Site, bytes: &[u8]) -> String {
    let mut connection = Connection::to(&site.address).unwrap();
    connection.say(bytes).unwrap();
    String::from_utf8(connection.hear().unwrap()).unwrap()
}

#[test]
fn who_does_not_speak_scgi_is_told_so_and_counted() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "usual", |worker| {
            let http = said(&site, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert!(http.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{http}");
            assert!(said(&site, b"\x16\x03\x01\x02\x00\x01").contains("TLS"));
            assert!(said(&site, b"garbage\n").starts_with("Status: 400 "));
            assert!(said(&site, b"2000000000:").starts_with("Status: 431 "));
            assert!(
                said(&site, b"26:CONTENT_LENGTH\0x\0SCGI\x001\0..,").starts_with("Status: 400")
            );

            assert_eq!(worker.page.report().refused, [4, 1, 0]);
            assert_eq!(worker.page.report().begun, 0);
        });
    }
}

#[test]
fn half_a_head_and_silence_is_closed_and_counted() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "hasty", |worker| {
            assert_eq!(said(&site, &head("GET", "/", 0)[..20]), "");
            assert_eq!(said(&site, b""), "");

            assert_eq!(worker.page.report().refused, [0, 0, 2]);
        });
    }
}

#[test]
fn a_peer_that_leaves_without_a_word_is_no_fault() {
    let site = Site::unix();
    with_worker(&site, "usual", |worker| {
        drop(Connection::to(&site.address).unwrap());
        ask(&site.address, "GET", "/", b"").unwrap();

        assert_eq!(worker.page.report().refused, [0, 0, 0]);
    });
}

#[test]
fn a_head_that_comes_in_pieces_and_is_large_is_served() {
    let site = Site::unix();
    with_worker(&site, "usual", |_| {
        let large = format!("/?{}", "x".repeat(45_000));
        let request = head("GET", &large, 0);
        let mut connection = Connection::to(&site.address).unwrap();
        for piece in request.chunks(7_000) {
            connection.say(piece).unwrap();
        }

        let seen = String::from_utf8(connection.hear().unwrap()).unwrap();
        assert!(seen.ends_with("ok"), "{seen}");
    });
}

#[test]
fn a_head_that_breaks_the_rules_harmlessly_is_served_and_counted_or_refused_if_strict() {
    let site = Site::unix();
    let without_scgi = b"17:CONTENT_LENGTH\x000\0,";
    with_worker(&site, "usual", |worker| {
        assert!(said(&site, without_scgi).starts_with("Status: 200 "));
        assert_eq!(worker.page.report().leniencies, 1);
    });
    with_worker(&site, "strict", |worker| {
        assert!(said(&site, without_scgi).starts_with("Status: 400 "));
        assert_eq!((worker.page.report().leniencies, worker.page.report().begun), (0, 0));
    });
}

#[test]
fn a_body_that_stops_coming_is_a_408_and_one_that_is_cut_off_is_an_abort() {
    let site = Site::unix();
    with_worker(&site, "hasty", |worker| {
        let mut silent = Connection::to(&site.address).unwrap();
        silent.say(&[head("POST", "/length", 10), b"half".to_vec()].concat()).unwrap();
        let seen = String::from_utf8(silent.hear().unwrap()).unwrap();
        assert!(seen.starts_with("Status: 408 "), "{seen}");
        assert_eq!(worker.page.report().aborted, 0);

        let mut gone = Connection::to(&site.address).unwrap();
        gone.say(&[head("POST", "/length", 10), b"half".to_vec()].concat()).unwrap();
        drop(gone);
        worker.until_ended_requests(2);
        assert_eq!(worker.page.report().aborted, 1);
    });
}

#[test]
fn a_client_that_leaves_during_the_reply_ends_it_and_nothing_else() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "usual", |worker| {
            let mut connection = Connection::to(&site.address).unwrap();
            connection.say(&head("GET", "/endless", 0)).unwrap();
            assert!(!connection.hear_some(100_000).unwrap().is_empty());
            drop(connection);

            worker.until_ended_requests(1);
            assert_eq!(worker.page.report().aborted, 1);
        });
    }
}

#[test]
fn a_reply_that_cannot_be_finished_is_a_reset_over_tcp() {
    let site = Site::tcp();
    with_worker(&site, "direct", |_| {
        let mut connection = Connection::to(&site.address).unwrap();
        connection.say(&[head("POST", "/broken", 100_000), vec![0; 50_000]].concat()).unwrap();

        let error = connection.hear().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_client_that_sends_everything_before_it_listens_gets_its_answer() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "usual", |_| {
            let body = vec![b'x'; 8 << 20];

            let small = ask(&site.address, "POST", "/refuse", &body).unwrap();
            let large = ask(&site.address, "GET", "/big?5000000", &body).unwrap();

            assert!(small.starts_with("Status: 403 ") && small.ends_with("no"), "{small}");
            assert!(large.starts_with("Status: 200 "), "{}", &large[..large.len().min(300)]);
            assert_eq!(large.split_once("\r\n\r\n").unwrap().1.len(), 5_000_000);
        });
    }
}

#[test]
fn a_body_that_has_come_and_that_nobody_reads_does_not_cost_the_answer() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "usual", |_| {
            for _ in 0..20 {
                let answer = ask(&site.address, "POST", "/refuse", &[b'x'; 50_000]).unwrap();

                assert!(answer.starts_with("Status: 403 ") && answer.ends_with("no"), "{answer}");
            }
        });
    }
}

#[test]
fn what_comes_after_the_body_does_not_cost_the_answer() {
    for site in [Site::unix(), Site::tcp()] {
        with_worker(&site, "usual", |_| {
            for _ in 0..20 {
                let request = [head("POST", "/length", 3), vec![b'x'; 200_000]].concat();
                let heard = (|| -> io::Result<Vec<u8>> {
                    let mut connection = Connection::to(&site.address)?;
                    connection.say(&request)?;
                    connection.hear()
                })();

                let seen = String::from_utf8(heard.unwrap()).unwrap();
                assert!(seen.ends_with("3 bytes"), "{seen}");
            }
        });
    }
}
