//! What a client asks is what an app hears.

use std::io::{BufRead, BufReader, Write};

use scgi_tests::{Server, http};

use super::{all, mounts};

#[test]
fn a_megabyte_comes_back_as_it_was_sent() {
    let (_daemon, fronts) = all();
    let megabyte: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();

    for front in &fronts {
        for mount in mounts(front.server()) {
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
        let answer = front.ask(
            "POST /shop/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
        );

        if front.server().is_apache() {
            assert_eq!(answer.status, 411, "{:?}", front.server());
        } else {
            assert_eq!((answer.status, answer.text().as_str()), (200, "abcdefg"));
        }
    }
    // mod_proxy_scgi opens a connection and closes it without a word: nobody's fault.
    assert_eq!(daemon.look("shop").restarts, 0);
    let refused = |reason| {
        daemon
            .metric(&format!("scgid_connections_refused_total{{app=\"shop\",reason=\"{reason}\"}}"))
    };
    assert_eq!(
        [refused("incomplete"), refused("malformed")].map(Option::unwrap_or_default),
        [0.0; 2]
    );
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
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 100 Continue"), "{server:?}");

        connection.write_all(b"abc").unwrap();

        let rest: Vec<_> = lines.collect();
        assert!(rest.contains(&"HTTP/1.1 200 OK".to_owned()), "{server:?}: {rest:?}");
        assert_eq!(rest.last().map(String::as_str), Some("abc"), "{server:?}: {rest:?}");
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
