//! The examples in `deploy/front-ends`: each is what is printed for the site beside them, and works.

use scgi_tests::{FrontEnd, Server, Site, needs_root};

const YAML: &str = include_str!("../../../deploy/front-ends/site.yaml");

fn example(server: Server) -> &'static str {
    match server {
        Server::Nginx => include_str!("../../../deploy/front-ends/nginx.conf"),
        Server::Apache => include_str!("../../../deploy/front-ends/apache.conf"),
        Server::ApacheModScgi => include_str!("../../../deploy/front-ends/apache-mod-scgi.conf"),
        Server::Lighttpd => include_str!("../../../deploy/front-ends/lighttpd.conf"),
    }
}

#[test]
fn every_example_is_what_is_printed_for_the_site_beside_it_and_works() {
    needs_root();
    let here = |text: &str| {
        let programs = text.replace("/srv/blog/bin/blog", "$pages");
        let programs = programs.replace("/srv/shop/bin/shop", "$pages");
        let places = programs.replace("/run/scgid", "$dir");
        places.replace("4000", "$port_blog").replace("4001", "$port_shop")
    };
    let daemon = Site::new(&here(YAML)).serve();

    for server in Server::ALL {
        let printed = daemon.scgictl(&format!("front {}", server.word())).out;
        let expected = daemon.site().fill(&here(example(server)));
        assert!(
            printed == expected,
            "deploy/front-ends has another one for {server:?}:\n{printed}"
        );

        let front = FrontEnd::start_with(server, &printed);
        for target in ["/hello", "/shop/hello"] {
            assert_eq!(front.get(target).text(), "hello\n", "{server:?} {target}");
        }
    }
}
