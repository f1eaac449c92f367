//! Programs that know nothing of the SDK: workers in other languages, CGI, one for each connection,
//! and with sockets of their own.

mod cgi;
mod foreign;
mod handed;
mod inetd;
mod lisp;
mod perl;
mod rtorrent;
mod standalone;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use scgi_tests::{Daemon, Site, eventually, process};

/// Writes a script into a site's folder, for everybody to run.
fn script(site: &Site, name: &str, text: &str) {
    let path = site.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
}

/// Kills the workers of an app one by one; each has to be replaced by another.
fn kill_each(daemon: &Daemon, app: &str) {
    for pid in daemon.pids(app) {
        let count = daemon.pids(app).len();
        process::signal(pid, Signal::SIGKILL);
        daemon.until_replaced(app, pid, count);
    }
}

/// Asks for a `page` of `app`, and again after its workers were killed and after a roll; then stops it.
fn goes_on_until_stopped(daemon: &Daemon, app: &str, page: impl Fn()) {
    page();
    kill_each(daemon, app);
    page();
    done(daemon, &format!("reload {app}"));
    page();
    done(daemon, &format!("stop {app}"));
}

/// Orders something with scgictl that has to succeed.
fn done(daemon: &Daemon, order: &str) {
    let said = daemon.scgictl(order);
    assert_eq!(said.code, Some(0), "{order}: {said:?}");
}

/// Waits until no process is left that carries `word` in its environment.
fn until_nobody_carries(word: &str) {
    eventually("nothing is left behind", || process::with_environment(word).is_empty());
}
