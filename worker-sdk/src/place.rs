//! Where in the app a request belongs: the path to route by, and the prefix before it.
//!
//! Front ends disagree about `SCRIPT_NAME` and `PATH_INFO`: nginx sends neither unless told,
//! mod_proxy_scgi puts everything into the former, lighttpd splits after the first segment if it
//! is mounted at the root. What they agree about is the whole path, and that is what a configured
//! mount is taken from. Never looks at the query.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::clues::Clues;

/// The URL's path in two parts, both decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<'r> {
    /// What is before the app's own path: empty, or `/` and more, without a final slash.
    pub(crate) mount: Cow<'r, str>,
    /// The app's own path; begins with `/`.
    pub(crate) path: Cow<'r, str>,
}

impl<'r> Place<'r> {
    /// The place a head speaks of; `mount` is where the configuration says the app is.
    pub(crate) fn of(clues: &Clues<'r>, mount: Option<&'r str>) -> Self {
        match (mount, clues.path_info) {
            (Some(mount), _) => Self::under(mount.trim_end_matches('/'), whole(clues)),
            (None, Some(_)) => Self {
                mount: text(clues.script_name.unwrap_or_default()),
                path: rooted(own_path(clues)),
            },
            (None, None) => Self { mount: Cow::Borrowed(""), path: rooted(whole(clues)) },
        }
    }

    fn under(mount: &'r str, whole: Cow<'r, str>) -> Self {
        let inside =
            whole.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match inside.map(str::len) {
            Some(rest) => {
                let start = whole.len() - rest;
                Self { mount: Cow::Borrowed(mount), path: rooted(cut_front(whole, start)) }
            }
            None => Self { mount: Cow::Borrowed(""), path: rooted(whole) },
        }
    }
}

/// The whole path of the URL, decoded and without dot segments.
///
/// `DOCUMENT_URI`, or `SCRIPT_NAME` and `PATH_INFO` together, have been through the front end's
/// own checks; `REQUEST_URI` is what the client wrote.
fn whole<'r>(clues: &Clues<'r>) -> Cow<'r, str> {
    match (clues.document_uri, clues.script_name, clues.request_uri) {
        (Some(decoded), _, _) => text(decoded),
        (None, Some(script_name), _) => match clues.path_info {
            Some(_) => text(script_name) + own_path(clues),
            None => text(script_name),
        },
        (None, None, Some(raw)) if clues.path_info.is_none() => {
            Cow::Owned(without_dots(&decoded(path_of(raw))))
        }
        (None, None, _) => own_path(clues),
    }
}

/// `PATH_INFO`, decoded.
///
/// It is decoded already, except where mod_proxy_scgi cuts it off the end of the raw URI.
fn own_path<'r>(clues: &Clues<'r>) -> Cow<'r, str> {
    let path_info = clues.path_info.unwrap_or_default();
    let still_encoded = path_info.contains(&b'%')
        && clues.request_uri.is_some_and(|raw| path_of(raw).ends_with(path_info));
    if still_encoded { decoded(path_info) } else { text(path_info) }
}

/// The path in a request target: without `http://host` before it and the query behind it.
pub(crate) fn path_of(target: &[u8]) -> &[u8] {
    let without_query = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let Some(scheme) = without_query.windows(3).position(|three| three == b"://") else {
        return without_query;
    };
    if without_query.starts_with(b"/") {
        return without_query;
    }
    let authority = &without_query[scheme + 3..];
    authority.iter().position(|&byte| byte == b'/').map_or(b"/", |at| &authority[at..])
}

fn decoded(raw: &[u8]) -> Cow<'_, str> {
    match Cow::from(percent_decode(raw)) {
        Cow::Borrowed(bytes) => text(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Takes `.` and `..` out of a path, as front ends do before they route.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

fn rooted(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        path if path.starts_with('/') => path,
        path if path.is_empty() => Cow::Borrowed("/"),
        path => Cow::Owned(format!("/{path}")),
    }
}

fn cut_front(text: Cow<'_, str>, bytes: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[bytes..]),
        Cow::Owned(text) => Cow::Owned(text[bytes..].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(clues: [&'static str; 4], mount: Option<&'static str>) -> (String, String) {
        let [request_uri, document_uri, script_name, path_info] =
            clues.map(|clue| (clue != "-").then_some(clue.as_bytes()));
        let clues = Clues { request_uri, document_uri, script_name, path_info, ..Clues::default() };
        let Place { mount, path } = Place::of(&clues, mount);
        (mount.into_owned(), path.into_owned())
    }

    fn pair(mount: &str, path: &str) -> (String, String) {
        (mount.into(), path.into())
    }

    const URI: &str = "/app/a%20b/c?q=/x";

    #[test]
    fn under_a_mount_all_front_ends_lead_to_the_same_place() {
        for clues in [
            [URI, "/app/a b/c", "-", "-"],             // nginx, stock scgi_params
            [URI, "/app/a b/c", "/app", "/a b/c"],     // nginx with captures
            [URI, "-", "/app/a b/c", "-"],             // mod_proxy_scgi
            [URI, "-", "/app/a b", "/c"],              // mod_proxy_scgi with a wrong split
            [URI, "-", "/app", "/a%20b/c"],            // mod_proxy_scgi with proxy-scgi-pathinfo
            [URI, "-", "/app", "/a b/c"],              // mod_scgi, lighttpd
            [URI, "-", "-", "-"],                      // only what the client sent
            ["http://h:1/app/a%20b/c", "-", "-", "-"], // the same in absolute form
        ] {
            assert_eq!(place(clues, Some("/app")), pair("/app", "/a b/c"), "{clues:?}");
            assert_eq!(place(clues, Some("/app/")), pair("/app", "/a b/c"), "{clues:?}");
        }
    }

    #[test]
    fn a_mount_at_the_root_undoes_a_split_after_the_first_segment() {
        assert_eq!(place(["/a/b", "-", "/a", "/b"], Some("/")), pair("", "/a/b"));
    }

    #[test]
    fn the_mount_itself_is_the_root_of_the_app() {
        assert_eq!(place(["/app", "/app", "/app", ""], Some("/app")), pair("/app", "/"));
        assert_eq!(place(["/app", "-", "/app", ""], None), pair("/app", "/"));
    }

    #[test]
    fn a_sibling_that_begins_like_the_mount_is_not_inside_it() {
        let sibling = ["/application/x", "-", "/application", "/x"];

        assert_eq!(place(sibling, Some("/app")), pair("", "/application/x"));
    }

    #[test]
    fn without_a_mount_the_split_of_the_front_end_holds() {
        assert_eq!(place([URI, "-", "/app", "/a b/c"], None), pair("/app", "/a b/c"));
        assert_eq!(place([URI, "-", "/app", "/a%20b/c"], None), pair("/app", "/a b/c"));
    }

    #[test]
    fn without_a_split_the_path_is_the_whole_path() {
        assert_eq!(place([URI, "/app/a b/c", "-", "-"], None), pair("", "/app/a b/c"));
        assert_eq!(place([URI, "-", "/app/a b/c", "-"], None), pair("", "/app/a b/c"));
        assert_eq!(place(["-", "-", "-", "-"], None), pair("", "/"));
    }

    #[test]
    fn a_decoded_percent_sign_is_not_decoded_again() {
        assert_eq!(place(["/app/a%2541", "-", "/app", "/a%41"], None), pair("/app", "/a%41"));
    }

    #[test]
    fn what_a_client_writes_cannot_climb_out_of_the_app() {
        assert_eq!(place(["/a/../../etc/./x", "-", "-", "-"], None), pair("", "/etc/x"));
        assert_eq!(place(["/%2e%2e/x", "-", "-", "-"], None), pair("", "/x"));
    }
}
