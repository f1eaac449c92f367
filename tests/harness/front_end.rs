//! Real web servers in front of apps, each run by the configuration that `scgictl front` prints.
//!
//! What stands around that configuration is the least with which the server starts: it brings no
//! word about SCGI.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::eventually::eventually;
use crate::http::{self, Answer};
use crate::port::Port;
use crate::process;
use crate::site::program;

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A web server that speaks SCGI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Nginx,
    Apache,
    ApacheModScgi,
    Lighttpd,
}

/// One of them at work. Dropping it kills it and its workers.
#[derive(Debug)]
pub struct FrontEnd {
    server: Server,
    dir: TempDir,
    port: Port,
    process: Child,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nginx, Self::Apache, Self::ApacheModScgi, Self::Lighttpd];

    /// Its name for `scgictl front`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache",
            Self::ApacheModScgi => "apache-mod-scgi",
            Self::Lighttpd => "lighttpd",
        }
    }

    /// It is one of the two that pass bodies on as they come.
    pub fn is_apache(self) -> bool {
        matches!(self, Self::Apache | Self::ApacheModScgi)
    }

    /// Its program with the file to be read.
    fn command(self, config: &Path) -> Command {
        let (name, options): (_, &[&str]) = match self {
            Self::Nginx => ("nginx", &["-e", "stderr", "-c"]),
            Self::Apache | Self::ApacheModScgi => ("apache2", &["-DFOREGROUND", "-f"]),
            Self::Lighttpd => ("lighttpd", &["-D", "-f"]),
        };
        let mut command = Command::new(name);
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        command.args(options).arg(config).env("PATH", path);
        command
    }

    /// The least that it needs around `site`, the configuration under test.
    fn skeleton(self, dir: &Path, port: u16) -> String {
        let site = dir.join("site.conf");
        let (dir, site) = (dir.display(), site.display());
        match self {
            Self::Nginx => format!(
                "{} daemon off; worker_processes 1; pid {dir}/pid; error_log stderr;\n\
                 events {{ worker_connections 2048; }}\n\
                 http {{ access_log off; client_body_temp_path {dir}/body; \
                 scgi_temp_path {dir}/scgi; proxy_temp_path {dir}/proxy; \
                 fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi;\n\
                 server {{ listen 127.0.0.1:{port}; root {dir}/www; include {site}; }} }}\n",
                if_root("user www-data;")
            ),
            Self::Apache => format!(
                "{}LoadModule proxy_module {MODULES}/mod_proxy.so\n\
                 LoadModule proxy_scgi_module {MODULES}/mod_proxy_scgi.so\nInclude {site}\n",
                apache(&dir.to_string(), port)
            ),
            Self::ApacheModScgi => format!(
                "{}LoadModule scgi_module {}\nInclude {site}\n",
                apache(&dir.to_string(), port),
                mod_scgi().display()
            ),
            Self::Lighttpd => format!(
                "server.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.document-root = \"{dir}/www\"\nserver.upload-dirs = ( \"{dir}\" )\n\
                 {}include \"{site}\"\n",
                if_root("server.username = \"www-data\"\nserver.groupname = \"www-data\"\n")
            ),
        }
    }
}

impl FrontEnd {
    /// Puts `server` in front of all apps of `daemon`, and waits until it answers.
    pub fn start(server: Server, daemon: &Daemon) -> Self {
        let printed = daemon.scgictl(&format!("front {}", server.word()));
        assert_eq!(printed.code, Some(0), "{printed:?}");
        Self::start_with(server, &printed.out)
    }

    /// The same with the configuration `site`.
    pub fn start_with(server: Server, site: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("front-").tempdir_in("/tmp").unwrap();
        open_to_all(dir.path());
        let port = Port::reserve();
        std::fs::create_dir(dir.path().join("www")).unwrap();
        std::fs::write(dir.path().join("site.conf"), site).unwrap();
        std::fs::write(dir.path().join("scgi_params"), crate::nginx::PARAMS).unwrap();
        let config = dir.path().join("server.conf");
        std::fs::write(&config, server.skeleton(dir.path(), port.number())).unwrap();
        let log = File::create(dir.path().join("stderr.log")).unwrap();
        let process = server
            .command(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{server:?}: {error}; `tests/install` installs it"));
        let mut front = Self { server, dir, port, process };
        eventually("the web server answers", || {
            let ended = front.process.try_wait().unwrap();
            assert!(ended.is_none(), "{server:?} ended: {}", front.log());
            http::get(front.port(), "/outside-of-all-mounts").is_ok()
        });
        front
    }

    /// Which server it is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The answer to GET.
    pub fn get(&self, target: &str) -> Answer {
        http::get(self.port(), target)
            .unwrap_or_else(|error| panic!("{:?} {target}: {error}", self.server))
    }

    /// The answer to POST with `body`.
    pub fn post(&self, target: &str, body: &[u8]) -> Answer {
        http::send(self.port(), "POST", target, body)
            .unwrap_or_else(|error| panic!("{:?} {target}: {error}", self.server))
    }

    /// The answer to a request that is written out.
    pub fn ask(&self, request: &str) -> Answer {
        http::ask(self.port(), request.as_bytes())
            .unwrap_or_else(|error| panic!("{:?} {request}: {error}", self.server))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr.log")).unwrap_or_default()
    }
}

impl Drop for FrontEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- what {:?} said ----\n{}----", self.server, self.log());
        }
        process::end(&mut self.process);
    }
}

/// What a server is told only by root: to be who it is on a Debian machine.
fn if_root(line: &str) -> &str {
    if nix::unistd::geteuid().is_root() { line } else { "" }
}

/// What both of Apache's ways need.
fn apache(dir: &str, port: u16) -> String {
    let modules = [
        ("mpm_event", "mpm_event"),
        ("authz_core", "authz_core"),
        ("headers", "headers"),
        ("setenvif", "setenvif"),
    ];
    let load = |(name, file)| format!("LoadModule {name}_module {MODULES}/mod_{file}.so\n");
    let load: String = modules.map(load).concat();
    format!(
        "ServerRoot {dir}\nDefaultRuntimeDir {dir}\nPidFile {dir}/pid\nServerName localhost\n\
         Listen 127.0.0.1:{port}\nDocumentRoot {dir}/www\nErrorLog /dev/stderr\nKeepAlive Off\n\
         {load}{}",
        if_root("User www-data\nGroup www-data\n")
    )
}

/// The module that `tests/mod_scgi` builds, beside what cargo builds.
fn mod_scgi() -> PathBuf {
    let echo = program("it-echo");
    let target = echo.ancestors().nth(2).expect("programs are in a folder of the target folder");
    let module = target.join("mod_scgi/mod_scgi.so");
    assert!(module.exists(), "`{}` is missing; `tests/mod_scgi` builds it", module.display());
    module
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}
