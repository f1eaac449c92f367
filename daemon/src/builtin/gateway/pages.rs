//! What the gateway says itself: the list of apps, and what went wrong.

use std::error::Error;
use std::fmt::Write;

use super::failure::Failure;
use super::routes::{Route, Routes};
use crate::builtin::html::{Escaped, page};

/// The list of apps. `socket` is the daemon's control socket, if it is known.
pub(super) fn index(routes: &Routes, socket: Option<&str>) -> String {
    let mut body = String::from(
        "<h1>scgid serves these apps</h1>\n\
         <p class=\"lead\">Each is a pool of worker processes that scgid started, watches, scales \
         and replaces. This page is scgid's own HTTP gateway. It is for development only: a web \
         server goes in its place.</p>\n<ul class=\"cards\">\n",
    );
    for route in routes.iter() {
        let Route { prefix, address } = route;
        let (name, prefix) = (Escaped(route.name()), Escaped(prefix));
        let address = Escaped(address);
        put(
            &mut body,
            format_args!(
                "<li><a class=\"card\" href=\"{prefix}/\"><b>{name}</b><br>\
                 <span class=\"soft\">listens at <code>{address}</code></span></a></li>\n"
            ),
        );
    }
    body.push_str("</ul>\n<h2>Look behind it</h2>\n<pre>");
    if let Some(socket) = socket {
        put(&mut body, format_args!("export SCGI_SOCKET={}\n", Escaped(socket)));
    }
    let first = routes.iter().next().map_or("APP", Route::name);
    put(
        &mut body,
        format_args!(
            "scgictl ps                 # how the apps are\n\
             scgictl scale {first} 4    # more workers, while you reload\n\
             scgictl logs -f            # what they write</pre>\n",
        ),
    );
    page("scgid", &body)
}

/// What went wrong, as a page.
pub(super) fn failed(failure: &Failure, route: Option<&Route>) -> String {
    let status = failure.status();
    let mut body = format!(
        "<h1><span class=\"bad\">{status}</span> {}</h1>\n",
        Escaped(capital(&failure.to_string()))
    );
    if let Some(route) = route {
        let (name, address) = (Escaped(route.name()), Escaped(&route.address));
        put(
            &mut body,
            format_args!(
                "<p class=\"lead\">The app is <b>{name}</b>, behind \
                 <code>{address}</code>.</p>\n"
            ),
        );
    }
    if let Some(cause) = causes(failure) {
        put(&mut body, format_args!("<p>{}</p>\n", Escaped(capital(&cause))));
    }
    if let Some(remedy) = route.and_then(|route| failure.remedy(route.name())) {
        put(&mut body, format_args!("<h2>Try</h2>\n<pre>{}</pre>\n", Escaped(remedy)));
    }
    body.push_str("<footer><a href=\"/\">All apps</a></footer>\n");
    page(&format!("{status} at the gateway"), &body)
}

/// What went wrong, as text.
pub(super) fn failed_text(failure: &Failure, route: Option<&Route>) -> String {
    let mut text = format!("{} {failure}", failure.status());
    if let Some(cause) = causes(failure) {
        put(&mut text, format_args!(": {cause}"));
    }
    text.push('\n');
    if let Some(route) = route {
        put(&mut text, format_args!("app: {}, behind {}\n", route.name(), route.address));
        if let Some(remedy) = failure.remedy(route.name()) {
            put(&mut text, format_args!("try: {remedy}\n"));
        }
    }
    text
}

/// That no app is mounted there, as a page.
pub(super) fn nowhere(path: &str) -> String {
    let body = format!(
        "<h1><span class=\"bad\">404</span> No app is mounted here</h1>\n\
         <p class=\"lead\">Nothing answers for <code>{}</code>.</p>\n\
         <footer><a href=\"/\">All apps</a></footer>\n",
        Escaped(path)
    );
    page("404 at the gateway", &body)
}

fn causes(failure: &Failure) -> Option<String> {
    let mut source = failure.source();
    let mut all = Vec::new();
    while let Some(error) = source {
        all.push(error.to_string());
        source = error.source();
    }
    (!all.is_empty()).then(|| all.join(": "))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn put(body: &mut String, markup: std::fmt::Arguments<'_>) {
    body.write_fmt(markup).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    fn two() -> Routes {
        let arguments = ["/guestbook=unix:/run/g.sock", "/environ=127.0.0.1:4001"];
        routes::parse(&arguments.map(str::to_owned)).unwrap().0
    }

    #[test]
    fn the_index_links_every_app_and_teaches_the_next_commands() {
        let page = index(&two(), Some("/tmp/scgid-demo/control.sock"));

        assert!(page.contains("href=\"/environ/\"") && page.contains("href=\"/guestbook/\""));
        assert!(page.contains("export SCGI_SOCKET=/tmp/scgid-demo/control.sock\n"));
        assert!(page.contains("scgictl scale environ 4"));
        assert!(page.contains("for development only"));
    }

    #[test]
    fn a_failure_names_the_app_the_cause_and_the_next_step() {
        let source = std::io::Error::from_raw_os_error(111);
        let address: scgi_protocol::address::Address = "127.0.0.1:4001".parse().unwrap();
        let failure = Failure::connecting(&address, source);
        let routes = two();
        let route = routes.find(b"/environ").unwrap().0;

        let text = failed_text(&failure, Some(route));
        let page = failed(&failure, Some(route));

        assert_eq!(
            text,
            "502 nobody listens at 127.0.0.1:4001: Connection refused (os error 111)\n\
             app: environ, behind 127.0.0.1:4001\n\
             try: scgictl describe environ    # how it is, and where it listens\n"
        );
        assert!(page.contains("<b>environ</b>") && page.contains("scgictl describe environ"));
    }

    #[test]
    fn a_path_nobody_answers_for_is_shown_but_is_no_markup() {
        assert!(nowhere("/<b>").contains("<code>/&lt;b&gt;</code>"));
    }
}
