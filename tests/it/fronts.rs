//! nginx, Apache with mod_proxy_scgi and with mod_scgi, and lighttpd, each in front of the same apps
//! by exactly the configuration that `scgictl front` prints.

mod answers;
mod documents;
mod places;
mod requests;
mod trouble;

use scgi_tests::{Daemon, FrontEnd, Server, Site};

/// Apps on a unix socket and on TCP, one below the other. Everybody may write to the sockets, since
/// Apache is somebody else than the tests.
const SITE: &str = "
defaults: {run: [$pages], workers: 2}
apps:
  blog: {listen: {address: 'unix:$dir/blog.sock', mode: '0666'}, mount: /blog}
  shop: {listen: '127.0.0.1:$port_shop', mount: /shop}
  desk: {listen: {address: 'unix:$dir/desk.sock', mode: '0666'}, mount: /shop/desk}
";

/// The same pages by tasks, and in Python.
const OTHERS: &str = "
  tasks: {run: [$tasks], listen: '127.0.0.1:$port_tasks', mount: /tasks}
  snake:
    run: [$python, -m, scgi_worker, 'pages:app']
    directory: $dir
    listen: '127.0.0.1:$port_snake'
    mount: /snake
";

/// The mounts of [`SITE`] that a server can reach: mod_scgi knows no unix sockets.
fn mounts(server: Server) -> &'static [&'static str] {
    match server {
        Server::ApacheModScgi => &["/shop"],
        Server::Nginx | Server::Apache | Server::Lighttpd => &["/blog", "/shop", "/shop/desk"],
    }
}

/// Those, and one for each other way to write a worker.
fn all_mounts(server: Server) -> Vec<&'static str> {
    [mounts(server), &["/tasks", "/snake"]].concat()
}

/// A daemon with [`SITE`] and [`OTHERS`], and every server in front of it.
fn all() -> (Daemon, Vec<FrontEnd>) {
    let site = Site::new(&format!("{SITE}{OTHERS}"));
    site.write("pages.py", include_str!("../apps/pages.py"));
    let daemon = site.serve();
    let fronts = Server::ALL.map(|server| FrontEnd::start(server, &daemon));
    (daemon, fronts.into())
}
