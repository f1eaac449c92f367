//! Listeners that are opened, handed on, and refused.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::*;
use crate::config;
use crate::spec::Ownership;

/// An app called `name` that listens at `path` with `mode`.
fn app(name: &str, path: &Path, mode: u32) -> AppSpec {
    let text = format!("apps: {{{name}: {{run: [/bin/true], listen: 'unix:/x'}}}}");
    let site = config::load_text("test.yaml", &text).unwrap().site;
    let mut spec = (**site.apps.values().next().unwrap()).clone();
    spec.listen = vec![ListenSpec {
        at: ListenAt::Address(Address::Unix(path.to_owned())),
        ownership: Ownership { mode: Some(mode), ..Ownership::default() },
        backlog: 16,
    }];
    spec
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn a_listener_in_use_gets_another_mode_and_stays_the_same_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (before, after) = (app("blog", &path, 0o600), app("blog", &path, 0o660));
    let mut listeners = Listeners::default();
    listeners.install(listeners.prepare(&before, &GivenUp::new()).unwrap());
    let inode = listeners.inodes(&before.name);

    listeners.install(listeners.prepare(&after, &GivenUp::new()).unwrap());
    listeners.release(&after.name, Some(&after));

    assert_eq!(mode(&path), 0o660);
    assert_eq!(listeners.inodes(&after.name), inode);
    assert!(UnixStream::connect(&path).is_ok());
    listeners.release(&after.name, None);
    assert!(!path.exists());
}

#[test]
fn what_was_prepared_and_not_taken_over_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listeners = Listeners::default();

    drop(listeners.prepare(&app("blog", &path, 0o600), &GivenUp::new()).unwrap());

    assert!(!path.exists());
}

#[test]
fn an_address_of_another_app_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let mut listeners = Listeners::default();
    listeners.install(listeners.prepare(&app("blog", &path, 0o600), &GivenUp::new()).unwrap());

    let refused = listeners.prepare(&app("shop", &path, 0o600), &GivenUp::new()).unwrap_err();

    assert!(refused.to_string().contains("belongs to app `blog`"), "{refused}");
}

/// These apps give up where they listen.
fn given_up(by: &[&AppSpec]) -> GivenUp {
    by.iter().map(|spec| (spec.name.clone(), spec.listen[0].at.clone())).collect()
}

#[test]
fn a_socket_that_changes_hands_is_the_same_with_all_who_wait_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let (blog, shop) = (app("blog", &path, 0o600), app("shop", &path, 0o660));
    let mut listeners = Listeners::default();
    listeners.install(listeners.prepare(&blog, &GivenUp::new()).unwrap());
    let inode = listeners.inodes(&blog.name);
    let waiting = UnixStream::connect(&path).unwrap();

    listeners.install(listeners.prepare(&shop, &given_up(&[&blog])).unwrap());
    listeners.release(&blog.name, None);

    assert_eq!(listeners.inodes(&shop.name), inode);
    assert_eq!(mode(&path), 0o660);
    assert!(crate::shell::wake::is_somebody_there(&listeners.all(&shop.name)));
    drop(waiting);
    listeners.release(&shop.name, None);
    assert!(!path.exists());
}

#[test]
fn two_apps_can_change_places() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
    let mut listeners = Listeners::default();
    let before = [app("blog", &a, 0o600), app("shop", &b, 0o600)];
    for spec in &before {
        listeners.install(listeners.prepare(spec, &GivenUp::new()).unwrap());
    }
    let (blog, shop) = (app("blog", &b, 0o600), app("shop", &a, 0o600));
    let given_up = given_up(&[&before[0], &before[1]]);
    let inodes = [&shop, &blog].map(|spec| listeners.inodes(&spec.name));

    let prepared = [&blog, &shop].map(|spec| listeners.prepare(spec, &given_up).unwrap());
    prepared.into_iter().for_each(|one| listeners.install(one));
    for spec in [&blog, &shop] {
        listeners.release(&spec.name, Some(spec));
    }

    assert_eq!([&blog, &shop].map(|spec| listeners.inodes(&spec.name)), inodes);
    assert!(a.exists() && b.exists());
}

#[test]
fn a_socket_that_somebody_made_non_blocking_waits_again() {
    let directory = tempfile::tempdir().unwrap();
    let app = app("blog", &directory.path().join("s"), 0o600);
    let mut listeners = Listeners::default();
    listeners.install(listeners.prepare(&app, &GivenUp::new()).unwrap());
    rustix::io::ioctl_fionbio(listeners.of(&app)[0], true).unwrap();

    listeners.wait_again(&app);

    let held = &listeners.held[&app.name][0];
    assert!(!never_waits(&held.fd));
}

#[test]
fn where_a_socket_listens_that_was_handed_over_is_asked_of_the_kernel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = Address::Tcp(tcp.local_addr().unwrap());
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let inherited = [("tcp", OwnedFd::from(tcp)), ("unix", OwnedFd::from(unix))];
    let inherited = inherited.map(|(name, fd)| (name.to_owned(), fd)).into();
    let listeners = Listeners { inherited, ..Listeners::default() };

    let known: Vec<_> = listeners.handed_over().into_values().collect();

    assert_eq!(known, [bound, Address::Unix(path)]);
}

#[test]
fn a_socket_the_service_manager_did_not_hand_over_is_refused_with_what_it_did() {
    let mut spec = app("blog", Path::new("/x"), 0o600);
    spec.listen[0].at = ListenAt::Systemd("web".into());

    let refused = Listeners::default().prepare(&spec, &GivenUp::new()).unwrap_err();

    assert!(refused.to_string().ends_with("it handed over none"), "{refused}");
}

#[test]
fn of_two_sockets_with_one_name_none_is_taken_and_the_remedy_is_told() {
    let socket = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let handed = [("web", socket()), ("api", socket()), ("web", socket())];
    let handed = handed.into_iter().map(|(name, fd)| (name.to_owned(), fd));
    let listeners = Listeners::of_service_manager(handed);
    let mut spec = app("blog", Path::new("/x"), 0o600);
    let mut prepare = |name: &str| {
        spec.listen[0].at = ListenAt::Systemd(name.to_owned());
        listeners.prepare(&spec, &GivenUp::new()).map(drop)
    };

    assert!(prepare("api").is_ok());
    let refused = prepare("web").unwrap_err().to_string();

    assert!(refused.contains("several sockets called `web`"), "{refused}");
    assert!(refused.contains("FileDescriptorName="), "{refused}");
}
