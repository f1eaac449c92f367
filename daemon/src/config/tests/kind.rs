//! What kind of program an app is: what the keys mean, and which mean nothing.

use std::time::Duration;

use super::super::show;
use super::*;
use crate::spec::{Cgi, Inetd, Kind, ListenAt, Ready, Serves, Sizing, Standalone, Surge};

/// One app of every kind.
const KINDS: &str = r#"
defaults: {concurrency: 8, strict: true, ready: {after: 5s}, workers: {min: 1, max: 4}}
apps:
  usual: {run: [bin/blog], listen: "127.0.0.1:4000"}
  git:
    run: [python3, -m, wsgiref]
    kind: cgi
    cgi: {timeout: 1h, output: unlimited}
    listen: "127.0.0.1:4001"
  scripts: {run: [/srv/blog], kind: cgi, listen: "127.0.0.1:4002"}
  wiki: {run: [bin/blog, --scgi], kind: inetd, inetd: {timeout: 5m}, listen: "127.0.0.1:4003"}
  torrent: {run: [bin/blog], kind: standalone, listen: "127.0.0.1:4004"}
  bot: {run: [bin/blog], kind: standalone}
"#;

fn app(name: &str) -> AppSpec {
    let site = loaded(KINDS).site;
    let found = site.apps.iter().find(|(known, _)| known.as_str() == name);
    AppSpec::clone(found.unwrap_or_else(|| panic!("{name} could not be prepared")).1)
}

#[test]
fn an_app_is_a_worker_unless_it_says_otherwise() {
    assert_eq!(app("usual").kind, Kind::Worker);
}

#[test]
fn a_cgi_app_has_limits_and_may_be_a_directory() {
    let usual =
        Cgi { serves: Serves::Directory, timeout: Duration::from_secs(60), output: Some(1 << 30) };
    let timeout = Duration::from_secs(3600);

    assert_eq!(app("scripts").kind, Kind::Cgi(usual));
    assert_eq!(app("scripts").launch.program, Path::new("/srv/blog"));
    assert_eq!(app("git").kind, Kind::Cgi(Cgi { serves: Serves::Program, timeout, output: None }));
}

#[test]
fn what_scgid_serves_itself_says_when_it_is_ready() {
    for name in ["git", "wiki"] {
        assert_eq!(app(name).timing.ready, Ready::Notify, "{name}");
        assert_eq!(app(name).concurrency, 8);
    }
    assert_eq!(app("wiki").kind, Kind::Inetd(Inetd { timeout: Duration::from_secs(300) }));
}

#[test]
fn a_standalone_program_is_alone_and_the_daemon_listens_nowhere_for_it() {
    let torrent = app("torrent");
    let at: scgi_protocol::address::Address = "127.0.0.1:4004".parse().unwrap();

    assert_eq!(torrent.kind, Kind::Standalone(Standalone { at: Some(at.clone()) }));
    assert_eq!(torrent.listen, []);
    assert_eq!(torrent.places(), [ListenAt::Address(at)]);
    assert_eq!(torrent.sizing, Sizing::fixed(1).unwrap());
    assert_eq!((torrent.roll.surge, torrent.concurrency), (Surge::Count(0), 1));
}

#[test]
fn a_standalone_program_is_ready_when_it_takes_connections_or_by_its_age() {
    assert_eq!(app("torrent").timing.ready, Ready::Connect);
    assert_eq!(app("bot").timing.ready, Ready::After(Duration::from_secs(1)));
    assert_eq!(app("bot").places(), []);
}

#[test]
fn kinds_are_shown_so_that_they_can_be_read_again() {
    let site = loaded(KINDS).site;

    let shown = show(&site);

    assert_eq!(loaded(&shown).site, site, "{shown}");
}

#[test]
fn a_standalone_program_wants_its_address_for_itself() {
    let text = "apps:\n  a: {run: [bin/blog], listen: \"127.0.0.1:1\"}\n  b: {run: [bin/blog], \
                kind: standalone, listen: \"127.0.0.1:1\"}\n";

    assert!(refused(text).contains("same socket as apps.a.listen"));
}

#[test]
fn what_means_nothing_to_a_kind_is_refused_with_a_way_out() {
    let text = r#"
apps:
  one: {run: [bin/blog], kind: fastcgi, listen: "127.0.0.1:1"}
  two: {run: [bin/blog], kind: daemon, listen: "127.0.0.1:2"}
  three: {run: [bin/blog], cgi: {timeout: 1s}, ready: connect, listen: "127.0.0.1:3"}
  four: {run: [bin/blog], kind: cgi, ready: notify, inetd: {timeout: 1s}, listen: []}
  five: {run: [/srv/blog, -x], kind: cgi, cgi: {timeout: 0s, output: 5}, listen: "127.0.0.1:5"}
  six:
    run: [bin/blog]
    kind: standalone
    listen: {address: unix:six.sock, mode: "0660"}
    workers: {min: 1, max: 2}
    concurrency: 3
    roll: {surge: 1}
  seven: {run: [bin/blog], kind: standalone, ready: connect, roll: {health: /up}}
  eight: {run: [bin/blog], kind: standalone, listen: systemd:eight}
  nine: {run: [bin/blog], kind: standalone, listen: ["127.0.0.1:8", "127.0.0.1:9"]}
  ten: {run: [/srv/blog], kind: inetd, listen: "127.0.0.1:10"}
  eleven: {run: [/srv/none.d], kind: cgi, listen: "127.0.0.1:11"}
  twelve: {run: [bin/blog], kind: inetd, queue_timeout: 1s, listen: "127.0.0.1:12"}
  thirteen: {run: [bin/blog], kind: standalone, strict: true}
"#;

    insta::assert_snapshot!(refused(text));
}

#[test]
fn the_examples_of_the_documents_are_sites() {
    let documents =
        [(include_str!("../../../KINDS.md"), 3), (include_str!("../../../PROGRAMS.md"), 6)];

    for (document, count) in documents {
        let examples: Vec<&str> = document
            .split("```yaml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap_or_default())
            .collect();
        assert_eq!(examples.len(), count);
        for text in examples {
            // What its programs lack on this machine of paper is no fault of the text.
            assert!(read(&Paper::new(), text).is_ok(), "{text}");
        }
    }
}
