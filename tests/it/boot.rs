//! How a site comes up: sockets of every kind, and apps that do not hurt each other.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::process::Command;

use scgi_protocol::control::AppState;
use scgi_tests::{Daemon, Port, ScgiClient, Site, eventually, needs_root, program};

#[test]
fn one_file_brings_up_an_app_on_tcp_and_one_on_a_unix_socket() {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 2}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 2}
",
    );

    let daemon = site.serve();

    for app in ["blog", "shop"] {
        let answer = daemon.app(app).get("/hello").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
        assert_eq!(daemon.look(app).workers.serving, 2);
        eventually("the request is counted", || daemon.look(app).requests == 1);
    }
}

#[test]
fn an_app_serves_on_version_6_where_the_machine_has_it_and_is_left_out_where_not() {
    let port = Port::reserve_v6();
    let number = port.as_ref().map_or(9, Port::number);
    let site = Site::new(&format!("apps: {{six: {{run: [$echo], listen: '[::1]:{number}'}}}}"));

    let daemon = site.start();

    if port.is_ok() {
        daemon.until_up();
        assert_eq!(daemon.app("six").get("/hello").unwrap().status, 200);
    } else {
        let cause = daemon.look("six").trouble.unwrap().cause;
        assert!(cause.contains("cannot listen on `[::1]:9`"), "{cause}");
    }
}

#[test]
fn an_app_serves_on_all_of_its_listeners() {
    let site = Site::new(
        "
apps:
  blog:
    run: [$echo]
    listen: ['unix:$dir/one.sock', 'unix:$dir/two.sock', '127.0.0.1:$port_blog']
    workers: 1
",
    );

    let daemon = site.serve();

    let addresses = daemon.look("blog").listen;
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    let pid = |address: &String| ScgiClient::new(address).get("/pid").unwrap().text();
    let pids: Vec<_> = addresses.iter().map(pid).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "one worker serves all: {pids:?}");
}

#[test]
fn a_socket_of_the_service_manager_is_served_by_the_app_that_names_it() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'systemd:front', workers: 1}}");
    let path = site.path("handed-over.sock");
    let socket = OwnedFd::from(UnixListener::bind(&path).unwrap());
    // As systemd does it: descriptor 3, and who it is meant for.
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec \"$0\" run \"$1\" 3<&0 </dev/null"])
        .arg(program("it-scgid"))
        .arg(site.config())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "front")
        .stdin(socket);

    let daemon = Daemon::start(site, command);
    daemon.until_up();

    let address = format!("unix:{}", path.display());
    assert_eq!(daemon.look("blog").listen, [address.as_str()], "where it really is");
    let said = daemon.scgictl("request blog /hello");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "hello\n"), "{said:?}");
    let described = daemon.scgictl("describe blog").out;
    assert!(described.contains("systemd:front"), "{described}");

    let client = ScgiClient::new(&address);
    assert_eq!(client.get("/hello").unwrap().status, 200);
    let who = client.get("/who").unwrap().text();
    let pid = client.get("/pid").unwrap().text();
    assert!(who.contains(&format!("LISTEN_PID={pid}")), "it is meant for the worker: {who}");
    let _folder = daemon.stop();
    assert!(path.exists(), "what somebody else made is not removed");
}

#[test]
fn a_socket_that_was_not_handed_over_is_told_by_its_name() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'systemd:front'}}");

    let daemon = site.start();

    daemon.until("blog", AppState::Unprepared);
    let cause = daemon.look("blog").trouble.unwrap().cause;
    assert!(cause.contains("no socket called `front` was handed over"), "{cause}");
}

#[test]
fn a_socket_file_left_behind_is_replaced() {
    let site = Site::new("apps: {blog: {run: [$echo], listen: 'unix:$dir/blog.sock'}}");
    drop(UnixListener::bind(site.path("blog.sock")).unwrap());

    let daemon = site.serve();

    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
}

#[test]
fn a_socket_of_a_running_program_is_refused_with_words_and_the_other_app_serves() {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/blog.sock'}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock'}
",
    );
    let path = site.path("blog.sock");
    let theirs = UnixListener::bind(&path).unwrap();

    let daemon = site.start();

    daemon.until("blog", AppState::Unprepared);
    daemon.until("shop", AppState::Serving);
    let trouble = daemon.look("blog").trouble.unwrap();
    let words = format!("`{}` belongs to a running process", path.display());
    assert!(trouble.cause.contains(&words), "{trouble:?}");
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
    let _folder = daemon.stop();
    assert!(path.exists(), "their socket is theirs");
    drop(theirs);
}

#[test]
fn a_port_of_a_running_program_is_refused_with_words_and_the_other_app_serves() {
    let site = Site::new(
        "
apps:
  blog: {run: [$echo], listen: '127.0.0.1:$port_blog'}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock'}
",
    );
    let _theirs = std::net::TcpListener::bind(("127.0.0.1", site.port("blog"))).unwrap();

    let daemon = site.start();

    daemon.until("blog", AppState::Unprepared);
    daemon.until("shop", AppState::Serving);
    let cause = daemon.look("blog").trouble.unwrap().cause;
    let port = daemon.site().port("blog");
    assert!(cause.contains(&format!("cannot listen on `127.0.0.1:{port}`")), "{cause}");
}

#[test]
fn a_unix_socket_has_the_owner_group_and_mode_it_was_given() {
    needs_root();
    let site = Site::new(
        "
apps:
  blog:
    run: [$echo]
    listen: {address: 'unix:$dir/made/on/the/way/blog.sock', owner: '12', group: '34', mode: '0620'}
",
    );

    let daemon = site.serve();

    let file = daemon.site().path("made/on/the/way/blog.sock").metadata().unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (12, 34, 0o620));
    assert_eq!(daemon.app("blog").get("/hello").unwrap().status, 200);
}

#[test]
fn an_app_whose_program_is_missing_is_left_out_with_words_and_the_other_app_serves() {
    let site = Site::new(
        "
apps:
  blog: {run: [$dir/no-such-program], listen: 'unix:$dir/blog.sock'}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock'}
",
    );

    let daemon = site.start();

    daemon.until("blog", AppState::Unprepared);
    daemon.until("shop", AppState::Serving);
    let trouble = daemon.look("blog").trouble.unwrap();
    assert!(trouble.cause.contains("no-such-program"), "{trouble:?}");
    assert_eq!(daemon.app("shop").get("/hello").unwrap().status, 200);
    assert_eq!(daemon.scgictl("status").code, Some(3));
}

#[test]
fn a_program_that_only_knows_descriptor_0_serves_as_it_is() {
    let site = Site::new(
        "
apps:
  old: {run: [$blocking], listen: 'unix:$dir/old.sock', workers: 2, ready: {after: 10ms}}
",
    );

    let daemon = site.serve();

    let answer = daemon.app("old").get("/somewhere").unwrap();
    assert!(answer.text().starts_with("blocking /somewhere "), "{}", answer.text());
}

#[test]
fn the_worker_printed_in_the_protocols_readme_serves_as_it_is() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("```python\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    let site = Site::new(
        "
apps:
  python:
    run: [python3, $dir/worker.py]
    listen: 'unix:$dir/python.sock'
    workers: 2
    ready: {after: 1s}
",
    );
    site.write("worker.py", program);

    let daemon = site.serve();

    let answer = daemon.app("python").post("/page", "12345").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "5 bytes for /page\n"));
    // A client that leaves without a word takes no worker with it.
    let pids = daemon.pids("python");
    drop(daemon.app("python").connect().unwrap());
    assert_eq!(daemon.app("python").get("/").unwrap().text(), "0 bytes for /\n");
    assert_eq!(daemon.pids("python"), pids);
}
