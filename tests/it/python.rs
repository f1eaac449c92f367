//! Apps in Python under the daemon: how they fail, what is seen of it, and that the interfaces of
//! the Python face carry what people have.

mod preload;
mod programs;

use nix::sys::signal::Signal;
use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Site, eventually, process};

const SITE: &str = "
apps:
  shop:
    run: [$python, -m, scgi_worker, 'shop:app']
    directory: $dir
    listen: 'unix:$dir/shop.sock'
    workers: 2
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
";

/// An app that tells its process, and fails where it is asked to.
const SHOP: &str = "
import os, time

def app(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/boom':
        raise LookupError('no such thing')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if path == '/stream':
        return pieces()
    return [b'%s %s %d' % (environ['SCRIPT_NAME'].encode(), path.encode(), os.getpid())]

def pieces():
    for number in range(3):
        yield b'%d\\n' % number
";

/// A folder with an app in it.
fn site(text: &str, app: &str) -> Site {
    let site = Site::new(text);
    site.write("shop.py", app);
    site
}

fn told(daemon: &Daemon, line: &str) {
    eventually(&format!("`{line}` is told"), || {
        daemon.lines("shop").iter().any(|told| told.line == line)
    });
}

#[test]
fn an_app_that_cannot_be_imported_is_failing_with_its_traceback_in_status() {
    let daemon = site(SITE, "import nowhere_to_be_found\n").start();
    daemon.until("shop", AppState::Failing);

    let status = daemon.scgictl("status");

    assert!(status.out.contains("exit 1"), "{status:?}");
    let cause = "ModuleNotFoundError: No module named 'nowhere_to_be_found'";
    assert!(status.out.contains(cause), "{status:?}");
}

#[test]
fn a_deploy_that_cannot_be_imported_is_held_and_the_old_code_serves() {
    let daemon = site(SITE, SHOP).serve();
    daemon.site().write("shop.py", "def app(:\n");

    let reload = daemon.scgictl("reload shop");

    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert_eq!(daemon.look("shop").state, AppState::Held);
    let status = daemon.scgictl("status");
    assert!(status.out.contains("SyntaxError: invalid syntax"), "{status:?}");
    assert_eq!(daemon.app("shop").get("/").unwrap().status, 200);
}

#[test]
fn an_exception_is_a_500_with_its_traceback_in_the_log_and_no_death() {
    let daemon = site(SITE, SHOP).serve();
    let pids = daemon.pids("shop");

    let answer = daemon.app("shop").get("/boom").unwrap();

    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("LookupError"), "{answer:?}");
    told(&daemon, "LookupError: no such thing");
    told(&daemon, "scgi-worker: the app raised LookupError, see above (GET /boom)");
    let logs = daemon.scgictl("logs shop").out;
    assert!(logs.contains("raise LookupError('no such thing')"), "{logs}");
    assert_eq!(daemon.pids("shop"), pids);
    assert_eq!(daemon.requests_counted("shop"), 1);
}

#[test]
fn a_python_app_gets_its_mount_and_its_threads_from_the_configuration() {
    let text = SITE.replace("workers: 2", "workers: 1\n    mount: /shop\n    concurrency: 3");
    let daemon = site(&text, SHOP).serve();

    let answer = daemon.app("shop").get("/shop/a").unwrap();

    assert!(answer.text().starts_with("/shop /a "), "{answer:?}");
    let threads = format!("/proc/{}/task", daemon.pids("shop")[0]);
    assert!(std::fs::read_dir(threads).unwrap().count() >= 3);
}

#[test]
fn a_stream_of_a_python_app_comes_through() {
    let daemon = site(SITE, SHOP).serve();

    assert_eq!(daemon.app("shop").get("/stream").unwrap().text(), "0\n1\n2\n");
}

#[test]
fn requests_under_way_are_finished_when_a_python_app_is_rolled() {
    let slow = "
import os, time

def app(environ, start_response):
    if environ['PATH_INFO'] == '/slow':
        open('begun', 'w').close()
        while not os.path.exists('go'):
            time.sleep(0.01)
    start_response('200 OK', [])
    return [b'done']
";
    let daemon = site(SITE, slow).serve();
    let before = daemon.pids("shop");
    let client = daemon.app("shop");
    let request = scgi_tests::Request { method: "GET", target: "/slow".into(), body: Vec::new() };
    let exchange = client.begin(&request).unwrap();
    eventually("it has begun", || daemon.site().path("begun").exists());

    daemon.order_at_once("POST", "/v1/apps/shop/reload", "");
    eventually("others serve", || daemon.pids("shop").iter().all(|pid| !before.contains(pid)));
    daemon.site().write("go", "");

    assert_eq!(exchange.finish().unwrap().text(), "done");
}

#[test]
fn a_python_worker_leaves_when_it_is_told_to_whatever_signals_mean_to_its_app() {
    let text = format!("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SHOP}");
    let daemon = site(SITE, &text).serve();
    let pids = daemon.pids("shop");

    for pid in &pids {
        process::signal(*pid, Signal::SIGHUP);
    }
    assert_eq!(daemon.app("shop").get("/").unwrap().status, 200);

    let ended = daemon.stop();
    assert!(ended.is_in_order(), "{ended:?}");
    assert!(pids.iter().all(|pid| !process::is_alive(*pid)));
    assert!(!ended.err.contains("killed"), "{}", ended.err);
}
