//! The first five minutes: the demo, which needs no file and no web server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use scgi_tests::http;
use scgi_tests::{Port, Said, eventually, eventually_some, process, program};

/// The demo, as somebody runs it in a terminal.
struct Demo {
    port: Port,
    process: Child,
    /// What it printed until it was up.
    told: String,
}

impl Demo {
    fn start() -> Self {
        let port = Port::reserve();
        let mut process = Command::new(program("it-scgid"))
            .args(["demo", "--port", &port.number().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            told.push_str(&line.unwrap());
            told.push('\n');
            if told.contains("End with Ctrl-C") {
                return Self { port, process, told };
            }
        }
        let output = process.wait_with_output().unwrap();
        panic!("the demo ended: {told}{}", String::from_utf8_lossy(&output.stderr));
    }

    fn get(&self, target: &str) -> http::Answer {
        http::get(self.port.number(), target).unwrap()
    }

    /// The control socket, from the command it tells to type.
    fn socket(&self) -> PathBuf {
        let (_, rest) = self.told.split_once("SCGI_SOCKET=").unwrap();
        rest.lines().next().unwrap().into()
    }

    fn scgictl(&self, arguments: &str) -> String {
        let mut command = Command::new(program("it-scgictl"));
        command.args(arguments.split(' ')).env("SCGI_SOCKET", self.socket());
        let said = Said::by(command);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.out
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let folder = self.socket().parent().map(Path::to_owned).unwrap();
        process::end(&mut self.process);
        // Killed, it could not do so itself.
        let _it_may_be_gone = std::fs::remove_dir_all(folder);
    }
}

#[test]
fn it_tells_where_to_look_how_the_apps_are_and_what_to_type() {
    let demo = Demo::start();

    assert!(demo.told.contains(&format!("http://127.0.0.1:{}/", demo.port.number())));
    let row = |app: &str| demo.told.lines().find(|line| line.starts_with(app)).unwrap();
    assert!(row("environ").contains("serving"), "{}", demo.told);
    assert!(row("guestbook").contains("idle"), "{}", demo.told);
    let commands = demo.told.lines().filter(|line| line.trim().starts_with("scgictl ")).count();
    assert_eq!(commands, 3, "{}", demo.told);
}

#[test]
fn a_browser_sees_both_apps() {
    let demo = Demo::start();

    let front = demo.get("/");
    let environ = demo.get("/environ");
    let book = demo.get("/guestbook");

    assert_eq!(front.status, 200);
    for link in ["/environ", "/guestbook"] {
        assert!(front.text().contains(link), "{}", front.text());
    }
    assert_eq!((environ.status, book.status), (200, 200));
    assert!(environ.text().contains("REQUEST_METHOD"), "{}", environ.text());
    assert_eq!(demo.get("/nowhere").status, 404);
}

#[test]
fn the_app_on_demand_starts_with_the_first_request() {
    let demo = Demo::start();
    assert!(demo.scgictl("ps guestbook").contains("idle"));

    assert_eq!(demo.get("/guestbook").status, 200);

    eventually("its worker serves", || demo.scgictl("ps guestbook").contains("serving"));
}

#[test]
fn what_it_tells_to_type_works() {
    let demo = Demo::start();

    for line in demo.told.lines().filter_map(|line| line.trim().strip_prefix("scgictl ")) {
        let words = line.split('#').next().unwrap().trim();
        // What follows goes on until it is interrupted.
        demo.scgictl(words.trim_end_matches(" -f"));
    }
    assert!(demo.scgictl("ps environ").contains("4/4"));
}

#[test]
fn it_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let folder = demo.socket().parent().map(Path::to_owned).unwrap();
    let all = process::descendants(i32::try_from(demo.process.id()).unwrap());
    assert!(folder.exists() && all.len() >= 3, "{all:?}");

    process::signal(i32::try_from(demo.process.id()).unwrap(), Signal::SIGINT);
    let status = eventually_some("it ends", || demo.process.try_wait().unwrap());

    assert_eq!(status.code(), Some(0));
    assert!(!folder.exists());
    eventually("all are gone", || all.iter().all(|pid| !process::is_alive(*pid)));
}

#[test]
fn demos_that_begin_in_the_same_moment_all_come_up() {
    let all: Vec<_> = (0..4).map(|_| std::thread::spawn(Demo::start)).collect();

    for demo in all {
        let demo = demo.join().expect("it comes up");
        assert_eq!(demo.get("/environ").status, 200);
        assert!(demo.scgictl("ps -o name").contains("environ"));
    }
}
