//! rTorrent, which makes its own SCGI socket and speaks XML-RPC there. It is kept from every network.

use std::io::{Read, Write};

use scgi_tests::{Daemon, FrontEnd, Said, Server, Site};

use super::{done, kill_each, until_nobody_carries};

/// What is asked: which process answers.
const WHO: &str =
    "<?xml version='1.0'?><methodCall><methodName>system.pid</methodName><params/></methodCall>";

fn torrent() -> Daemon {
    let site = Site::new(
        "
apps:
  torrent:
    kind: standalone
    run:
      - rtorrent
      - -n
      - -s
      - $dir/session
      - -d
      - $dir
      - -b
      - 127.0.0.1
      - -o
      - system.daemon.set=true,network.port_open.set=no,dht.mode.set=disable,network.scgi.open_local=$dir/rpc.sock
    env: {HOME: $dir, MARK: $dir}
    umask: '0000'
    mount: /RPC2
    listen: 'unix:$dir/rpc.sock'
",
    );
    std::fs::create_dir(site.path("session")).unwrap();
    site.serve()
}

/// The process number in an answer.
fn pid_in(answer: &str) -> i32 {
    let (_, rest) = answer.split_once("<i8>").unwrap_or_else(|| panic!("{answer}"));
    rest.split_once('<').unwrap().0.parse().unwrap()
}

/// Asks as ruTorrent and its like do: with two variables and nothing else.
fn asked(daemon: &Daemon) -> i32 {
    let mut client = daemon.app("torrent").connect().unwrap();
    let head = format!("CONTENT_LENGTH\0{}\0SCGI\x001\0", WHO.len());
    write!(client, "{}:{head},{WHO}", head.len()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    pid_in(&answer)
}

#[test]
fn it_is_supervised_asked_killed_rolled_and_stopped() {
    let daemon = torrent();
    let front = FrontEnd::start(Server::Nginx, &daemon);
    let itself = || {
        assert_eq!(daemon.pids("torrent"), [asked(&daemon)]);
        let answer = front.post("/RPC2", WHO.as_bytes()).text();
        assert_eq!(daemon.pids("torrent"), [pid_in(&answer)]);
    };

    itself();
    kill_each(&daemon, "torrent");
    itself();

    let before = asked(&daemon);
    done(&daemon, "reload torrent");
    itself();
    assert_ne!(before, asked(&daemon));
    assert_eq!(daemon.look("torrent").restarts, 1, "the new one found the session unlocked");

    done(&daemon, "stop torrent");
    until_nobody_carries(&format!("MARK={}", daemon.site().path("x").parent().unwrap().display()));
    assert!(daemon.app("torrent").connect().is_err(), "nobody listens");
    assert_eq!(front.post("/RPC2", WHO.as_bytes()).status, 502);
    assert!(!daemon.site().path("session/rtorrent.lock").exists(), "it left in order");
    done(&daemon, "start torrent");
    itself();
}

#[test]
fn scgictl_asks_it() {
    let daemon = torrent();
    let mut command = daemon.scgictl_command("request torrent /RPC2 -d");
    command.arg(WHO);

    let said = Said::by(command);

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(daemon.pids("torrent"), [pid_in(&said.out)]);
}

#[test]
fn it_opens_nothing_but_its_own_socket() {
    let daemon = torrent();
    let pid = asked(&daemon);

    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').into())
        })
        .collect();

    assert!(!inodes.is_empty());
    for family in ["tcp", "tcp6", "udp", "udp6"] {
        let table =
            std::fs::read_to_string(format!("/proc/{pid}/net/{family}")).unwrap_or_default();
        let is_its =
            |line: &&str| inodes.iter().any(|inode| line.split(' ').any(|word| word == inode));
        let found: Vec<_> = table.lines().filter(is_its).collect();
        assert!(found.is_empty(), "{family}: {found:#?}");
    }
}
