//! Numbers, as a real Prometheus has them.

use scgi_tests::http::{self, Answer};
use scgi_tests::{Daemon, Load, Prometheus, Request, Site, check_metrics, eventually};

fn daemon() -> Daemon {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 4}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: {min: 0, max: 2}}
",
    );
    site.serve()
}

/// Puts `count` requests in flight at the app `name`, to be answered when the file `goes-on`
/// exists.
fn hold(daemon: &Daemon, name: &str, count: usize) -> Vec<scgi_tests::Exchange> {
    let target = format!("/hold?until={}", daemon.site().path("goes-on").display());
    let request = Request { method: "GET", target, body: Vec::new() };
    let client = daemon.app(name);
    (0..count).map(|_| client.begin(&request).unwrap()).collect()
}

#[test]
fn prometheus_sees_how_full_a_pool_is() {
    let daemon = daemon();
    let prometheus = Prometheus::scraping(daemon.site().metrics_port());
    let utilization = "scgid_pool_utilization_ratio{app=\"blog\"}";
    prometheus.until(utilization, |ratio| ratio == 0.0);

    let mut held = hold(&daemon, "blog", 3);
    prometheus.until(utilization, |ratio| ratio == 0.75);
    assert_eq!(
        prometheus.query("sum by (app) (scgid_workers{state=\"busy\"}) > 0"),
        [("blog".to_owned(), 3.0)]
    );

    held.extend(hold(&daemon, "blog", 3));
    prometheus.until(utilization, |ratio| ratio == 1.0);
    prometheus.until("scgid_listen_queue{app=\"blog\"}", |waiting| waiting == 2.0);
    prometheus.until("rate(scgid_saturated_seconds_total{app=\"blog\"}[2s])", |rate| rate > 0.5);

    daemon.site().write("goes-on", "");
    for held in held {
        assert_eq!(held.finish().unwrap().text(), "held\n");
    }
    prometheus.until(utilization, |ratio| ratio == 0.0);
    prometheus
        .until("max_over_time(scgid_pool_utilization_ratio{app=\"blog\"}[10m])", |r| r == 1.0);
}

#[test]
fn prometheus_counts_the_requests_that_were_answered() {
    let daemon = daemon();
    let prometheus = Prometheus::scraping(daemon.site().metrics_port());
    let client = daemon.app("shop");
    let load = Load::start(4, move || match client.get("/hello") {
        Ok(Answer { status: 200, .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    load.until_answered(500);
    let outcome = load.stop();
    assert_eq!(outcome.failed, Vec::<String>::new());
    assert_eq!(daemon.app("shop").get("/nowhere").unwrap().status, 404);
    assert_eq!(daemon.app("shop").get("/panic").unwrap().status, 500);

    let ok = outcome.ok as f64;
    prometheus.until("scgid_requests_total{app=\"shop\",code=\"2xx\"}", |count| count == ok);
    prometheus.until("scgid_requests_total{app=\"shop\",code=\"4xx\"}", |count| count == 1.0);
    prometheus.until("scgid_requests_total{app=\"shop\",code=\"5xx\"}", |count| count == 1.0);
    let all = ok + 2.0;
    prometheus.until("scgid_request_duration_seconds_count{app=\"shop\"}", |count| count == all);
    let median = "histogram_quantile(0.5, scgid_request_duration_seconds_bucket{app=\"shop\"})";
    prometheus.until(median, |seconds| seconds > 0.0 && seconds < 60.0);
    prometheus.until("up", |up| up == 1.0);
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    let daemon = daemon();
    for app in ["blog", "shop"] {
        daemon.app(app).get("/hello").unwrap();
    }
    daemon.order("POST", "/v1/apps/blog/reload", "");

    let said = check_metrics(&daemon.metrics());

    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
}

#[test]
fn numbers_of_workers_that_are_no_more_are_not_lost() {
    let daemon = daemon();
    let client = daemon.app("blog");
    for _ in 0..20 {
        client.get("/hello").unwrap();
    }
    let series = "scgid_requests_total{app=\"blog\",code=\"2xx\"}";
    eventually("all are counted", || daemon.metric(series) == Some(20.0));

    daemon.order("POST", "/v1/apps/blog/restart", "");

    assert_eq!(daemon.metric(series), Some(20.0));
    client.get("/hello").unwrap();
    eventually("counting goes on", || daemon.metric(series) == Some(21.0));
}

#[test]
fn health_and_readiness_are_told_and_nothing_is_granted() {
    let daemon = daemon();
    let port = daemon.site().metrics_port();
    let status = |method: &str, target: &str| http::send(port, method, target, b"").unwrap().status;

    assert_eq!(status("GET", "/healthz"), 200);
    eventually("it is ready", || status("GET", "/readyz") == 200);
    assert_eq!(status("GET", "/v1/status"), 404);
    assert_eq!(status("POST", "/v1/apps/blog/stop"), 404);
    assert_eq!(daemon.look("blog").workers.serving, 4);
}

#[test]
fn a_site_with_an_app_that_does_not_answer_is_not_ready_but_healthy() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$unruly, exit, '1']
    listen: 'unix:$dir/blog.sock'
    restart: {budget: 1, backoff: {first: 1ms, max: 1h}}
",
    );
    let daemon = site.start();
    daemon.until("blog", scgi_protocol::control::AppState::Failing);
    let port = daemon.site().metrics_port();

    let ready = http::get(port, "/readyz").unwrap();

    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("blog"), "{}", ready.text());
    assert_eq!(http::get(port, "/healthz").unwrap().status, 200);
}

#[test]
fn metrics_answer_while_every_worker_is_busy() {
    let daemon = daemon();
    let _held = hold(&daemon, "blog", 50);
    eventually("the pool is full", || daemon.look("blog").busy == 4);

    let text = daemon.metrics();

    assert!(text.contains("scgid_pool_utilization_ratio{app=\"blog\"} 1"), "{text}");
}
