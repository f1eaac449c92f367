//! Programs that people have, as they are: each serves behind all four front ends, survives what a
//! worker's life brings, and leaves nothing behind.

use nix::sys::signal::Signal;
use scgi_tests::{Daemon, FrontEnd, Request, Server, Site, eventually, process, python};

/// An application as the guide that came with the classic package describes it: a class with
/// `produce`, a main program, and an import, which is all that differs.
const GUIDE: &str = r#"
IMPORT

class MyAppHandler(SCGIHandler):

    def produce(self, env, bodysize, input, output):
        body = input.read(bodysize)
        output.write(b"Content-Type: text/plain\r\n\r\n")
        output.write(b"Hello %s, %d bytes" % (env["REMOTE_ADDR"].encode(), len(body)))

def main():
    SCGIServer(handler_class=MyAppHandler).serve()

if __name__ == "__main__":
    main()
"#;

/// What it says behind any front end.
fn guide_serves(front: &FrontEnd) {
    let answer = front.post("/app/", b"12345");
    let place = front.server();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "Hello 127.0.0.1, 5 bytes"),
        "{place:?}"
    );
}

/// Kills a worker, rolls, stops and starts the app `app`, which answers as `serves` expects in
/// between, behind each front end.
#[track_caller]
fn lives(daemon: &Daemon, serves: impl Fn(&FrontEnd)) {
    let fronts = Server::ALL.map(|server| FrontEnd::start(server, daemon));
    let serves = || fronts.iter().for_each(&serves);
    let done = |order: &str| {
        let said = daemon.scgictl(order);
        assert_eq!(said.code, Some(0), "{order}: {said:?}");
    };

    serves();
    let first = daemon.pids("app");
    process::signal(first[0], Signal::SIGKILL);
    daemon.until_replaced("app", first[0], first.len());
    serves();

    let second = daemon.pids("app");
    done("reload app");
    assert!(daemon.pids("app").iter().all(|pid| !second.contains(pid)));
    serves();

    let third = daemon.pids("app");
    done("stop app");
    let gone = first.iter().chain(&second).chain(&third);
    assert!(gone.clone().all(|pid| !process::is_alive(*pid)));
    let mark = format!("MARK={}", daemon.site().path("").display());
    let mark = mark.trim_end_matches('/');
    eventually("nothing is left behind", || process::with_environment(mark).is_empty());
    assert_eq!(fronts[0].get("/app/").status, 502);
    done("start app");
    serves();
}

/// A site of one app, which runs `words` in the site's folder.
fn app(words: &str, more: &str) -> Site {
    Site::new(&format!(
        "
apps:
  app:
    run: [$python, {words}]
    directory: $dir
    listen: [{{address: 'unix:$dir/app.sock', mode: '0666'}}, '127.0.0.1:$port_app']
    mount: /app
    env: {{MARK: $dir, TRAC_ENV: $dir/trac}}
    workers: 2
{more}"
    ))
}

#[test]
fn the_example_of_the_classic_guide_runs_with_its_import_changed_and_nothing_else() {
    let site = app("guide.py", "");
    let import = "from scgi_worker.scgi_server import SCGIHandler, SCGIServer";
    site.write("guide.py", &GUIDE.replace("IMPORT", import));
    let daemon = site.serve();

    lives(&daemon, guide_serves);
}

#[test]
fn the_same_example_on_the_classic_package_runs_as_a_program_that_takes_a_socket() {
    // It takes one, and no more.
    let text = "
apps:
  app:
    run: [$python, guide.py]
    directory: $dir
    listen: '127.0.0.1:$port_app'
    mount: /app
    env: {MARK: $dir}
    workers: 2
    ready: {after: 300ms}
";
    let site = Site::new(text);
    let import = "from scgi.scgi_server import SCGIHandler, SCGIServer";
    site.write("guide.py", &GUIDE.replace("IMPORT", import));
    let daemon = site.serve();

    lives(&daemon, guide_serves);
}

/// The pages of Quixote's demo that show whether it works.
fn quixote_serves(front: &FrontEnd) {
    let page = front.get("/app/");
    let place = front.server();
    assert!(page.status == 200 && page.text().contains("Quixote"), "{place:?} {page:?}");
    for (target, status) in [("/app/simple", 200), ("/app/nowhere", 404), ("/app/error", 500)] {
        assert_eq!(front.get(target).status, status, "{place:?} {target}");
    }
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

    lives(&daemon, quixote_serves);
}

#[test]
fn the_quixote_demo_runs_by_its_own_runner() {
    let text = "
apps:
  app:
    run: [$python, -m, quixote.server.scgi_server]
    listen: '127.0.0.1:$port_app'
    mount: /app
    env: {MARK: $dir}
    workers: 2
    ready: {after: 300ms}
";
    let daemon = Site::new(text).serve();

    lives(&daemon, quixote_serves);
}

#[test]
fn trac_runs_as_a_wsgi_app() {
    let site = app("-m, scgi_worker, 'trac.web.main:dispatch_request'", "    concurrency: 4\n");
    let made = std::process::Command::new(python())
        .args(["-m", "trac.admin.console"])
        .arg(site.path("trac"))
        .args(["initenv", "A Project", "sqlite:db/trac.db"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let daemon = site.serve();

    lives(&daemon, |front| {
        let wiki = front.get("/app/wiki");
        let place = front.server();
        assert!(wiki.status == 200 && wiki.text().contains("A Project"), "{place:?} {wiki:?}");
        assert!(wiki.text().contains("href=\"/app/timeline\""), "{place:?}: its links lead back");
        assert_eq!(front.get("/app/chrome/common/css/trac.css").status, 200, "{place:?}");
        assert_eq!(front.get("/app/nowhere").status, 404, "{place:?}");
    });
}

#[test]
fn aioscgi_takes_its_socket_and_says_when_it_is_ready() {
    let site = app("-c, 'from aioscgi.main import main; main()', --systemd, 'small:app'", "");
    small_asgi_app(&site);
    let daemon = site.serve();

    lives(&daemon, asgi_serves);
    finishes_what_it_took(&daemon);
}

#[test]
fn the_same_asgi_app_runs_on_the_python_face() {
    let site = app("-m, scgi_worker, 'small:app'", "");
    small_asgi_app(&site);
    let daemon = site.serve();

    lives(&daemon, asgi_serves);
    finishes_what_it_took(&daemon);
}

/// A request that is under way when its worker is rolled is answered.
fn finishes_what_it_took(daemon: &Daemon) {
    let (before, client) = (daemon.pids("app"), daemon.app("app"));
    let target = "/app/held".to_owned();
    let held = client.begin(&Request { method: "GET", target, body: Vec::new() }).unwrap();
    eventually("it has begun", || daemon.site().path("begun").exists());

    daemon.order_at_once("POST", "/v1/apps/app/reload", "");
    eventually("others serve", || daemon.pids("app").iter().any(|pid| !before.contains(pid)));
    daemon.site().write("go", "");

    let answer = held.finish().unwrap();
    assert!(answer.text().ends_with("/held 0"), "{answer:?}");
}

fn small_asgi_app(site: &Site) {
    site.write(
        "small.py",
        "
import asyncio, os

async def app(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    if scope['path'].endswith('/held'):
        open('begun', 'w').close()
        while not os.path.exists('go'):
            await asyncio.sleep(0.01)
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

fn asgi_serves(front: &FrontEnd) {
    let answer = front.post("/app/a/b", &vec![b'x'; 300_000]);
    let place = front.server();
    assert_eq!(answer.status, 200, "{place:?} {answer:?}");
    assert!(answer.text().ends_with("/a/b 300000"), "{place:?} {}", answer.text());
}
