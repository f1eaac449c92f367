//! What is tortured: a real daemon with apps of every kind, and an nginx in front of two of them.

use std::path::Path;
use std::time::Duration;

use scgi_tests::{Daemon, Ended, Nginx, Site, eventually, process};

use crate::dice::pause;

/// How often and how far apart it is looked at what the daemon holds.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(20);

/// The apps. A request may outlast many rolls, hence the time that workers have to leave.
const SITE: &str = "
defaults: {stop_timeout: 5m}
apps:
  unix: {run: [$echo], listen: 'unix:$dir/unix.sock', workers: 4}
  tcp: {run: [$echo], listen: '127.0.0.1:$port_tcp', workers: 4}
  single: {run: [$echo], listen: 'unix:$dir/single.sock', workers: 1}
  demand:
    run: [$echo]
    listen: 'unix:$dir/demand.sock'
    workers: {min: 0, max: 4, idle_timeout: 100ms}
  forked:
    run: [$python, -m, scgi_worker, 'hello:app']
    directory: $dir
    listen: 'unix:$dir/forked.sock'
    workers: 2
    preload: true
";

/// What the app in Python is.
const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello\\n']
";

/// An app, as the torture knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum App {
    /// Four workers on a unix socket.
    Unix,
    /// Four workers on TCP.
    Tcp,
    /// One worker.
    Single,
    /// From none to four workers.
    Demand,
    /// Two workers that are forked from a template.
    Forked,
}

impl App {
    pub(crate) const ALL: [Self; 5] =
        [Self::Unix, Self::Tcp, Self::Single, Self::Demand, Self::Forked];

    /// Its name in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
            Self::Single => "single",
            Self::Demand => "demand",
            Self::Forked => "forked",
        }
    }

    /// How many workers it has when nobody asks it anything.
    pub(crate) const fn workers_at_rest(self) -> u16 {
        match self {
            Self::Unix | Self::Tcp => 4,
            Self::Single => 1,
            Self::Demand => 0,
            Self::Forked => 2,
        }
    }

    /// How many processes it has then.
    pub(crate) fn processes_at_rest(self) -> usize {
        usize::from(self.workers_at_rest()) + usize::from(self == Self::Forked)
    }
}

/// The daemon and what stands in front of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) daemon: Daemon,
    pub(crate) nginx: Nginx,
}

/// What a daemon holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holdings {
    pub(crate) descriptors: usize,
    pub(crate) memory_bytes: u64,
}

impl World {
    /// Starts all of it, and rolls every app once, so that whatever is made once has been made.
    pub(crate) fn start() -> Self {
        let site = Site::new(SITE);
        site.write("hello.py", HELLO);
        let daemon = site.serve();
        let pass = |app: App| {
            let (name, address) = (app.name(), &daemon.look(app.name()).listen[0]);
            format!(
                "location /{name}/ {{ rewrite ^/{name}(/.*)$ $1 break; include scgi_params; \
                 scgi_pass {address}; }}\n"
            )
        };
        let nginx = Nginx::start(&(pass(App::Unix) + &pass(App::Tcp)));
        let world = Self { daemon, nginx };
        world.roll_everybody();
        world
    }

    /// Rolls every app once, and waits until all are at rest: all workers are children of the daemon
    /// that there is, of whom it holds less than of those it took over.
    pub(crate) fn roll_everybody(&self) {
        for app in App::ALL {
            self.daemon.order("POST", &format!("/v1/apps/{}/reload", app.name()), "");
        }
        self.until_at_rest();
    }

    /// Waits until every app has the workers it has when nobody asks, and no other.
    pub(crate) fn until_at_rest(&self) {
        for app in App::ALL {
            self.daemon.until_serving(app.name(), app.workers_at_rest());
            // The template of the launch before stays until the latest is trusted.
            eventually("nobody else is there", || {
                self.daemon.describe(app.name()).workers_now.len() == app.processes_at_rest()
            });
        }
    }

    /// Ends the daemon in order.
    pub(crate) fn stop(self) -> Ended {
        let Self { daemon, nginx, .. } = self;
        drop(nginx);
        daemon.stop()
    }

    /// What the daemon holds: the least of some looks, since a connection to it that was answered is
    /// closed a moment later.
    pub(crate) fn holdings(&self) -> Holdings {
        let pid = self.daemon.pid();
        let folder = Path::new("/proc").join(pid.to_string()).join("fd");
        let look = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
        let mut descriptors = look();
        for _ in 1..LOOKS {
            pause(LOOK);
            descriptors = descriptors.min(look());
        }
        Holdings { descriptors, memory_bytes: process::resident_bytes(pid) }
    }
}
