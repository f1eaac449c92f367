//! What a person is told: every refusal as it is printed, and what valid files mean.

use super::*;

#[test]
fn a_small_site_is_understood() {
    let text = "\
defaults: {stop_timeout: 5s, env: {LANG: C}}
apps:
  blog:
    run: [/bin/sh, -c, 'sleep 1']
    listen: unix:run/blog.sock
    env: {PORT: 8080, DEBUG: true}
    workers: {min: 0, max: 8, spare: 1, idle_timeout: 60s}
  shop:
    run: [sh]
    listen: [\"127.0.0.1:4001\", {address: unix:/run/x.sock, mode: \"0660\", backlog: 10}]
    workers: 4
    limits: {nofile: 1024, as: 1GiB, core: {soft: 0, hard: unlimited}}
";

    let loaded = load_text("/srv/site.yaml", text).map_err(|p| p.render(Paint::Plain));

    let loaded = loaded.unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(loaded.unprepared.len(), 0);
    assert_eq!(loaded.site.apps.len(), 2);
}
