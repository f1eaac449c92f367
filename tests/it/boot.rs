//! How a site comes up: sockets of every kind, and apps that do not hurt each other.

use scgi_tests::{Site, eventually};

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
    }
    eventually("requests are counted", || daemon.look("blog").requests == 1);
}
