//! Apps that refuse, a daemon that is away, and changes under load: what the client sees.

use std::io::Write;

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::http::{self, Answer};
use scgi_tests::{FrontEnd, Load, Server, Site, eventually};

use super::{all, mounts};

/// Longer than anything that lies between: sockets, buffers, pipes.
const LARGE_BYTES: usize = 8 << 20;

/// How often each large body is sent: what depends on luck shows itself.
const ATTEMPTS: usize = 6;

#[test]
fn an_answer_before_the_body_was_read_arrives() {
    let (_daemon, fronts) = all();
    let large = vec![b'x'; LARGE_BYTES];

    for front in &fronts {
        for attempt in 0..ATTEMPTS {
            let busy = front.post("/shop/busy", &large);
            let small = front.post("/shop/small", &large);

            let place = format!("{:?}, attempt {attempt}", front.server());
            assert_eq!((busy.status, busy.text().as_str()), (503, "busy\n"), "{place}");
            assert_eq!(small.status, 413, "{place}");
        }
    }
}

#[test]
fn an_app_that_cannot_answer_says_503_to_large_uploads_too() {
    let site = Site::new(
        "
defaults: {restart: {budget: 1, backoff: {first: 10ms, max: 30s}}, workers: 1, mount: /shop}
apps:
  shop: {run: [/bin/false], listen: '127.0.0.1:$port_shop'}
",
    );
    let daemon = site.start();
    daemon.until("shop", AppState::Failing);
    let large = vec![b'x'; LARGE_BYTES];

    for server in Server::ALL {
        let front = FrontEnd::start(server, &daemon);
        eventually("the app is answered for", || front.get("/shop/").status == 503);

        for attempt in 0..ATTEMPTS {
            let answer = front.post("/shop/", &large);

            assert_eq!(answer.status, 503, "{server:?}, attempt {attempt}");
            assert!(answer.header("retry-after").is_some(), "{server:?} {answer:?}");
        }
    }
}

#[test]
fn slow_clients_hold_no_worker_behind_a_server_that_keeps_bodies() {
    let (daemon, fronts) = all();
    let is_free = || daemon.look("shop").busy == 0;

    for front in fronts.iter().filter(|front| !front.server().is_apache()) {
        let before = daemon.look("shop").requests;
        let mut reader = http::tcp(front.port()).unwrap();
        write!(reader, "GET /shop/large HTTP/1.0\r\n\r\n").unwrap();
        let mut writer = http::tcp(front.port()).unwrap();
        write!(writer, "POST /shop/echo HTTP/1.0\r\nContent-Length: 9999\r\n\r\nx").unwrap();

        // The one has its whole answer while its reader has read nothing; the other is not there.
        let server = front.server();
        eventually(&format!("workers are free behind {server:?}"), || {
            daemon.look("shop").requests == before + 1 && is_free()
        });
    }
}

#[test]
fn a_daemon_that_is_away_is_told_and_one_that_is_back_is_found() {
    for server in Server::ALL {
        let mut daemon = Site::new(super::SITE).serve();
        let front = FrontEnd::start(server, &daemon);
        assert_eq!(front.get("/shop/hello").status, 200, "{server:?}");

        daemon.signal(Signal::SIGTERM);
        eventually("the daemon ends", || !daemon.is_alive());
        let away = front.get("/shop/hello").status;
        daemon.restart();

        let expected = match server {
            Server::Nginx => 502,
            Server::Apache | Server::Lighttpd => 503,
            // After having tried for a quarter of a minute.
            Server::ApacheModScgi => 500,
        };
        assert_eq!(away, expected, "{server:?}");
        eventually("the app is found again", || front.get("/shop/hello").status == 200);
    }
}

#[test]
fn reloads_and_upgrades_under_load_cost_no_request_behind_any_server() {
    for server in Server::ALL {
        let daemon = Site::new(super::SITE).serve();
        let front = FrontEnd::start(server, &daemon);
        let loads: Vec<_> = mounts(server).iter().take(2).map(|at| load(&front, at)).collect();
        loads.iter().for_each(|load| load.until_answered(100));

        for order in ["reload --all", "upgrade", "reload shop", "scale shop 1", "scale shop 3"] {
            let said = daemon.scgictl(order);
            assert_eq!(said.code, Some(0), "{order}: {said:?}");
            loads.iter().for_each(|load| load.until_answered(50));
        }

        for load in loads {
            assert_eq!(load.stop().failed, Vec::<String>::new(), "{server:?}");
        }
    }
}

/// Clients of the app at `mount` through `front` who take nothing but the right answer.
fn load(front: &FrontEnd, mount: &str) -> Load {
    let (port, target) = (front.port(), format!("{mount}/hello"));
    Load::start(4, move || match http::get(port, &target) {
        Ok(Answer { status: 200, body, .. }) if body == b"hello\n" => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
        Err(error) => Err(error.to_string()),
    })
}
