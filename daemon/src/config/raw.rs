//! Everything that may be written: the keys, their types, their meaning and their defaults.
//!
//! The comments on the keys are what `scgid schema` says of them. Nothing here looks at the
//! machine or compares one key with another; that is done in [`super::check`].

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::bound::{Bound, Cap};
use super::command::{Program, Variables};
use super::describe;
use super::kinds::{
    Apps, Defaults, Endpoint, Health, KindName, Listen, Metrics, OneOrMany, Ready, Surge, Workers,
};
use super::problem::Findings;
use super::read::{self, Keys, Read, Said, Shape, shape};
use super::scalar::{DAY, Flag, HOUR, Mode, SECOND, Size, Span, Text, Whole, Word};
use super::yaml::Node;

shape! {
    /// The apps of one machine and how scgid runs them.
    "a site" Site {
        /// The socket through which `scgictl` and other programs talk to the daemon.
        control: Control,
        /// Where Prometheus finds the metrics; `off` for nowhere.
        metrics: Metrics,
        /// The configurations that were in force, kept so that one can return to them.
        revisions: Revisions,
        /// Files holding further `apps`, relative to this one; the file's name may have `*` and
        /// `?`.
        include: OneOrMany<Text>,
        /// Any key of an app, for every app that does not say it. A mapping is filled up key by
        /// key; anything else an app says replaces what stands here.
        defaults: Defaults,
        /// The apps by name: a-z, 0-9 and `-`, beginning with a letter.
        apps: Apps,
    }
}

shape! {
    /// A file named by `include`.
    "an included file" Included {
        /// The apps by name: a-z, 0-9 and `-`, beginning with a letter.
        apps: Apps,
    }
}

shape! {
    /// The socket through which the daemon is told what to do, and who may.
    "`control`" Control {
        /// The socket's path (default for root `/run/scgid/control.sock`, for others
        /// `$XDG_RUNTIME_DIR/scgid/control.sock`).
        socket: Text,
        /// The user the socket belongs to (default: the daemon's own).
        owner: Word,
        /// The group the socket belongs to (default: the daemon's own).
        group: Word,
        /// The socket's permission bits, in quotes (default `"0660"`).
        mode: Mode,
        /// Who may look: `user:NAME` or `group:NAME`, whose members count by all their groups (default: nobody else than root and the
        /// daemon's own user).
        readers: OneOrMany<Text>,
        /// Who may look and act: `user:NAME` or `group:NAME` (default: nobody else than root and
        /// the daemon's own user).
        writers: OneOrMany<Text>,
    }
}

shape! {
    /// The listener for metrics and health; it grants no control.
    "`metrics`" MetricsAt {
        /// Where it listens (default `127.0.0.1:9464`).
        listen: Endpoint,
    }
}

shape! {
    /// Where configurations are kept that were in force.
    "`revisions`" Revisions {
        /// The folder, which is made if need be; each daemon has one of its own in it (default for
        /// root `/var/lib/scgid/revisions`, for others `$XDG_STATE_HOME/scgid/revisions`).
        directory: Text,
        /// How many are kept (default 20).
        keep: Whole<1, 1000>,
    }
}

shape! {
    /// One program run as a pool of workers.
    "an app" App {
        /// The program and its arguments; no shell reads them. A name without `/` is looked up
        /// on `PATH`; a relative path starts from this file's folder.
        run: Program,
        /// What kind of program it is: `worker`, which accepts SCGI requests on the socket it is
        /// handed; `cgi`, run once for each request, or a directory of such programs; `inetd`, run
        /// once for each connection; `standalone`, which makes its own socket (default `worker`).
        kind: KindName,
        /// The limits of a request to an app of kind `cgi`.
        cgi: CgiLimits,
        /// The limits of a connection to an app of kind `inetd`.
        inetd: InetdLimits,
        /// Where it runs, relative to this file (default `/`).
        directory: Text,
        /// Variables of its environment.
        env: Variables,
        /// Files of `NAME=value` lines, read at every start; what `env` says wins.
        env_file: OneOrMany<Text>,
        /// Keep the daemon's own variables away, save `PATH` and `LANG` (default `true`).
        clear_env: Flag,
        /// The URL prefix the app is mounted at, such as `/blog`, so that `SCRIPT_NAME` and
        /// `PATH_INFO` come out right (default: none).
        mount: Text,
        /// Where it listens: `unix:/run/scgid/blog.sock`, `127.0.0.1:4000`, `[::1]:4000`,
        /// `systemd:NAME`, a mapping of `address` and more, or a list of these. For kind
        /// `standalone` the one address that the program makes itself, if it is to be known.
        listen: Listen,
        /// How many workers: a number, or `{min, max, spare, idle_timeout}` (default: one for
        /// each core; for kind `standalone` one).
        workers: Workers,
        /// How many requests one worker may serve at once (default 1; a worker of the SDK may say
        /// more by itself).
        concurrency: Whole<1, 1024>,
        /// Load the program once, in a process that workers are forked from; for programs that know
        /// how, of kind `worker` (default `false`).
        preload: Flag,
        /// How long a request may wait before it is taken up, by the front end's stamp
        /// `X-Request-Start`; one that waited longer is answered 503 (default: for ever).
        queue_timeout: Span<1, HOUR>,
        /// Answer 400 to requests that break the rules of SCGI in the harmless ways front ends do: a
        /// repeated header, `CONTENT_LENGTH` not first, no `SCGI=1` (default `false`: they are served
        /// and counted, repeated headers joined).
        strict: Flag,
        /// When a worker counts as ready: `notify`, once it says READY=1 as sd_notify(3) does;
        /// `{after: 1s}`, once it has lived that long; or `connect`, once its own socket takes a
        /// connection, for kind `standalone` (default `notify`; for `standalone` `connect`, or
        /// `{after: 1s}` if it does not say `listen`).
        ready: Ready,
        /// How long a worker may take to get ready before it is killed (default `30s`).
        start_timeout: Span<1, HOUR>,
        /// How long a worker may take to leave before it is killed (default `30s`).
        stop_timeout: Span<0, DAY>,
        /// The signal that asks a worker to leave: TERM, INT, QUIT, HUP, USR1 or USR2 (default
        /// `TERM`).
        stop_signal: Text,
        /// What deaths cost.
        restart: Restart,
        /// How one generation of workers is replaced by the next.
        roll: Roll,
        /// The user it runs as, by name or number (default: the daemon's own).
        user: Word,
        /// Its group, by name or number (default: the user's own).
        group: Word,
        /// Its other groups, by name or number (default: those the user is a member of).
        groups: OneOrMany<Word>,
        /// File mode creation mask, in quotes (default: the daemon's own).
        umask: Mode,
        /// Nice value, -20 to 19 (default: the daemon's own).
        nice: Whole<-20, 19>,
        /// Resource limits as in setrlimit(2) (default: the daemon's own).
        limits: Limits,
    }
}

shape! {
    /// One listening socket.
    "`listen`" ListenAt {
        /// `unix:/run/scgid/blog.sock`, `127.0.0.1:4000`, `[::1]:4000` or `systemd:NAME`; neither
        /// port 0 nor an abstract socket.
        address: Endpoint,
        /// The user a unix socket belongs to (default: the daemon's own).
        owner: Word,
        /// The group a unix socket belongs to (default: the daemon's own).
        group: Word,
        /// Permission bits of a unix socket, in quotes (default: as the umask leaves them).
        mode: Mode,
        /// How many connections may wait to be accepted (default 4096, and at most what
        /// `net.core.somaxconn` allows).
        backlog: Whole<1, 65535>,
    }
}

shape! {
    /// The limits of a request to a CGI program.
    "`cgi`" CgiLimits {
        /// How long a request may take, from the program's start to its last byte (default `60s`).
        timeout: Span<1, DAY>,
        /// The most a program may answer with, head included: a size, or `unlimited` (default
        /// `1GiB`).
        output: Cap<Size>,
    }
}

shape! {
    /// The limits of a connection to a program that is run for it.
    "`inetd`" InetdLimits {
        /// How long a connection may last (default `60s`).
        timeout: Span<1, DAY>,
    }
}

shape! {
    /// A pool that grows and shrinks.
    "`workers`" WorkerRange {
        /// Fewest workers; with 0 the first one starts on the first request (default 1).
        min: Whole<0, 1024>,
        /// Most workers (default: one for each core, or `min` if that is more).
        max: Whole<1, 1024>,
        /// How many idle workers are kept at hand (default 0).
        spare: Whole<0, 1024>,
        /// How long a surplus worker may be idle before it is retired (default `60s`).
        idle_timeout: Span<1, DAY>,
    }
}

shape! {
    /// Readiness by age.
    "`ready`" ReadyAfter {
        /// A worker that has lived this long counts as ready.
        after: Span<0, HOUR>,
    }
}

shape! {
    /// What deaths cost.
    "`restart`" Restart {
        /// How many deaths within `period` a generation may have before it is held back
        /// (default 5).
        budget: Whole<1, 1_000_000>,
        /// How long a death is remembered (default `60s`).
        period: Span<SECOND, DAY>,
        /// The pause before another attempt; it doubles from the first to the longest.
        backoff: Backoff,
        /// Make no further attempts once the budget is spent (default `false`: one attempt after
        /// each longest pause).
        give_up: Flag,
    }
}

shape! {
    /// The pause before another attempt.
    "`backoff`" Backoff {
        /// The first pause (default `100ms`).
        first: Span<1, HOUR>,
        /// The longest pause (default `30s`).
        max: Span<1, DAY>,
    }
}

shape! {
    /// How one generation of workers is replaced by the next.
    "`roll`" Roll {
        /// How many workers beyond the wanted number may exist meanwhile, or their share of it in
        /// percent (default 1); with 0 an old worker leaves before the new one comes.
        surge: Surge,
        /// How long a new worker has to live, ready, before the old one in its seat leaves (default
        /// `0s`; the first new one of a roll has to finish a request or live for a second anyway).
        soak: Span<0, HOUR>,
        /// A path that a new worker has to answer well (status 100 to 399) before that, or
        /// `{path, timeout}` (default: none).
        health: Health,
    }
}

shape! {
    /// A request that a new worker has to answer well.
    "`health`" HealthRequest {
        /// What is asked for, by GET: `/up`.
        path: Text,
        /// How long the answer may take (default `5s`).
        timeout: Span<1, HOUR>,
    }
}

shape! {
    /// Resource limits: one value for both, `unlimited`, or `{soft, hard}`.
    "`limits`" Limits {
        /// How many files it may have open.
        nofile: Bound<Whole<0, { i64::MAX }>>,
        /// How many processes its user may have.
        nproc: Bound<Whole<0, { i64::MAX }>>,
        /// Size of its address space.
        r#as: Bound<Size>,
        /// Size of a core file.
        core: Bound<Size>,
        /// CPU time, in whole seconds.
        cpu: Bound<Span<SECOND, { 10_000 * DAY }>>,
        /// Size of its data segment.
        data: Bound<Size>,
        /// Size of a file it writes.
        fsize: Bound<Size>,
        /// Size of the memory it locks.
        memlock: Bound<Size>,
        /// Size of its stack.
        stack: Bound<Size>,
    }
}
