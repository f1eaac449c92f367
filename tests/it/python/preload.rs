//! Apps that are loaded once, in a template that their workers are forked from.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use scgi_protocol::control::{AppState, WorkerState};
use scgi_tests::{Daemon, Load, Site, eventually, process};

const SITE: &str = "
apps:
  shop:
    run: [$python, -m, scgi_worker, 'shop:app']
    directory: $dir
    listen: 'unix:$dir/shop.sock'
    workers: 3
    preload: true
    restart: {budget: 2, backoff: {first: 10ms, max: 1h}}
";

/// How much the app below loads, in bytes: far more than a worker needs for itself.
const LOADED: u64 = 64 << 20;

/// An app that is large, and tells what it finds.
const SHOP: &str = "
import os

print('loaded', flush=True)
LOADED = bytearray(b'x' * (64 << 20))
NAMES = ['SCGI_WORKER', 'SCGI_SEAT', 'LISTEN_PID', 'SCGI_TEMPLATE_FD']
hooks = []
os.register_at_fork(after_in_child=lambda: hooks.append(os.getpid()))

def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/hello':
        return [b'hello\\n']
    told = [os.environ.get(name, '-') for name in NAMES]
    told += [str(os.getpid()), str(os.getppid()), str(hooks == [os.getpid()])]
    return [' '.join(told).encode()]
";

fn site(app: &str) -> Site {
    let site = Site::new(SITE);
    site.write("shop.py", app);
    site
}

/// The processes of templates that are ready.
fn templates(daemon: &Daemon) -> Vec<i32> {
    let workers = daemon.describe("shop").workers_now.into_iter();
    let ready = workers.filter(|w| w.template && w.state == WorkerState::Idle);
    ready.filter_map(|w| w.pid).collect()
}

fn times_loaded(daemon: &Daemon) -> usize {
    daemon.lines("shop").iter().filter(|line| line.line == "loaded").count()
}

/// Whoever has loaded it may be ready before the daemon has read the line.
fn until_loaded(daemon: &Daemon, times: usize) {
    eventually("it is told that it was loaded", || times_loaded(daemon) >= times);
    assert_eq!(times_loaded(daemon), times);
}

/// Memory of a process that it shares with nobody, in bytes.
fn private_bytes(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
}

#[test]
fn workers_share_what_was_loaded_once_and_each_has_its_own_birth() {
    let daemon = site(SHOP).serve();
    let pids: BTreeSet<_> = daemon.pids("shop").into_iter().collect();

    assert_eq!((pids.len(), templates(&daemon).len()), (3, 1));
    until_loaded(&daemon, 1);
    for pid in &pids {
        assert!(private_bytes(*pid) < LOADED / 2, "{} bytes are its own", private_bytes(*pid));
    }
    let answer = daemon.app("shop").get("/").unwrap().text();
    let words: Vec<&str> = answer.split(' ').collect();
    let [worker, seat, listen_pid, template, pid, parent, hooked_once] = words[..] else {
        panic!("{answer}");
    };
    assert!(pids.contains(&pid.parse().unwrap()) && pid == listen_pid, "{answer}");
    assert_eq!(parent, daemon.pid().to_string(), "whose child it is");
    assert_eq!((template, hooked_once), ("-", "True"), "{answer}");
    let shown = daemon.describe("shop").workers_now;
    let shown = shown.iter().find(|shown| shown.pid == pid.parse().ok()).unwrap();
    assert_eq!((worker, seat), (&*shown.id.to_string(), &*shown.seat.to_string()));
}

#[test]
fn what_dies_comes_back_workers_from_their_template_and_a_template_from_the_disk() {
    let patient = Site::new(&SITE.replace("restart: {", "# {"));
    patient.write("shop.py", SHOP);
    let daemon = patient.serve();
    let (template, pids) = (templates(&daemon), daemon.pids("shop"));

    process::signal(pids[1], Signal::SIGKILL);
    daemon.until_replaced("shop", pids[1], 3);
    assert_eq!((templates(&daemon), times_loaded(&daemon)), (template.clone(), 1));

    let pids = daemon.pids("shop");
    process::signal(template[0], Signal::SIGKILL);
    eventually("there is another template", || {
        let now = templates(&daemon);
        now.len() == 1 && now != template
    });
    until_loaded(&daemon, 2);
    assert_eq!(daemon.pids("shop"), pids);
}

#[test]
fn reloads_under_load_lose_nothing_and_bring_new_code() {
    let daemon = site(SHOP).serve();
    let (template, load) = (templates(&daemon), Load::hello(daemon.app("shop"), 4));
    load.until_answered(20);

    daemon.site().write("shop.py", &SHOP.replace("told = [", "told = ['new'] + ["));
    let reload = daemon.scgictl("reload shop");
    load.until_answered(20);

    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert_eq!(load.stop().failed, Vec::<String>::new());
    assert!(daemon.app("shop").get("/").unwrap().text().starts_with("new "));
    eventually("the old template is gone", || !process::is_alive(template[0]));
}

#[test]
fn a_deploy_that_cannot_be_loaded_is_held_with_its_traceback_and_nobody_leaves() {
    let daemon = site(SHOP).serve();
    let (template, pids) = (templates(&daemon), daemon.pids("shop"));

    daemon.site().write("shop.py", "import nowhere_to_be_found\n");
    let reload = daemon.scgictl("reload shop");

    assert_eq!(reload.code, Some(1), "{reload:?}");
    let cause = "ModuleNotFoundError: No module named 'nowhere_to_be_found'";
    assert!(reload.err.contains(cause), "{reload:?}");
    daemon.until("shop", AppState::Held);
    assert!(daemon.scgictl("status").out.contains(cause));
    assert_eq!((daemon.pids("shop"), templates(&daemon)), (pids, template));
}

#[test]
fn a_killed_daemon_and_an_upgrade_cost_no_request_and_the_next_template_is_its_own() {
    let mut daemon = site(SHOP).serve();
    let (template, pids) = (templates(&daemon), daemon.pids("shop"));
    let load = Load::hello(daemon.app("shop"), 4);
    load.until_answered(20);

    daemon.kill();
    load.until_answered(20);
    daemon.restart();
    eventually("the next daemon has a template", || {
        let now = templates(&daemon);
        now.len() == 1 && now != template
    });
    assert_eq!(daemon.pids("shop"), pids);
    assert_eq!(daemon.scgictl("upgrade").code, Some(0));
    load.until_answered(20);

    // The replacement of one that is no child of this daemon comes from its own template.
    process::signal(pids[0], Signal::SIGKILL);
    eventually("it is replaced", || {
        let now = daemon.pids("shop");
        now.len() == 3 && now[1..] == pids[1..] && now[0] != pids[0]
    });
    let outcome = load.stop();
    // The one that was killed took at most the request it was at.
    assert!(outcome.failed.len() <= 1, "{outcome:?}");
    assert_eq!(daemon.look("shop").restarts, 1);
}

#[test]
fn a_stop_leaves_nothing_and_a_start_loads_again() {
    let daemon = site(SHOP).serve();

    assert_eq!(daemon.scgictl("stop shop").code, Some(0));
    assert_eq!(daemon.staff(), Vec::<i32>::new());
    assert_eq!(daemon.scgictl("start shop").code, Some(0));

    assert_eq!(daemon.pids("shop").len(), 3);
    until_loaded(&daemon, 2);
    let ended = daemon.stop();
    assert!(ended.is_in_order(), "{}", ended.err);
}

#[test]
fn what_a_forked_worker_leaves_behind_is_known_as_its_own() {
    let app = "
import subprocess

def app(environ, start_response):
    start_response('200 OK', [])
    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    return [str(child.pid).encode()]
";
    let daemon = site(app).serve();
    let left: i32 = daemon.app("shop").get("/").unwrap().text().parse().unwrap();
    let other: i32 = daemon.app("shop").get("/").unwrap().text().parse().unwrap();
    assert!(process::is_alive(left) && process::is_alive(other));

    assert_eq!(daemon.scgictl("reload shop").code, Some(0));

    eventually("nothing is left of them", || !process::is_alive(left) && !process::is_alive(other));
    assert_eq!(daemon.pids("shop").len(), 3);
}

#[test]
fn a_worker_that_has_not_said_so_yet_is_nothing_that_was_left_behind() {
    // It waits between showing its number and saying that it is born.
    let app = "
import os, time
from scgi_worker import _template

show = _template.show

def show_and_wait(variables):
    show(variables)
    with open('shown', 'w') as shown:
        shown.write(str(os.getpid()))
    while not os.path.exists('go'):
        time.sleep(0.01)

_template.show = show_and_wait

def app(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";
    let text = SITE.replace("workers: 3", "workers: 1");
    let site =
        Site::new(&(text + "  blog: {run: [$echo], listen: 'unix:$dir/b.sock', workers: 1}"));
    site.write("shop.py", app);
    let daemon = site.start();
    let shown = || fs::read_to_string(daemon.site().path("shown")).unwrap_or_default();
    eventually("a worker shows its number", || !shown().is_empty());
    daemon.until_serving("blog", 1);

    // Whenever somebody dies it is looked for what was left behind.
    let [blog] = daemon.pids("blog")[..] else { panic!("one worker serves") };
    process::signal(blog, Signal::SIGKILL);
    daemon.until_replaced("blog", blog, 1);
    daemon.site().write("go", "");
    daemon.until_serving("shop", 1);

    assert_eq!(daemon.app("shop").get("/").unwrap().text(), shown());
    assert!(!daemon.log().contains("left behind"), "{}", daemon.log());
}

#[test]
fn an_asgi_app_begins_its_life_in_each_worker() {
    let app = "
import os

started = []

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            if message['type'] == 'lifespan.startup':
                started.append(os.getpid())
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    body = b'%d' % (started == [os.getpid()])
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': body})
";
    let daemon = site(app).serve();

    assert_eq!(daemon.app("shop").get("/").unwrap().text(), "1");
    assert_eq!(templates(&daemon).len(), 1);
}

#[test]
fn a_classic_program_is_loaded_once_up_to_the_call_that_serves() {
    let text = SITE.replace("[$python, -m, scgi_worker, 'shop:app']", "[$python, shop.py]");
    let site = Site::new(&text);
    site.write(
        "shop.py",
        "
from scgi_worker import scgi_server

print('loaded', flush=True)

class Handler(scgi_server.SCGIHandler):
    def produce(self, env, bodysize, input, output):
        output.write(b'Content-Type: text/plain\\r\\n\\r\\nhello\\n')

scgi_server.SCGIServer(handler_class=Handler).serve()
",
    );
    let daemon = site.serve();

    assert_eq!(daemon.app("shop").get("/").unwrap().text(), "hello\n");
    assert_eq!(daemon.pids("shop").len(), 3);
    until_loaded(&daemon, 1);
}

#[test]
fn a_program_that_cannot_fork_workers_says_so_and_what_to_do() {
    let text = SITE.replace("[$python, -m, scgi_worker, 'shop:app']", "[$echo]");
    let daemon = Site::new(&text).start();
    daemon.until("shop", AppState::Failing);

    let status = daemon.scgictl("status");

    assert!(status.out.contains("`preload: true` asks this program to fork workers"), "{status:?}");
    assert!(status.out.contains("remove the key"), "{status:?}");
    assert!(status.out.contains("exit 100"), "trying again would be no better: {status:?}");
    assert_eq!(daemon.app("shop").get("/").unwrap().status, 503);
}

#[test]
fn a_template_that_lies_about_who_was_forked_is_not_believed_and_ended() {
    let text = SITE
        .replace("[$python, -m, scgi_worker, 'shop:app']", "[$python, shop.py]")
        .replace("preload: true", "preload: true\n    start_timeout: 3s")
        .replace("budget: 2", "budget: 1");
    let site = Site::new(&text);
    site.write(
        "shop.py",
        "
import os, signal, socket

orders = socket.socket(fileno=int(os.environ['SCGI_TEMPLATE_FD']))
# Nonsense is passed over, and so are workers that nobody ordered.
for said in [b'\\xff', b'BORN\\x00999\\x00', b'FAILED\\x00999\\x00x\\x00']:
    orders.send(said)
orders.send(b'READY\\x00')
while order := orders.recv(1 << 16):
    variables = dict(word.split(b'=') for word in order[5:-1].split(b'\\x00'))
    born = b'BORN\\x00' + variables[b'SCGI_WORKER'] + b'\\x00'
    # It is not the worker itself, nor is a child of its own the daemon's.
    orders.send(born)
    if os.fork() == 0:
        orders.send(born)
        signal.pause()
",
    );
    let daemon = site.start();
    daemon.until("shop", AppState::Failing);

    let status = daemon.scgictl("status").out;

    assert!(status.contains("no worker forked within"), "{status}");
    let refusal = "process is not the worker that it claims to be";
    daemon.until_logged(refusal, 2);
    assert_eq!(daemon.app("shop").get("/").unwrap().status, 503);
}
