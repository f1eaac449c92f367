//! `SCRIPT_NAME` and `PATH_INFO` are the mount and the decoded rest, whoever is in front.

use scgi_tests::{FrontEnd, Server, Site};

use super::{all, mounts};

/// What the app says of where a request is, or the status with which the server refuses it.
fn place(front: &FrontEnd, target: &str) -> String {
    let answer = front
        .ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    match answer.status {
        200 => answer.text().trim_end_matches('\n').to_owned(),
        refused => refused.to_string(),
    }
}

#[test]
fn paths_reach_an_app_as_its_mount_and_the_decoded_rest() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let server = front.server();
        for mount in mounts(server) {
            for (target, rest) in [
                ("", ""),
                ("/", "/"),
                ("/x?q=/y%20z", "/x"),
                ("/a%20b/c", "/a b/c"),
                ("/caf%C3%A9/%E2%82%AC", r"/caf\xc3\xa9/\xe2\x82\xac"),
                ("/100%25/a%2541", "/100%/a%41"),
                ("/./d//e/../f", "/d/f"),
                ("/d/e%20f/%2e%2e/g%20h", "/d/g h"),
            ] {
                let found = place(front, &format!("{mount}{target}"));
                assert_eq!(found, format!("{mount} {rest}"), "{server:?} {mount}{target}");
            }
        }
    }
}

#[test]
fn what_some_servers_refuse_is_right_behind_the_others() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let slash = place(front, "/shop/a%2Fb");
        let line_feed = place(front, "/shop/a%0Ab");
        let nul = place(front, "/shop/a%00b");

        match front.server() {
            Server::Nginx => {
                assert_eq!([slash, line_feed, nul], ["/shop /a/b", r"/shop /a\nb", "400"]);
            }
            Server::Apache | Server::ApacheModScgi => {
                assert_eq!([slash, line_feed, nul], ["404", r"/shop /a\nb", "404"]);
            }
            Server::Lighttpd => assert_eq!([slash, line_feed, nul], ["/shop /a/b", "400", "400"]),
        }
    }
}

#[test]
fn a_mount_is_found_however_it_is_written() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let server = front.server();
        for target in ["/%73hop/x%20y", "/else/../shop/x%20y", "http://localhost/shop/x%20y?q"] {
            assert_eq!(place(front, target), "/shop /x y", "{server:?} {target}");
        }
    }
}

#[test]
fn what_only_begins_like_a_mount_is_not_the_apps() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        for target in ["/shopping", "/shopping/hello", "/blogs/hello", "/hello"] {
            assert_eq!(front.get(target).status, 404, "{:?} {target}", front.server());
        }
        if front.server() != Server::ApacheModScgi {
            assert_eq!(place(front, "/shop/desks/x"), "/shop /desks/x", "{:?}", front.server());
        }
    }
}

#[test]
fn a_program_that_knows_of_no_mount_is_told_the_right_variables() {
    let (_daemon, fronts) = all();

    for front in &fronts {
        let told = front.get("/shop/variables").text();

        assert!(told.contains("\nSCRIPT_NAME = /shop\n"), "{:?}: {told}", front.server());
        assert!(told.contains("\nPATH_INFO = /variables\n"), "{:?}: {told}", front.server());
    }
}

#[test]
fn an_app_at_the_top_has_the_whole_path_and_leaves_others_theirs() {
    let daemon = Site::new(
        "
defaults: {run: [$pages], workers: 1}
apps:
  top: {listen: '127.0.0.1:$port_top'}
  shop: {listen: '127.0.0.1:$port_shop', mount: /shop}
",
    )
    .serve();

    for server in Server::ALL {
        let front = FrontEnd::start(server, &daemon);
        for (target, found) in [
            ("/", " /"),
            ("/a%20b/c", " /a b/c"),
            ("/a/../b/", " /b/"),
            ("/shopping/x", " /shopping/x"),
            ("/shop/a%20b", "/shop /a b"),
        ] {
            assert_eq!(place(&front, target), found, "{server:?} {target}");
        }
    }
}

#[test]
fn an_app_on_ipv6_with_unusual_letters_in_its_mount_is_found() {
    let daemon = Site::new(
        "
defaults: {run: [$pages], workers: 1}
apps:
  six: {listen: '[::1]:$port_six', mount: /a.b+c~d}
  any: {listen: '[::]:$port_any', mount: '/any,@x=y'}
",
    )
    .serve();

    for server in Server::ALL {
        let front = FrontEnd::start(server, &daemon);
        for (target, found) in [
            ("/a.b+c~d/x", "/a.b+c~d /x"),
            ("/any,@x=y/x%20y", "/any,@x=y /x y"),
            ("/axb+c~d/x", "404"),
            ("/a.bbc~d/x", "404"),
        ] {
            assert_eq!(place(&front, target), found, "{server:?} {target}");
        }
    }
}

/// Configurations as people have them, of whom nobody asked scgid: each with a trap of its own.
const FOUND: [(Server, &str); 8] = [
    (Server::Nginx, "location /shop { include scgi_params; scgi_pass 127.0.0.1:$port_shop; }"),
    (Server::Apache, "ProxyPass \"/shop/\" \"scgi://127.0.0.1:$port_shop/\""),
    (Server::Apache, "ProxyPass \"/shop\" \"scgi://127.0.0.1:$port_shop/shop\""),
    (
        Server::Apache,
        "SetEnvIf Request_URI . proxy-scgi-pathinfo\n\
         ProxyPass \"/shop/\" \"scgi://127.0.0.1:$port_shop/\"",
    ),
    (Server::ApacheModScgi, "SCGIMount /shop 127.0.0.1:$port_shop"),
    (
        Server::ApacheModScgi,
        "<Location \"/shop\">\nSCGIHandler On\nSCGIServer 127.0.0.1:$port_shop\n</Location>",
    ),
    (
        Server::Lighttpd,
        "server.modules += ( \"mod_scgi\" )\nscgi.server = ( \"/shop\" => (( \"host\" => \
         \"127.0.0.1\", \"port\" => $port_shop, \"check-local\" => \"disable\" )) )",
    ),
    (
        Server::Lighttpd,
        "server.modules += ( \"mod_scgi\" )\nscgi.server = ( \"/\" => (( \"host\" => \
         \"127.0.0.1\", \"port\" => $port_shop, \"check-local\" => \"disable\" )) )",
    ),
];

#[test]
fn with_a_mount_any_configuration_leads_to_the_same_place() {
    let wsgi = "[$python, -m, scgi_worker, 'pages:app'], directory: $dir";
    for run in ["[$pages]", wsgi] {
        let site = Site::new(&format!(
            "apps: {{shop: {{run: {run}, listen: '127.0.0.1:$port_shop', mount: /shop, \
             workers: 1}}}}"
        ));
        site.write("pages.py", include_str!("../../apps/pages.py"));
        let daemon = site.serve();

        for (server, configuration) in FOUND {
            let front = FrontEnd::start_with(server, &daemon.site().fill(configuration));
            for (target, rest) in [
                ("/shop/", "/"),
                ("/shop/x?q=/y", "/x"),
                ("/shop/a%20b/c", "/a b/c"),
                ("/shop/caf%C3%A9", r"/caf\xc3\xa9"),
                ("/shop/100%25/a%2541", "/100%/a%41"),
                ("/shop/d/../e//f", "/e/f"),
            ] {
                let found = place(&front, target);
                assert_eq!(found, format!("/shop {rest}"), "{run} {configuration} {target}");
            }
        }
    }
}
