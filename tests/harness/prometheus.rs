//! A real Prometheus that scrapes a daemon.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::Said;
use crate::eventually::{eventually, eventually_some};
use crate::port::Port;
use crate::{http, process};

/// A running Prometheus. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    dir: TempDir,
    port: Port,
    process: Child,
}

impl Prometheus {
    /// Starts one that scrapes the server on loopback at `target`, and waits until it is ready.
    pub fn scraping(target: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("prometheus-").tempdir_in("/tmp").unwrap();
        let port = Port::reserve();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs:\n  - job_name: scgid\n    static_configs:\n      \
             - targets: ['127.0.0.1:{target}']\n"
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let log = File::create(dir.path().join("stderr.log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is installed; `tests/install` does that");
        let mut prometheus = Self { dir, port, process };
        eventually("Prometheus is ready", || {
            let ended = prometheus.process.try_wait().unwrap();
            assert!(ended.is_none(), "Prometheus ended: {}", prometheus.log());
            let answer = http::get(prometheus.port.number(), "/-/ready");
            answer.is_ok_and(|answer| answer.status == 200)
        });
        prometheus
    }

    /// The values of an instant query, by the label `app`, in the order answered.
    pub fn query(&self, expression: &str) -> Vec<(String, f64)> {
        let expression: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("/api/v1/query?query={expression}");
        let answer = http::get(self.port.number(), &target).unwrap();
        let answer: Value = answer.json();
        assert_eq!(answer["status"], "success", "{answer}");
        let series = answer["data"]["result"].as_array().unwrap();
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
        let app = |one: &Value| one["metric"]["app"].as_str().unwrap_or_default().to_owned();
        series.iter().map(|one| (app(one), value(one))).collect()
    }

    /// Waits until a query answers with one value, and that `fits`.
    pub fn until(&self, expression: &str, fits: impl Fn(f64) -> bool) -> f64 {
        let mut last = Vec::new();
        eventually_some(&format!("{expression} is as it should be"), || {
            last = self.query(expression);
            match last.as_slice() {
                [(_, value)] if fits(*value) => Some(*value),
                _ => None,
            }
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr.log")).unwrap_or_default()
    }
}

/// What `promtool check metrics` says of a scrape.
pub fn check_metrics(text: &str) -> Said {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed; `tests/install` does that");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Said::of(promtool.wait_with_output().unwrap())
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        process::end(&mut self.process);
    }
}
