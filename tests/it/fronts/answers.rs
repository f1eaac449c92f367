//! What an app answers is what the client gets.

use std::io::{BufRead, BufReader, Write};

use scgi_tests::http::{self, Answer};
use scgi_tests::{FrontEnd, Server, eventually};

use super::{all, all_mounts};

/// Asks every app behind every server for `page`.
fn everywhere(page: &str, check: impl Fn(&str, Answer)) {
    let (_daemon, fronts) = all();
    for front in &fronts {
        for mount in all_mounts(front.server()) {
            let target = format!("{mount}{page}");
            check(&format!("{:?} {target}", front.server()), front.get(&target));
        }
    }
}

#[test]
fn a_page_arrives_with_its_status() {
    everywhere("/hello", |place, answer| {
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"), "{place}");
    });
    everywhere("/missing", |place, answer| {
        assert_eq!((answer.status, answer.text().as_str()), (404, "missing\n"), "{place}");
    });
}

#[test]
fn an_answer_without_a_body_arrives_without_one() {
    everywhere("/nothing", |place, answer| assert_eq!(answer.status, 204, "{place}"));
    everywhere("/same", |place, answer| {
        assert_eq!((answer.status, answer.header("etag")), (304, Some("\"1\"")), "{place}");
    });
}

#[test]
fn a_redirect_arrives_with_where_it_leads() {
    everywhere("/moved", |place, answer| {
        let leads = answer.header("location");
        assert_eq!((answer.status, leads), (302, Some("http://localhost/elsewhere")), "{place}");
    });
}

#[test]
fn mod_scgi_alone_follows_a_redirect_within_the_site_by_itself() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let answer = front.get("/shop/moved-here");

        match front.server() {
            Server::ApacheModScgi => assert_eq!(answer.text(), "hello\n"),
            Server::Nginx | Server::Apache | Server::Lighttpd => {
                let leads = answer.header("location").unwrap_or_default();
                assert_eq!(answer.status, 302, "{:?}", front.server());
                assert!(leads.ends_with("/shop/hello"), "{:?}: {leads}", front.server());
            }
        }
    }
}

#[test]
fn two_cookies_arrive_as_two() {
    everywhere("/cookies", |place, answer| {
        let cookies = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| value.as_str()).collect();
        assert_eq!(cookies, ["a=1", "b=2; Path=/"], "{place}");
    });
}

#[test]
fn a_head_longer_than_a_page_of_memory_arrives() {
    everywhere("/long", |place, answer| {
        assert_eq!((answer.status, answer.text().as_str()), (200, "long\n"), "{place}");
        assert_eq!(answer.header("x-long-2").map(str::len), Some(2500), "{place}");
    });
}

#[test]
fn a_head_that_nginx_takes_by_this_configuration_alone_is_warned_of_and_counted() {
    let (daemon, fronts) = all();

    for app in ["shop", "tasks", "snake"] {
        for _ in 0..2 {
            assert_eq!(fronts[0].get(&format!("/{app}/long")).status, 200);
        }

        let series = format!("scgid_large_response_heads_total{{app=\"{app}\"}}");
        eventually("both are counted", || daemon.metric(&series) == Some(2.0));
        let is_told = |line: &str| line.contains("a response head of") && line.contains("/long");
        let told = || daemon.lines(app).iter().filter(|line| is_told(&line.line)).count();
        // Once by each worker.
        eventually("it is told", || (1..=2).contains(&told()));
        assert!(daemon.lines(app)[0].line.contains("scgi_buffer_size"), "{app}");
    }
}

#[test]
fn the_answer_to_head_is_the_head_alone() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        for mount in all_mounts(front.server()) {
            let place = format!("{:?} {mount}", front.server());
            let mut connection = http::tcp(front.port()).unwrap();
            let head = "Host: x\r\nConnection: close\r\n\r\n";
            write!(connection, "HEAD {mount}/hello HTTP/1.1\r\n{head}").unwrap();
            let lines: Vec<_> = BufReader::new(connection).lines().map(Result::unwrap).collect();

            assert!(lines[0].starts_with("HTTP/1.1 200 "), "{place}: {lines:?}");
            assert_eq!(lines.iter().position(String::is_empty), Some(lines.len() - 1), "{place}");
        }
    }
}

#[test]
fn a_stream_arrives_while_it_is_being_made() {
    let (daemon, fronts) = all();

    for front in &fronts {
        for (nth, mount) in all_mounts(front.server()).into_iter().enumerate() {
            let until = daemon.site().path(&format!("{:?}{nth}", front.server()));
            let mut lines = lines_of(front, &format!("{mount}/stream?until={}", until.display()));

            // The first piece is here, and the app will not go on before it is told to.
            assert!(lines.any(|line| line == "piece 0"), "{:?} {mount}", front.server());
            std::fs::write(&until, "").unwrap();

            assert_eq!(lines.next().as_deref(), Some("piece 1"), "{:?} {mount}", front.server());
        }
    }
}

/// The lines of an answer as they come, head and body.
fn lines_of(front: &FrontEnd, target: &str) -> impl Iterator<Item = String> + use<> {
    let mut connection = http::tcp(front.port()).unwrap();
    write!(connection, "GET {target} HTTP/1.0\r\n\r\n").unwrap();
    BufReader::new(connection).lines().map(Result::unwrap)
}
