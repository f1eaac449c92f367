//! The demo's site: two bundled apps and the gateway, in a folder of its own, on free ports.
//!
//! Only describes it and opens its ports, so that nobody else can take what is told;
//! `scgid demo` runs it as it would run any other configuration.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::socket::{SockaddrIn, getsockname};
use scgi_protocol::address::{Address, UNIX_PATH_MAX_BYTES};
use scgi_protocol::name::AppName;

use crate::shell::bind::{self, BindError};
use crate::spec::{ListenSpec, Ownership};
use crate::supervisor::PoolView;

/// Where the gateway listens if that is free.
const HTTP_PORT: u16 = 8080;

/// Where `environ` listens if that is free.
const APP_PORT: u16 = 4001;

/// Where the metrics are if that is free.
const METRICS_PORT: u16 = 9464;

/// How many ports are tried, one after the other, before any free one is taken.
const PORTS_TRIED: u16 = 50;

/// Why the demo cannot begin. Nothing has been started.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The port somebody asked for belongs to another program.
    #[error("port {port} cannot be had; without `--port` the next free one is taken")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: BindError,
    },
    /// Not a single port is free.
    #[error("no port on loopback can be had")]
    NoPort(#[source] BindError),
    /// There is no place for its sockets.
    #[error("cannot make a folder in `{}`", parent.display())]
    Folder {
        /// Where it was to be.
        parent: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder the demo lives in; gone when this is.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one that only this user may enter.
    ///
    /// # Errors
    ///
    /// [`DemoError::Folder`].
    pub fn make() -> Result<Self, DemoError> {
        const NAME: &str = "scgid-demo-XXXXXX";
        let usual = std::env::temp_dir();
        // A socket's path is short; some folders for temporary files are not.
        let fits = usual.as_os_str().len() + NAME.len() + 32 < UNIX_PATH_MAX_BYTES;
        let parent = if fits { usual } else { PathBuf::from("/tmp") };
        match nix::unistd::mkdtemp(&parent.join(NAME)) {
            Ok(path) => Ok(Self(path)),
            Err(errno) => Err(DemoError::Folder { parent, source: errno.into() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a demo is nobody's loss.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The ports the demo takes, all on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The gateway's.
    pub http: u16,
    /// The app's that listens on TCP.
    pub app: u16,
    /// The metrics'.
    pub metrics: u16,
}

/// Open listeners on all of [`Ports`]: whatever is told of them stays true.
#[derive(Debug)]
pub struct Doors {
    http: Door,
    app: Door,
    metrics: Door,
}

impl Doors {
    /// Takes free ports; `http` is taken as it is if it is said. 0 is any port, for all three.
    ///
    /// # Errors
    ///
    /// [`DemoError::Port`], [`DemoError::NoPort`].
    pub fn open(http: Option<u16>) -> Result<Self, DemoError> {
        let any = http == Some(0);
        let free = |first| if any { bind(0) } else { next_free(first) }.map_err(DemoError::NoPort);
        let http = match http.filter(|_| !any) {
            Some(port) => bind(port).map_err(|source| DemoError::Port { port, source })?,
            None => free(HTTP_PORT)?,
        };
        Ok(Self { http, app: free(APP_PORT)?, metrics: free(METRICS_PORT)? })
    }

    /// Which ports they are.
    pub fn ports(&self) -> Ports {
        let Self { http, app, metrics } = self;
        Ports { http: http.port, app: app.port, metrics: metrics.port }
    }

    /// The listeners by their addresses, for the daemon to serve on.
    pub fn opened(self) -> BTreeMap<Address, OwnedFd> {
        let Self { http, app, metrics } = self;
        [http, app, metrics].into_iter().map(|door| (door.address(), door.listener)).collect()
    }
}

/// One open listener.
#[derive(Debug)]
struct Door {
    port: u16,
    listener: OwnedFd,
}

impl Door {
    fn address(&self) -> Address {
        at(self.port)
    }
}

fn at(port: u16) -> Address {
    Address::Tcp((Ipv4Addr::LOCALHOST, port).into())
}

/// Opens a listener as the daemon would; 0 is any port.
fn bind(port: u16) -> Result<Door, BindError> {
    let opened = bind::bind(&at(port), Ownership::default(), ListenSpec::DEFAULT_BACKLOG)?;
    let listener = opened.0;
    let known = getsockname::<SockaddrIn>(listener.as_raw_fd());
    let port = known.map_err(|errno| BindError::Listen { address: at(port), source: errno.into() });
    Ok(Door { port: port?.port(), listener })
}

fn next_free(first: u16) -> Result<Door, BindError> {
    let free = (first..=first.saturating_add(PORTS_TRIED)).find_map(|port| bind(port).ok());
    free.map_or_else(|| bind(0), Ok)
}

/// The demo's configuration, with its sockets in `folder`.
pub fn yaml(folder: &Path, ports: Ports) -> String {
    let Ports { http, app, metrics } = ports;
    let folder = folder.display();
    // JSON's way to quote is YAML's too.
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    let control = quoted(format!("{folder}/control.sock"));
    let revisions = quoted(format!("{folder}/revisions"));
    let guestbook = quoted(format!("unix:{folder}/guestbook.sock"));
    let to_guestbook = quoted(format!("/guestbook=unix:{folder}/guestbook.sock"));
    let book = quoted(format!("{folder}/book"));
    format!(
        "\
# What `scgid demo` runs.
control: {{socket: {control}}}
metrics: {{listen: \"127.0.0.1:{metrics}\"}}
revisions: {{directory: {revisions}}}
apps:
  # A fixed pool on TCP: it shows what the web server says, and which worker answered.
  environ:
    run: [/proc/self/exe, builtin, environ]
    listen: \"127.0.0.1:{app}\"
    workers: 2
    mount: /environ
  # A pool on demand, on a unix socket: no worker until somebody asks.
  guestbook:
    run: [/proc/self/exe, builtin, guestbook, {book}]
    listen: {guestbook}
    workers: {{min: 0, max: 4, idle_timeout: 20s}}
    mount: /guestbook
  # An HTTP server in front of both, for development only; nginx goes in its place.
  gateway:
    run: [/proc/self/exe, builtin, gateway, \"/environ=127.0.0.1:{app}\", {to_guestbook}]
    listen: \"127.0.0.1:{http}\"
    workers: 1
    concurrency: 64
    env: {{SCGI_SOCKET: {control}}}
"
    )
}

/// The pools as a table.
pub fn table(pools: &BTreeMap<AppName, Arc<PoolView>>) -> String {
    let head = ["APP", "STATE", "WORKERS", "LISTEN"].map(str::to_owned);
    let mut rows = vec![head];
    for (name, pool) in pools {
        let listen = pool.spec.iter().flat_map(|spec| &spec.listen);
        let listen: Vec<String> = listen.map(|listen| listen.at.to_string()).collect();
        rows.push([
            name.to_string(),
            pool.state.as_str().to_owned(),
            format!("{}/{}", pool.seats.serving, pool.seats.wanted),
            listen.join(", "),
        ]);
    }
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (app, state, workers) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [name, how, count, listen] in &rows {
        writeln!(text, "{name:app$}  {how:state$}  {count:>workers$}  {listen}")
            .expect("a string takes everything");
    }
    text
}

/// What is printed once all apps serve. `path` is the folder of `scgictl`, if it must be said.
pub fn welcome(folder: &Path, ports: Ports, table: &str, path: Option<&Path>) -> String {
    let Ports { http, metrics, app: _ } = ports;
    let folder = folder.display();
    let path = path.map_or_else(String::new, |path| format!("PATH=\"{}:$PATH\" ", path.display()));
    format!(
        "\
\nTwo apps and an HTTP front are up:

  http://127.0.0.1:{http}/

{table}
In another terminal:
  export {path}SCGI_SOCKET={folder}/control.sock
  scgictl ps                  # how the apps are
  scgictl scale environ 4     # more workers, while you reload the page
  scgictl logs -f             # what they write

Prometheus finds metrics at http://127.0.0.1:{metrics}/metrics.
`scgid demo --print` shows the configuration. End with Ctrl-C.
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config;

    const PORTS: Ports = Ports { http: 8080, app: 4001, metrics: 9464 };

    #[test]
    fn the_demos_configuration_is_one_to_learn_from() {
        insta::assert_snapshot!("demo_yaml", yaml(Path::new("/tmp/scgid-demo-x"), PORTS));
    }

    #[test]
    fn the_demos_configuration_has_no_problems() {
        let folder = Folder::make().unwrap();
        let text = yaml(folder.path(), PORTS);

        let loaded = config::load_text("demo", &text).and_then(config::Loaded::strict);

        let apps = loaded.map(|loaded| loaded.site.apps.keys().map(AppName::to_string).collect());
        let apps: Vec<String> =
            apps.unwrap_or_else(|p| panic!("{}", p.render(config::Paint::Plain)));
        assert_eq!(apps, ["environ", "gateway", "guestbook"]);
    }

    #[test]
    fn ports_differ_and_are_held_and_one_that_is_taken_is_passed_over_or_refused() {
        let taken = bind(0).unwrap();

        let refused = Doors::open(Some(taken.port)).unwrap_err();
        let (one, other) = (Doors::open(None).unwrap(), Doors::open(None).unwrap());

        assert!(refused.to_string().starts_with(&format!("port {} cannot be had", taken.port)));
        let (one, other) = (one.ports(), other.ports());
        let all = BTreeSet::from_iter(
            [one, other].into_iter().flat_map(|Ports { http, app, metrics }| [http, app, metrics]),
        );
        assert_eq!(all.len(), 6, "{one:?} {other:?}");
        assert_ne!(next_free(taken.port).unwrap().port, taken.port);
    }

    #[test]
    fn the_folder_is_gone_when_the_demo_is() {
        let folder = Folder::make().unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("book"), "x").unwrap();

        drop(folder);

        assert!(!path.exists());
    }

    #[test]
    fn the_welcome_says_where_to_look_and_what_to_type() {
        let table =
            "APP      STATE    WORKERS  LISTEN\nenviron  serving      2/2  127.0.0.1:4001\n";
        let folder = Path::new("/tmp/scgid-demo-x");

        insta::assert_snapshot!("demo_welcome", welcome(folder, PORTS, table, None));
        let with_path = welcome(folder, PORTS, table, Some(Path::new("/src/target/debug")));
        assert!(with_path.contains("export PATH=\"/src/target/debug:$PATH\" SCGI_SOCKET="));
    }
}
