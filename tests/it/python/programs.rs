//! Programs that people have, as they are: each serves, survives what a worker's life brings, and
//! leaves nothing behind.

use nix::sys::signal::Signal;
use scgi_tests::{Daemon, Site, eventually, process, python};

/// The example of the guide that came with the classic package, whose import is all that differs.
const GUIDE: &str = r#"
IMPORT

class MyAppHandler(scgi_server.SCGIHandler):

    def produce(self, env, bodysize, input, output):
        body = input.read(bodysize)
        output.write(b"Content-Type: text/plain\r\n\r\n")
        output.write(b"Hello %s, %d bytes" % (env["REMOTE_ADDR"].encode(), len(body)))

def main():
    scgi_server.SCGIServer(handler_class=MyAppHandler).serve()

if __name__ == "__main__":
    main()
"#;

/// Kills a worker, rolls and stops the app `name`, which answers as `serves` expects in between.
#[track_caller]
fn lives(daemon: &Daemon, name: &str, serves: impl Fn()) {
    serves();
    let first = daemon.pids(name);
    process::signal(first[0], Signal::SIGKILL);
    eventually("another one serves", || {
        let pids = daemon.pids(name);
        pids.len() == first.len() && !pids.contains(&first[0])
    });
    serves();

    let second = daemon.pids(name);
    let reload = daemon.scgictl(&format!("reload {name}"));
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert!(daemon.pids(name).iter().all(|pid| !second.contains(pid)));
    serves();

    let third = daemon.pids(name);
    let stop = daemon.scgictl(&format!("stop {name}"));
    assert_eq!(stop.code, Some(0), "{stop:?}");
    let gone = first.iter().chain(&second).chain(&third);
    assert!(gone.clone().all(|pid| !process::is_alive(*pid)));
}

/// A site of one app, which runs `words` in the site's folder.
fn app(words: &str, more: &str) -> Site {
    Site::new(&format!(
        "
apps:
  app:
    run: [$python, {words}]
    directory: $dir
    listen: 'unix:$dir/app.sock'
    workers: 2
{more}"
    ))
}

#[test]
fn the_example_of_the_classic_guide_runs_with_its_import_changed_and_nothing_else() {
    let site = app("guide.py", "");
    site.write("guide.py", &GUIDE.replace("IMPORT", "from scgi_worker import scgi_server"));
    let daemon = site.serve();

    lives(&daemon, "app", || {
        let answer = daemon.app("app").post("/", "12345").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "Hello 127.0.0.1, 5 bytes"));
    });
}

#[test]
fn the_same_example_on_the_classic_package_runs_as_a_program_that_takes_a_socket() {
    let site = app("guide.py", "    ready: {after: 300ms}\n");
    site.write("guide.py", &GUIDE.replace("IMPORT", "from scgi import scgi_server"));
    let daemon = site.serve();

    lives(&daemon, "app", || {
        let answer = daemon.app("app").post("/", "12345").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "Hello 127.0.0.1, 5 bytes"));
    });
}

/// The pages of Quixote's demo that show whether it works.
fn quixote_serves(daemon: &Daemon) {
    let client = daemon.app("app");
    let front = client.get("/").unwrap();
    assert!(front.status == 200 && front.text().contains("Quixote"), "{front:?}");
    assert_eq!(client.get("/simple").unwrap().status, 200);
    assert_eq!(client.get("/nowhere").unwrap().status, 404);
    assert_eq!(client.get("/error").unwrap().status, 500);
}

#[test]
fn the_quixote_demo_runs_as_a_handler_class() {
    let site = app("-m, scgi_worker, 'demo:Handler'", "");
    site.write(
        "demo.py",
        "
from quixote.demo import create_publisher
from quixote.server.scgi_server import QuixoteHandler

class Handler(QuixoteHandler):
    def __init__(self, parent_fd):
        QuixoteHandler.__init__(self, parent_fd, create_publisher)
",
    );
    let daemon = site.serve();

    lives(&daemon, "app", || quixote_serves(&daemon));
}

#[test]
fn the_quixote_demo_runs_by_its_own_runner() {
    let daemon = app("-m, quixote.server.scgi_server", "    ready: {after: 300ms}\n").serve();

    lives(&daemon, "app", || quixote_serves(&daemon));
}

#[test]
fn trac_runs_as_a_wsgi_app() {
    let site = app(
        "-m, scgi_worker, 'trac.web.main:dispatch_request'",
        "    env: {TRAC_ENV: $dir/trac}\n    concurrency: 4\n",
    );
    let made = std::process::Command::new(python())
        .args(["-m", "trac.admin.console"])
        .arg(site.path("trac"))
        .args(["initenv", "A Project", "sqlite:db/trac.db"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let daemon = site.serve();

    lives(&daemon, "app", || {
        let client = daemon.app("app");
        let wiki = client.get("/wiki").unwrap();
        assert!(wiki.status == 200 && wiki.text().contains("A Project"), "{wiki:?}");
        assert_eq!(client.get("/chrome/common/css/trac.css").unwrap().status, 200);
        assert_eq!(client.get("/nowhere").unwrap().status, 404);
    });
}

#[test]
fn aioscgi_takes_its_socket_and_says_when_it_is_ready() {
    let site = app("-c, 'from aioscgi.main import main; main()', --systemd, 'small:app'", "");
    small_asgi_app(&site);
    let daemon = site.serve();

    lives(&daemon, "app", || asgi_serves(&daemon));
}

#[test]
fn the_same_asgi_app_runs_on_the_python_face() {
    let site = app("-m, scgi_worker, 'small:app'", "");
    small_asgi_app(&site);
    let daemon = site.serve();

    lives(&daemon, "app", || asgi_serves(&daemon));
}

fn small_asgi_app(site: &Site) {
    site.write(
        "small.py",
        "
async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get('body', b'')), message.get('more_body', False)
    headers = [(b'Content-Type', b'text/plain')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    body = f\"{scope['path']} {size}\".encode()
    await send({'type': 'http.response.body', 'body': body})
",
    );
}

fn asgi_serves(daemon: &Daemon) {
    let answer = daemon.app("app").post("/a/b", vec![b'x'; 300_000]).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "/a/b 300000"));
}
