//! A real nginx in front of two apps from one file, one on TCP and one on a unix socket.

use std::io::{BufRead, BufReader, Write};

use nix::sys::signal::Signal;
use scgi_tests::http::{self, Answer};
use scgi_tests::{Daemon, Load, Nginx, Site, eventually, process};

/// Clients at once, as the promise says.
const CLIENTS: usize = 200;

const SITE: &str = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 4, mount: /blog}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 4, mount: /shop}
";

/// A daemon, and an nginx with `/blog` and `/shop` in front of it.
fn front(site: &str) -> (Daemon, Nginx) {
    let daemon = Site::new(site).serve();
    let location = |app: &str| {
        let address = daemon.look(app).listen[0].clone();
        format!("location /{app} {{ include scgi_params; scgi_pass {address}; }}\n")
    };
    let nginx = Nginx::start(&(location("blog") + &location("shop")));
    (daemon, nginx)
}

/// Asks nginx for `target` over and over; whatever is not 200 is a failure.
fn load(nginx: &Nginx, clients: usize, target: &'static str) -> Load {
    let port = nginx.port();
    Load::start(clients, move || match http::get(port, target) {
        Ok(Answer { status: 200, body, .. }) if body == b"hello\n" => Ok(()),
        Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
        Err(error) => Err(error.to_string()),
    })
}

#[test]
fn pages_come_through_with_their_paths_and_queries() {
    let (_daemon, nginx) = front(SITE);

    for app in ["blog", "shop"] {
        let hello = nginx.get(&format!("/{app}/hello"));
        let query = nginx.get(&format!("/{app}/query?a=1&b=%20x"));
        let missing = nginx.get(&format!("/{app}/nowhere"));

        assert_eq!((hello.status, hello.text().as_str()), (200, "hello\n"));
        assert_eq!((query.status, query.text().as_str()), (200, "a=1&b=%20x\n"));
        assert_eq!(missing.status, 404);
    }
}

#[test]
fn a_megabyte_comes_back_as_it_was_sent() {
    let (_daemon, nginx) = front(SITE);
    let megabyte: Vec<u8> = (0..1_u32 << 20).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();

    for app in ["blog", "shop"] {
        let answer = http::send(nginx.port(), "POST", &format!("/{app}/echo"), &megabyte).unwrap();

        assert_eq!(answer.status, 200);
        assert!(answer.body == megabyte, "{} bytes came back", answer.body.len());
    }
}

#[test]
fn head_is_answered_with_the_head_alone() {
    let (_daemon, nginx) = front(SITE);

    for app in ["blog", "shop"] {
        let target = format!("/{app}/hello");
        let mut connection = http::tcp(nginx.port()).unwrap();
        write!(connection, "HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let lines: Vec<_> = BufReader::new(connection).lines().map(Result::unwrap).collect();

        assert_eq!(lines[0], "HTTP/1.1 200 OK");
        assert!(lines.contains(&"Content-Length: 6".to_owned()), "{lines:?}");
        assert_eq!(lines.iter().position(String::is_empty), Some(lines.len() - 1), "{lines:?}");
    }
}

#[test]
fn a_stream_is_passed_on_while_it_is_being_made() {
    let (daemon, nginx) = front(SITE);

    for app in ["blog", "shop"] {
        let until = daemon.site().path(&format!("{app}-goes-on"));
        let mut connection = http::tcp(nginx.port()).unwrap();
        let target = format!("/{app}/stream?until={}", until.display());
        write!(connection, "GET {target} HTTP/1.0\r\n\r\n").unwrap();
        let mut lines = BufReader::new(connection).lines().map(Result::unwrap);

        // The first piece is here, and the app will not go on before it is told to.
        assert!(lines.any(|line| line == "piece 0"));
        std::fs::write(until, "").unwrap();
        let rest: Vec<_> = lines.collect();

        assert_eq!(rest, ["piece 1", "piece 2", "piece 3", "piece 4"]);
    }
}

#[test]
fn two_hundred_clients_at_once_are_all_served() {
    let (daemon, nginx) = front(SITE);

    let blog = load(&nginx, CLIENTS / 2, "/blog/hello");
    let shop = load(&nginx, CLIENTS / 2, "/shop/hello");
    blog.until_answered(2000);
    shop.until_answered(2000);
    let (blog, shop) = (blog.stop(), shop.stop());

    assert_eq!((blog.failed, shop.failed), (Vec::new(), Vec::new()));
    eventually("every request is counted", || {
        (daemon.look("blog").requests, daemon.look("shop").requests) == (blog.ok, shop.ok)
    });
}

#[test]
fn killing_workers_under_load_costs_the_requests_they_had_and_no_others() {
    const KILLS: usize = 4;
    let (daemon, nginx) = front(SITE);
    let blog = load(&nginx, CLIENTS / 2, "/blog/hello");
    let shop = load(&nginx, CLIENTS / 2, "/shop/hello");

    for kill in 0..KILLS {
        for app in ["blog", "shop"] {
            let pid = daemon.pids(app)[kill];
            process::signal(pid, Signal::SIGKILL);
            eventually("it is replaced", || {
                let pids = daemon.pids(app);
                pids.len() == 4 && !pids.contains(&pid)
            });
        }
        blog.until_answered(100);
        shop.until_answered(100);
    }

    for (app, outcome) in [("blog", blog.stop()), ("shop", shop.stop())] {
        // A worker serves one request at a time.
        assert!(outcome.failed.len() <= KILLS, "{app}: {outcome:?}");
        assert_eq!(daemon.look(app).restarts, KILLS as u64);
        let exits = format!("scgid_worker_exits_total{{app=\"{app}\",reason=\"signal\"}}");
        assert_eq!(daemon.metric(&exits), Some(KILLS as f64));
    }
}

#[test]
fn scaling_up_and_down_under_load_loses_nothing() {
    let (daemon, nginx) = front(SITE);
    let blog = load(&nginx, CLIENTS / 2, "/blog/hello");
    let shop = load(&nginx, CLIENTS / 2, "/shop/hello");

    for count in [1, 6, 2, 8, 1, 4] {
        for app in ["blog", "shop"] {
            let said = daemon.scgictl(&format!("scale {app} {count}"));
            assert_eq!(said.code, Some(0), "{said:?}");
            assert_eq!(daemon.look(app).workers.serving, count, "it waits until it is so");
        }
        blog.until_answered(100);
        shop.until_answered(100);
    }

    assert_eq!((blog.stop().failed, shop.stop().failed), (Vec::new(), Vec::new()));
}

#[test]
fn a_pool_on_demand_comes_from_nothing_grows_and_goes_back_to_nothing() {
    let (daemon, nginx) = front(
        "
apps:
  blog:
    run: [$echo]
    listen: 'unix:$dir/blog.sock'
    mount: /blog
    workers: {min: 0, max: 4, idle_timeout: 100ms}
  shop:
    run: [$echo]
    listen: '127.0.0.1:$port_shop'
    mount: /shop
    workers: {min: 0, max: 4, idle_timeout: 100ms}
",
    );

    for app in ["blog", "shop"] {
        let hello = format!("/{app}/hello");
        assert_eq!(daemon.look(app).workers.serving, 0);
        assert_eq!(nginx.get(&hello).text(), "hello\n", "the first request is served");

        let until = daemon.site().path(&format!("{app}-held"));
        let hold = format!("/{app}/hold?until={}", until.display());
        let port = nginx.port();
        let ask = move || http::get(port, &hold).unwrap().text();
        let held: Vec<_> = (0..8).map(|_| std::thread::spawn(ask.clone())).collect();
        daemon.until_serving(app, 4);
        eventually("four are served and four wait", || {
            let app = daemon.look(app);
            (app.busy, app.queue) == (4, Some(4))
        });
        std::fs::write(until, "").unwrap();
        for held in held {
            assert_eq!(held.join().unwrap(), "held\n");
        }

        daemon.until_serving(app, 0);
        assert_eq!(nginx.get(&hello).text(), "hello\n", "and the first one after that");
    }
}
