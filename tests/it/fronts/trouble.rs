//! Apps that refuse, a daemon that is away, and changes under load: what the client sees.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::http::{self, Answer};
use scgi_tests::{FrontEnd, Load, Server, Site, eventually};

use super::{all, mounts};

/// Longer than anything that lies between: sockets, buffers, pipes.
const LARGE_BYTES: usize = 8 << 20;

/// How often each large body is sent: what depends on luck shows itself.
const ATTEMPTS: usize = 6;

/// Half of a body that is larger than what mod_scgi keeps.
const HALF_BYTES: usize = 20_000;

#[test]
fn an_answer_before_the_body_was_read_arrives() {
    let (_daemon, fronts) = all();
    let large = vec![b'x'; LARGE_BYTES];

    for front in &fronts {
        for mount in ["/shop", "/tasks", "/snake"] {
            for attempt in 0..ATTEMPTS {
                let busy = front.post(&format!("{mount}/busy"), &large);
                let small = front.post(&format!("{mount}/small"), &large);

                let place = format!("{:?} {mount}, attempt {attempt}", front.server());
                assert_eq!((busy.status, busy.text().as_str()), (503, "busy\n"), "{place}");
                assert_eq!(small.status, 413, "{place}");
            }
        }
    }
}

#[test]
fn a_cgi_program_that_reads_nothing_of_a_large_upload_is_heard() {
    let site = Site::new(
        "
apps:
  shop: {run: [$dir/cgi-bin], kind: cgi, listen: '127.0.0.1:$port_shop', mount: /shop, workers: 1}
",
    );
    std::fs::create_dir(site.path("cgi-bin")).unwrap();
    let full = "#!/bin/sh\nprintf 'Status: 507\\nContent-Type: text/plain\\n\\nfull\\n'\n";
    let program = site.write("cgi-bin/full", full);
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = site.serve();
    let large = vec![b'x'; LARGE_BYTES];

    for server in Server::ALL {
        let front = FrontEnd::start(server, &daemon);
        for attempt in 0..ATTEMPTS {
            let place = format!("{server:?}, attempt {attempt}");
            let full = front.post("/shop/full", &large);
            assert_eq!((full.status, full.text().as_str()), (507, "full\n"), "{place}");
            assert_eq!(front.post("/shop/none", &large).status, 404, "{place}");
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
fn slow_clients_hold_no_worker_whoever_keeps_what_is_theirs() {
    let (daemon, fronts) = all();

    for front in &fronts {
        for app in ["shop", "tasks", "snake"] {
            let is_free = || daemon.look(app).busy == 0;
            let before = daemon.look(app).requests;
            let mut reader = http::tcp(front.port()).unwrap();
            write!(reader, "GET /{app}/large HTTP/1.0\r\n\r\n").unwrap();
            let mut writer = http::tcp(front.port()).unwrap();
            let half = "x".repeat(HALF_BYTES);
            let head = format!("POST /{app}/echo HTTP/1.0\r\nContent-Length: {}", 2 * HALF_BYTES);
            write!(writer, "{head}\r\n\r\n{half}").unwrap();

            // The one has its whole answer while its reader has read nothing; the other is not there.
            let server = front.server();
            let in_flight = format!("scgid_requests_in_flight{{app=\"{app}\"}}");
            if server.is_apache() {
                // Apache passes both on as they come; the worker waits for them beside its work.
                let parked = format!("scgid_clients_parked{{app=\"{app}\"}}");
                eventually("both are parked", || daemon.metric(&parked) == Some(2.0));
            } else {
                eventually("one is served", || daemon.look(app).requests == before + 1);
            }
            eventually(&format!("workers are free behind {server:?}"), || {
                is_free() && daemon.metric(&in_flight) == Some(0.0)
            });
            assert_eq!(front.get(&format!("/{app}/hello")).status, 200);
        }
    }
}

#[test]
fn a_client_that_leaves_costs_no_worker_and_is_counted_where_the_server_tells() {
    let (daemon, fronts) = all();

    for front in &fronts {
        for app in ["shop", "tasks", "snake"] {
            let place = format!("{:?} {app}", front.server());
            let pids = daemon.pids(app);
            let aborted = format!("scgid_aborted_requests_total{{app=\"{app}\"}}");
            let before = daemon.metric(&aborted).unwrap_or_default();

            // In the middle of an upload, and of an answer that nobody keeps.
            let mut writer = http::tcp(front.port()).unwrap();
            let half = "x".repeat(HALF_BYTES);
            let head = format!("POST /{app}/echo HTTP/1.0\r\nContent-Length: {}", 2 * HALF_BYTES);
            write!(writer, "{head}\r\n\r\n{half}").unwrap();
            drop(writer);
            let mut reader = http::tcp(front.port()).unwrap();
            write!(reader, "GET /{app}/large HTTP/1.0\r\n\r\n").unwrap();
            reader.read_exact(&mut [0; 1000]).unwrap();
            drop(reader);

            if front.server().is_apache() {
                eventually(&format!("{place}: both are told"), || {
                    daemon.metric(&aborted) == Some(before + 2.0)
                });
            }
            eventually("workers are free", || daemon.look(app).busy == 0);
            assert_eq!(front.get(&format!("/{app}/hello")).status, 200, "{place}");
            assert_eq!(daemon.pids(app), pids, "{place}");
            assert_eq!(daemon.lines(app).len(), 0, "{place}: nobody is to blame");
        }
    }
}

#[test]
fn a_client_that_leaves_nginx_while_it_waits_is_seen_to_be_gone() {
    let (daemon, fronts) = all();

    for app in ["shop", "tasks", "snake"] {
        let pids = daemon.pids(app);
        let mut client = http::tcp(fronts[0].port()).unwrap();
        write!(client, "GET /{app}/abandoned HTTP/1.0\r\n\r\n").unwrap();
        eventually("it is worked for", || daemon.look(app).busy == 1);

        drop(client);

        let aborted = format!("scgid_aborted_requests_total{{app=\"{app}\"}}");
        eventually("it is an abort", || daemon.metric(&aborted) == Some(1.0));
        assert_eq!(daemon.look(app).busy, 0, "{app}");
        assert_eq!(daemon.lines(app).len(), 0, "{app}: nobody is to blame");
        assert_eq!(daemon.pids(app), pids);
    }
}

#[test]
fn who_waited_too_long_by_the_servers_stamp_is_refused_and_all_waiting_is_measured() {
    const SITE: &str = "
apps:
  shop:
    run: [$pages]
    listen: '127.0.0.1:$port_shop'
    mount: /shop
    workers: 1
    queue_timeout: 50ms
";
    for server in [Server::Nginx, Server::Apache, Server::ApacheModScgi] {
        let daemon = Site::new(SITE).serve();
        let front = FrontEnd::start(server, &daemon);
        let until = daemon.site().path("until");
        let ask = |target: String| {
            let mut client = http::tcp(front.port()).unwrap();
            write!(client, "GET {target} HTTP/1.0\r\n\r\n").unwrap();
            client
        };
        let _held = ask(format!("/shop/hold?until={}", until.display()));
        eventually("its only worker is held", || daemon.look("shop").busy == 1);
        let mut late = ask("/shop/hello".to_owned());
        eventually("somebody waits", || daemon.look("shop").queue == Some(1));
        let since = Instant::now();
        eventually("that took too long", || since.elapsed() > Duration::from_millis(60));

        std::fs::write(&until, "").unwrap();

        let mut answer = String::new();
        late.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 503 "), "{server:?}: {answer}");
        assert!(answer.to_lowercase().contains("retry-after: 1"), "{server:?}: {answer}");
        let count = |name: &str| daemon.metric(&format!("{name}{{app=\"shop\"}}"));
        eventually("it is counted", || {
            count("scgid_expired_requests_total") == Some(1.0)
                && count("scgid_queue_wait_seconds_count") >= Some(2.0)
        });
        assert!(count("scgid_queue_wait_seconds_sum") > Some(0.05), "{server:?}");
        assert_eq!(front.get("/shop/hello").status, 200, "{server:?}");
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

#[test]
fn tasks_and_python_are_reloaded_scaled_and_upgraded_without_a_loss_too() {
    let (daemon, fronts) = all();
    let loads = ["/tasks", "/snake"].map(|mount| load(&fronts[0], mount));
    loads.iter().for_each(|load| load.until_answered(100));

    for order in ["reload tasks", "reload snake", "upgrade", "scale tasks 1", "scale snake 3"] {
        let said = daemon.scgictl(order);
        assert_eq!(said.code, Some(0), "{order}: {said:?}");
        loads.iter().for_each(|load| load.until_answered(50));
    }

    for load in loads {
        assert_eq!(load.stop().failed, Vec::<String>::new());
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
