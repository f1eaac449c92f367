//! A real nginx in front of apps.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::port::Port;
use crate::{http, process};

/// A running nginx. Dropping it kills it and its workers.
#[derive(Debug)]
pub struct Nginx {
    dir: TempDir,
    port: Port,
    process: Child,
}

impl Nginx {
    /// Starts it with `locations`, to be put into a server on loopback, and waits until it
    /// answers.
    pub fn start(locations: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("nginx-").tempdir_in("/tmp").unwrap();
        let port = Port::reserve();
        let config = config(&dir, port.number(), locations);
        std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
        std::fs::write(dir.path().join("scgi_params"), PARAMS).unwrap();
        let log = File::create(dir.path().join("stderr.log")).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nginx is installed; `tests/install` does that");
        let mut nginx = Self { dir, port, process };
        eventually("nginx answers", || {
            assert!(nginx.process.try_wait().unwrap().is_none(), "nginx ended: {}", nginx.log());
            http::get(nginx.port(), "/nginx-is-up").is_ok()
        });
        nginx
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The answer to GET.
    pub fn get(&self, target: &str) -> http::Answer {
        http::get(self.port(), target).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- what nginx said ----\n{}----", self.log());
        }
        process::end(&mut self.process);
    }
}

/// One process for all, nothing kept on disk but what does not fit in memory.
fn config(dir: &TempDir, port: u16, locations: &str) -> String {
    let dir = dir.path().display();
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off;
{user}
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  scgi_temp_path {dir}/scgi;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  client_max_body_size 64m;
  keepalive_timeout 0;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /nginx-is-up {{ return 204; }}
{locations}
  }}
}}
"
    )
}

/// As Debian ships it.
pub(crate) const PARAMS: &str = "\
scgi_param  REQUEST_METHOD     $request_method;
scgi_param  REQUEST_URI        $request_uri;
scgi_param  QUERY_STRING       $query_string;
scgi_param  CONTENT_TYPE       $content_type;
scgi_param  DOCUMENT_URI       $document_uri;
scgi_param  DOCUMENT_ROOT      $document_root;
scgi_param  SCGI               1;
scgi_param  SERVER_PROTOCOL    $server_protocol;
scgi_param  REQUEST_SCHEME     $scheme;
scgi_param  HTTPS              $https if_not_empty;
scgi_param  REMOTE_ADDR        $remote_addr;
scgi_param  REMOTE_PORT        $remote_port;
scgi_param  SERVER_PORT        $server_port;
scgi_param  SERVER_NAME        $server_name;
";
