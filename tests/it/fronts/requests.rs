//! What a client asks is what an app hears.

use std::io::{BufReader, Write};

use scgi_tests::{Server, eventually, http};

use super::{all, all_mounts};

#[test]
fn a_megabyte_comes_back_as_it_was_sent() {
    let (_daemon, fronts) = all();
    let megabyte: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();

    for front in &fronts {
        for mount in all_mounts(front.server()) {
            let answer = front.post(&format!("{mount}/echo"), &megabyte);

            assert_eq!(answer.status, 200, "{:?} {mount}", front.server());
            assert!(answer.body == megabyte, "{:?}: {} bytes", front.server(), answer.body.len());
        }
    }
}

#[test]
fn an_upload_without_a_length_is_taken_or_refused_by_the_server_itself() {
    let (daemon, fronts) = all();

    for front in &fronts {
        for mount in ["/shop", "/tasks", "/snake"] {
            let answer = front.ask(&format!(
                "POST {mount}/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
            ));

            if front.server().is_apache() {
                assert_eq!(answer.status, 411, "{:?} {mount}", front.server());
            } else {
                assert_eq!((answer.status, answer.text().as_str()), (200, "abcdefg"), "{mount}");
            }
        }
    }
    // mod_proxy_scgi opens a connection and closes it without a word: nobody's fault.
    for app in ["shop", "tasks", "snake"] {
        eventually("two are counted", || daemon.look(app).requests == 2);
        assert_eq!(daemon.look(app).restarts, 0);
        assert_eq!(daemon.lines(app).len(), 0, "{app}");
        for reason in ["incomplete", "malformed"] {
            let series =
                format!("scgid_refused_connections_total{{app=\"{app}\",reason=\"{reason}\"}}");
            assert_eq!(daemon.metric(&series), Some(0.0), "{app} {reason}");
        }
    }
}

#[test]
fn who_waits_to_be_told_to_go_on_is_told() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let server = front.server();
        let mut connection = http::tcp(front.port()).unwrap();
        let head = "POST /shop/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                    Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        connection.write_all(head.as_bytes()).unwrap();
        let mut answers = BufReader::new(connection.try_clone().unwrap());
        assert_eq!(http::read(&mut answers).unwrap().status, 100, "{server:?}");

        connection.write_all(b"abc").unwrap();

        // In chunks or not: Apache knows the length only if the app's end came with its answer.
        let answer = http::read(&mut answers).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abc"), "{server:?}");
    }
}

#[test]
fn a_stamp_is_the_servers_own_and_no_client_names_a_proxy() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let server = front.server();
        let told = front
            .ask(
                "GET /shop/variables HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 X-Request-Start: t=1\r\nProxy: evil\r\nAuthorization: Basic eA==\r\n\r\n",
            )
            .text();

        let stamp = told.lines().find_map(|line| line.strip_prefix("HTTP_X_REQUEST_START = t="));
        match server {
            Server::Lighttpd => assert_eq!(stamp, None),
            Server::Nginx | Server::Apache | Server::ApacheModScgi => {
                let digits = stamp.unwrap().replace('.', "");
                assert!(
                    digits.len() >= 13 && digits.parse::<u64>().is_ok(),
                    "{server:?} {stamp:?}"
                );
            }
        }
        assert!(!told.contains("HTTP_PROXY = evil"), "{server:?}: {told}");
        assert!(told.contains("HTTP_AUTHORIZATION = Basic eA==\n"), "{server:?}: {told}");
        assert!(told.contains("SCGI = 1\n"), "{server:?}: {told}");
    }
}

/// What `/variables` tells of `name`.
fn variable(told: &str, name: &str) -> Option<String> {
    let line = told.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
    line.map(str::to_owned)
}

#[test]
fn a_header_that_is_repeated_is_joined_whoever_joins_it() {
    let (daemon, fronts) = all();

    for front in &fronts {
        for mount in ["/shop", "/tasks", "/snake"] {
            let server = front.server();
            let told = front
                .ask(&format!(
                    "GET {mount}/variables HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                     X-A: 1\r\nCookie: a=1\r\nX-A: 2\r\nCookie: b=2\r\n\r\n"
                ))
                .text();

            assert_eq!(variable(&told, "HTTP_X_A").as_deref(), Some("1, 2"), "{server:?} {mount}");
            // Apache joins them by itself, and as it should not.
            let cookies = if server.is_apache() { "a=1, b=2" } else { "a=1; b=2" };
            assert_eq!(variable(&told, "HTTP_COOKIE").as_deref(), Some(cookies), "{server:?}");
        }
    }
    for app in ["shop", "tasks", "snake"] {
        let series = format!("scgid_repeated_variables_requests_total{{app=\"{app}\"}}");
        eventually("nginx's alone is counted", || daemon.metric(&series) == Some(1.0));
    }
}

#[test]
fn headers_that_become_one_variable_are_no_way_to_be_refused() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        for mount in ["/shop", "/tasks", "/snake"] {
            let server = front.server();
            let answer = front.ask(&format!(
                "GET {mount}/variables HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 X-B: 1\r\nX_B: 2\r\n\r\n"
            ));

            let seen = variable(&answer.text(), "HTTP_X_B");
            let expected = match server {
                // They drop the one with an underscore.
                Server::Nginx | Server::Apache => "1",
                Server::ApacheModScgi | Server::Lighttpd => "1, 2",
            };
            assert_eq!((answer.status, seen.as_deref()), (200, Some(expected)), "{server:?}");
        }
    }
}

#[test]
fn an_expectation_that_nobody_knows_is_refused_by_apache_alone() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let answer = front.ask(
            "POST /shop/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Expect: the-unexpected\r\nContent-Length: 3\r\n\r\nabc",
        );

        let expected = if front.server().is_apache() { 417 } else { 200 };
        assert_eq!(answer.status, expected, "{:?}: {}", front.server(), answer.text());
    }
}

#[test]
fn the_largest_head_that_apache_passes_on_is_served() {
    const FIELDS: usize = 97;
    let (_daemon, fronts) = all();
    let value = "x".repeat(8100);
    let fields: String = (0..FIELDS).map(|n| format!("X-{n}: {value}\r\n")).collect();

    for front in fronts.iter().filter(|front| front.server().is_apache()) {
        for mount in ["/shop", "/tasks", "/snake"] {
            let answer = front.ask(&format!(
                "GET {mount}/variables HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 {fields}\r\n"
            ));

            assert_eq!(answer.status, 200, "{:?} {mount}", front.server());
            let told = answer.text();
            let whole = (0..FIELDS).all(|n| told.contains(&format!("HTTP_X_{n} = {value}\n")));
            assert!(whole, "{:?} {mount}: {} bytes", front.server(), told.len());
        }
    }
}
