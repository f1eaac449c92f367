//! A daemon under test, and what can be asked of it.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::Signal;
use scgi_protocol::control::{App, AppDetail, AppState, Event, LogLine, Operation, OperationState};
use scgi_protocol::control::{Status, WorkerState};
use serde::de::DeserializeOwned;

use crate::eventually::{PATIENCE, eventually, eventually_some};
use crate::http::{self, Answer};
use crate::process;
use crate::scgi::ScgiClient;
use crate::site::{Site, program};

/// How many lines of a daemon's log are shown when its test fails.
const LINES_SHOWN: usize = 60;

/// A running daemon. Dropping it kills it and all its workers; if the test fails, what it said is
/// printed.
#[derive(Debug)]
pub struct Daemon {
    site: Rc<Site>,
    process: Child,
}

/// What a program said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// What it said on standard error.
    pub err: String,
    /// Its folder, with what it left there.
    pub site: Rc<Site>,
}

impl Said {
    /// Runs `command` to its end.
    ///
    /// # Panics
    ///
    /// If it does not end within [`PATIENCE`]; it is killed then.
    pub fn by(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        let pid = i32::try_from(process.id()).unwrap();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(process.wait_with_output().unwrap()));
        let output = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            // It has not been waited for, so the number is its own.
            process::signal(pid, Signal::SIGKILL);
            panic!("it does not end: {command:?}");
        });
        Self::of(output)
    }

    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Daemon {
    /// Starts `command`, and waits until it answers at its control socket.
    pub fn start(site: Site, mut command: Command) -> Self {
        let log = File::create(site.path("daemon.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        let mut daemon = Self { site: Rc::new(site), process };
        daemon.until_it_answers();
        daemon
    }

    fn until_it_answers(&mut self) {
        eventually("the daemon answers", || {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended: {ended:?}");
            self.ask("GET", "/v1/status", "").is_ok()
        });
    }

    /// Kills it at once, as the kernel or a person in despair would: its workers are nobody's.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.process.wait().unwrap();
    }

    /// Starts another one in the place of one that was killed, and waits until it answers.
    pub fn restart(&mut self) {
        self.restart_by(|scgid| scgid);
    }

    /// The same, by the command that `how` makes of the usual one.
    pub fn restart_by(&mut self, how: impl Fn(Command) -> Command) {
        self.begin_again_by(how);
        self.until_it_answers();
    }

    /// Starts another one in the place of one that was killed.
    pub fn begin_again(&mut self) {
        self.begin_again_by(|scgid| scgid);
    }

    fn begin_again_by(&mut self, how: impl Fn(Command) -> Command) {
        let log = File::options().append(true).open(self.site.path("daemon.log")).unwrap();
        let mut command = how(self.site.scgid(&["run"]));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = command.spawn().unwrap();
    }

    /// All processes that belong to its workers, whosever children they are.
    pub fn staff(&self) -> Vec<i32> {
        let socket = self.site.path("control.sock.notify");
        process::with_environment(&format!("NOTIFY_SOCKET={}", socket.display()))
    }

    /// Waits until every app is well, or is known not to be; panics if one is not.
    pub fn until_up(&self) {
        let first = self.until_ended(1);
        assert_eq!(first.state, OperationState::Done, "{first:?}");
    }

    /// Its folder.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    /// What it has said so far on standard error.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.site.path("daemon.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has said `words` on standard error at least so many `times`: it never waits
    /// for who reads that, so a line may come later than what it tells of.
    pub fn until_logged(&self, words: &str, times: usize) {
        eventually(&format!("the log says `{words}`"), || {
            self.log().matches(words).count() >= times
        });
    }

    /// The answer of its control API, whatever it is.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn ask(&self, method: &str, target: &str, body: &str) -> std::io::Result<Answer> {
        http::send_unix(&self.site.path("control.sock"), method, target, body.as_bytes())
    }

    /// What its control API says at `target`.
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> T {
        let answer = self.ask("GET", target, "").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Gives an order, and waits until the operation has ended.
    pub fn order(&self, method: &str, target: &str, body: &str) -> Operation {
        let accepted = self.order_at_once(method, target, body);
        self.until_ended(accepted.id.0)
    }

    /// Gives an order, and returns the operation it began.
    pub fn order_at_once(&self, method: &str, target: &str, body: &str) -> Operation {
        let answer = self.ask(method, target, body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    }

    /// The operation `id`, once it has ended.
    pub fn until_ended(&self, id: u64) -> Operation {
        eventually_some("the operation ends", || {
            let answer = self.ask("GET", &format!("/v1/operations/{id}?wait=5"), "").ok()?;
            let operation: Operation = (answer.status == 200).then(|| answer.json())?;
            (operation.state != OperationState::Running).then_some(operation)
        })
    }

    /// How the daemon and all its apps are.
    pub fn status(&self) -> Status {
        self.get("/v1/status")
    }

    /// How the app `name` is.
    pub fn look(&self, name: &str) -> App {
        self.describe(name).app
    }

    /// All that is known of the app `name`.
    pub fn describe(&self, name: &str) -> AppDetail {
        self.get(&format!("/v1/apps/{name}"))
    }

    /// What happened so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.get("/v1/events?limit=2000")
    }

    /// The lines that workers of the app `name` wrote, oldest first.
    pub fn lines(&self, name: &str) -> Vec<LogLine> {
        self.get(&format!("/v1/apps/{name}/logs?lines=1000"))
    }

    /// Waits until the app `name` is in `state`.
    pub fn until(&self, name: &str, state: AppState) {
        eventually(&format!("{name} is {}", state.as_str()), || self.look(name).state == state);
    }

    /// Waits until `count` workers of the app `name` serve, and no other is there.
    pub fn until_serving(&self, name: &str, count: u16) {
        eventually(&format!("{count} workers of {name} serve"), || {
            let seats = self.look(name).workers;
            (seats.serving, seats.starting, seats.draining) == (count, 0, 0)
        });
    }

    /// Waits until the process `pid` is none of the app's workers any more, and `count` serve. Until
    /// the daemon has heard of a death there seem to be as many as before.
    pub fn until_replaced(&self, name: &str, pid: i32, count: usize) {
        eventually(&format!("another worker of {name} than {pid} serves"), || {
            let pids = self.pids(name);
            pids.len() == count && !pids.contains(&pid)
        });
    }

    /// The processes of the app's own workers that serve, in the order of their seats.
    pub fn pids(&self, name: &str) -> Vec<i32> {
        let serves = |state| matches!(state, WorkerState::Idle | WorkerState::Busy);
        let workers = self.describe(name).workers_now.into_iter();
        let own = workers.filter(|w| serves(w.state) && !w.relief && !w.template);
        own.filter_map(|w| w.pid).collect()
    }

    /// A client of the app `name`, at its first address.
    pub fn app(&self, name: &str) -> ScgiClient {
        ScgiClient::new(&self.look(name).listen[0])
    }

    /// The metrics as text.
    pub fn metrics(&self) -> String {
        http::get(self.site.metrics_port(), "/metrics").unwrap().text()
    }

    /// The value of one series, written as in the metrics; `None` if there is no such series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics();
        let rest = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(rest)
    }

    /// How many requests of the app `name` the metrics count, whatever their status.
    pub fn requests_counted(&self, name: &str) -> u64 {
        let series = format!("scgid_requests_total{{app=\"{name}\",");
        let text = self.metrics();
        let values = text.lines().filter(|line| line.starts_with(&series));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Runs `scgictl` with `arguments`, split at spaces, against this daemon.
    pub fn scgictl(&self, arguments: &str) -> Said {
        Said::by(self.scgictl_command(arguments))
    }

    /// `scgictl`, about to be run.
    pub fn scgictl_command(&self, arguments: &str) -> Command {
        let mut command = Command::new(program("it-scgictl"));
        command
            .args(arguments.split_whitespace())
            .env("SCGI_SOCKET", self.site.path("control.sock"))
            .env("COLUMNS", "200")
            .stdin(Stdio::null());
        command
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Ends it in order, and waits for it.
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.until_gone()
    }

    /// Waits until it has ended.
    pub fn until_gone(mut self) -> Ended {
        let process = &mut self.process;
        let status = eventually_some("the daemon ends", || process.try_wait().unwrap());
        Ended { status, err: self.log(), site: Rc::clone(&self.site) }
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Ended {
    /// Whether it ended in order.
    pub fn is_in_order(&self) -> bool {
        self.status.code() == Some(0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            eprintln!("---- what the daemon said last ----\n{last}\n----");
        }
        process::end(&mut self.process);
        // Those it took over are no children of its.
        for pid in self.staff() {
            let _it_may_have_ended = process::kill(pid);
        }
    }
}
