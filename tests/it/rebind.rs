//! Listeners that change while they are served: mode, queue, address, owner.

use std::os::unix::fs::MetadataExt;

use scgi_tests::{Daemon, Load, ScgiClient, Site, eventually};

const SITE: &str = "
apps:
  blog:
    run: [$echo]
    listen: {address: 'unix:$dir/blog.sock', mode: '0600', backlog: 64}
    workers: 2
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 2}
";

fn load(client: ScgiClient) -> Load {
    Load::hello(client, 8)
}

fn reloaded(daemon: &Daemon, site: &str) {
    daemon.site().write_config(site);
    let said = daemon.scgictl("reload");
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn another_mode_or_queue_is_given_in_place_and_no_worker_notices() {
    let daemon = Site::new(SITE).serve();
    let (blog, shop) = (daemon.pids("blog"), daemon.pids("shop"));
    let socket = daemon.site().path("blog.sock");
    let inode = socket.metadata().unwrap().ino();
    let load = load(daemon.app("blog"));

    for mode in ["0660", "0666", "0600"] {
        load.until_answered(50);
        reloaded(&daemon, &SITE.replace("0600", mode).replace("backlog: 64", "backlog: 128"));
        let bits = format!("{:04o}", socket.metadata().unwrap().mode() & 0o777);
        assert_eq!(bits, mode);
    }

    load.until_answered(50);
    assert_eq!(load.stop().failed, Vec::<String>::new());
    assert_eq!((daemon.pids("blog"), daemon.pids("shop")), (blog, shop));
    assert_eq!(daemon.look("blog").generation.0, 1);
    assert_eq!(socket.metadata().unwrap().ino(), inode);
}

#[test]
fn an_app_that_moves_under_load_loses_nobody_who_asks_at_either_place() {
    let daemon = Site::new(SITE).serve();
    let old = load(daemon.app("blog"));
    old.until_answered(50);

    let both = SITE.replace("listen: {address", "listen: ['unix:$dir/new.sock', {address");
    let both = both.replace("backlog: 64}", "backlog: 64}]");
    reloaded(&daemon, &both);
    let new = load(ScgiClient::new(&format!("unix:{}", daemon.site().path("new.sock").display())));
    new.until_answered(50);
    old.until_answered(50);
    assert_eq!(old.stop().failed, Vec::<String>::new());
    reloaded(&daemon, &SITE.replace("blog.sock", "new.sock"));

    new.until_answered(50);
    assert_eq!(new.stop().failed, Vec::<String>::new());
    assert_eq!(daemon.look("blog").generation.0, 3);
    eventually("the old place is closed", || !daemon.site().path("blog.sock").exists());
}

#[test]
fn an_app_gets_another_name_under_load_and_nobody_is_lost() {
    let daemon = Site::new(SITE).serve();
    let (blog, shop) = (load(daemon.app("blog")), load(daemon.app("shop")));
    let inode = daemon.site().path("blog.sock").metadata().unwrap().ino();

    for (blog_name, shop_name) in [("journal", "shop"), ("journal", "store"), ("blog", "shop")] {
        blog.until_answered(50);
        shop.until_answered(50);
        let site = SITE.replace("  blog:", &format!("  {blog_name}:"));
        reloaded(&daemon, &site.replace("  shop:", &format!("  {shop_name}:")));
        assert_eq!(daemon.look(blog_name).workers.serving, 2);
    }

    blog.until_answered(50);
    shop.until_answered(50);
    assert_eq!((blog.stop().failed, shop.stop().failed), (Vec::new(), Vec::new()));
    assert_eq!(daemon.site().path("blog.sock").metadata().unwrap().ino(), inode);
}

#[test]
fn two_apps_change_places_under_load_and_nobody_is_lost() {
    let site = "
apps:
  blog: {run: [$echo], listen: 'unix:$dir/a.sock', workers: 2}
  shop: {run: [$echo], listen: '127.0.0.1:$port_shop', workers: 2}
";
    let daemon = Site::new(site).serve();
    let (here, there) = (load(daemon.app("blog")), load(daemon.app("shop")));
    here.until_answered(50);
    there.until_answered(50);

    let swapped = site.replace("unix:$dir/a.sock", "@").replace("127.0.0.1:$port_shop", "$");
    let swapped = swapped.replace("'@'", "'127.0.0.1:$port_shop'");
    reloaded(&daemon, &swapped.replace("'$'", "'unix:$dir/a.sock'"));

    here.until_answered(50);
    there.until_answered(50);
    assert_eq!((here.stop().failed, there.stop().failed), (Vec::new(), Vec::new()));
    assert!(daemon.look("blog").listen[0].starts_with("127.0.0.1"));
    assert!(daemon.site().path("a.sock").exists());
}

#[test]
fn no_place_changes_hands_when_the_configuration_is_refused() {
    let site = "
apps:
  blog: {run: [$dir/blog], listen: 'unix:$dir/blog.sock', workers: 1}
  shop: {run: [$echo], listen: 'unix:$dir/shop.sock', workers: 1}
";
    let site = Site::new(site);
    site.copy_of("it-echo");
    std::fs::rename(site.path("it-echo"), site.path("blog")).unwrap();
    let daemon = site.serve();
    let (blog, shop) = (daemon.pids("blog"), daemon.pids("shop"));
    std::fs::remove_file(daemon.site().path("blog")).unwrap();
    let moved = "
apps:
  blog: {run: [$dir/blog], listen: 'unix:$dir/new.sock', workers: 1}
  shop: {run: [$echo], listen: 'unix:$dir/blog.sock', workers: 1}
";
    daemon.site().write_config(moved);

    let said = daemon.scgictl("reload");

    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("there is no program"), "{}", said.err);
    assert_eq!((daemon.pids("blog"), daemon.pids("shop")), (blog, shop));
}
