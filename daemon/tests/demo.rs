//! `scgid demo` as a newcomer meets it: one command, two apps in a browser, Ctrl-C, nothing left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so best by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than any busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Demo {
    process: Child,
    address: String,
    folder: PathBuf,
    welcome: String,
    out: BufReader<ChildStdout>,
}

impl Demo {
    /// Starts it and reads what it says until it has said everything.
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_scgid"))
            .args(["demo", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("End with Ctrl-C") {
            if out.read_line(&mut welcome).unwrap() == 0 {
                let mut why = String::new();
                process.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("the demo ended: {welcome}{why}");
            }
        }
        let between = |start: &str, end: &str| {
            let (_, rest) = welcome.split_once(start).unwrap();
            rest.split_once(end).unwrap().0.to_owned()
        };
        let address = between("  http://", "/\n");
        let folder = between("SCGI_SOCKET=", "/control.sock").into();
        Self { process, address, folder, welcome, out }
    }

    fn talk(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.talk(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
            self.address
        ))
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.interrupt();
            let _ = self.process.wait();
        }
    }
}

#[test]
fn a_newcomer_sees_two_apps_and_leaves_nothing_behind() {
    let mut demo = Demo::start();

    for line in ["environ ", "gateway ", "guestbook "] {
        assert!(demo.welcome.contains(&format!("\n{line}")), "{}", demo.welcome);
    }
    assert!(demo.welcome.contains("scgictl ps "), "{}", demo.welcome);
    let index = demo.get("/");
    assert!(index.contains("href=\"/environ/\"") && index.contains("href=\"/guestbook/\""));
    assert!(index.contains(&format!("SCGI_SOCKET={}", demo.folder.display())), "{index}");

    let environ = demo.get("/environ/a%20b?c=d");
    assert!(environ.contains("<h1>404") || environ.starts_with("HTTP/1.1 404"), "{environ}");
    let environ = demo.get("/environ/?c=d");
    assert!(environ.starts_with("HTTP/1.1 200 OK\r\n"), "{environ}");
    assert!(environ.contains("<td>QUERY_STRING</td><td>c=d</td>"), "{environ}");
    assert!(environ.contains("<dt>seat</dt>"), "{environ}");

    let signed = demo.talk(&format!(
        "POST /guestbook/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 24\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\nname=Ada&message=hi+there",
        demo.address
    ));
    assert!(signed.starts_with("HTTP/1.1 303 "), "{signed}");
    assert!(signed.contains("location: /guestbook/\r\n"), "{signed}");
    assert!(demo.get("/guestbook").contains("hi ther"));

    demo.interrupt();
    let status = demo.process.wait().unwrap();
    let mut rest = String::new();
    demo.out.read_to_string(&mut rest).unwrap();
    assert_eq!(status.code(), Some(0), "{rest}");
    assert!(!demo.folder.exists());
    assert!(TcpStream::connect(&demo.address).is_err());
}

#[test]
fn a_page_that_comes_piece_by_piece_passes_the_gateway_so() {
    let demo = Demo::start();
    let mut stream = TcpStream::connect(&demo.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    let request = "GET /guestbook/clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();

    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);

    assert!(lines.any(|line| line.contains("9 to go")));
    assert!(lines.any(|line| line.contains("8 to go")));
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_port_that_is_taken_is_refused_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let refused =
        Command::new(env!("CARGO_BIN_EXE_scgid")).args(["demo", "--port", &port]).output().unwrap();

    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with(&format!("scgid: port {port} cannot be had; ")), "{said}");
}

#[test]
fn the_configuration_can_be_printed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let printed =
        Command::new(env!("CARGO_BIN_EXE_scgid")).args(["demo", "--print"]).output().unwrap();
    std::fs::write(folder.path().join("demo.yaml"), &printed.stdout).unwrap();

    let checked = Command::new(env!("CARGO_BIN_EXE_scgid"))
        .args(["check", "demo.yaml"])
        .current_dir(folder.path())
        .output()
        .unwrap();

    assert_eq!(String::from_utf8_lossy(&checked.stdout), "demo.yaml: 3 apps, no problems\n");
}
