//! The variables of a CGI program, as RFC 3875 has them.
//!
//! What the front end sent is not passed on as a whole: whoever may connect to the app's socket
//! could set `LD_PRELOAD`, and Apache sends its own `PATH`. Headers are passed (`HTTP_…`, save
//! `HTTP_PROXY`, which programs take for a setting of their own), the variables of the standard and
//! those that front ends are known to add. What the configuration says (`env`) wins.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use scgi_worker::Request;

use super::script::Script;

/// What front ends send besides headers that a program may see.
const PASSED: [&str; 27] = [
    "AUTH_TYPE",
    "CONTEXT_DOCUMENT_ROOT",
    "CONTEXT_PREFIX",
    "DOCUMENT_ROOT",
    "DOCUMENT_URI",
    "HTTP2",
    "HTTPS",
    "QUERY_STRING",
    "REDIRECT_STATUS",
    "REDIRECT_URL",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_IDENT",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_URI",
    "SCRIPT_URL",
    "SERVER_ADDR",
    "SERVER_ADMIN",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SIGNATURE",
    "SERVER_SOFTWARE",
    "UNIQUE_ID",
];

/// Families of such variables.
const FAMILIES: [&str; 3] = ["HTTP_", "SSL_", "H2_"];

/// Headers that are no variables: two that have variables of their own, and one that is dangerous.
const WITHHELD: [&str; 3] = ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_PROXY"];

/// What the software is called if the front end does not say what it is.
const SOFTWARE: &str = concat!("scgid/", env!("CARGO_PKG_VERSION"));

/// Variables as they are added to a program's environment.
type Variables = Vec<(OsString, OsString)>;

/// The variables of the program that answers `request`.
pub(super) fn of<S>(request: &Request<'_, S>, script: &Script<'_>) -> Variables {
    let known = |name: &str| std::env::var_os(name);
    let mut variables = Variables::new();
    for (name, value) in request.vars().filter(|(name, _)| is_passed(name)) {
        let name = OsStr::from_bytes(name);
        if name.to_str().and_then(known).is_none() {
            variables.push((name.to_owned(), OsStr::from_bytes(value).to_owned()));
        }
    }
    let usual = [
        ("QUERY_STRING", ""),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", SOFTWARE),
    ];
    for (name, value) in usual {
        if request.var_bytes(name).is_none() && known(name).is_none() {
            variables.push((name.into(), value.into()));
        }
    }
    let root = known("DOCUMENT_ROOT")
        .or_else(|| request.var_bytes("DOCUMENT_ROOT").map(|root| OsStr::from_bytes(root).into()));
    variables.extend(translated(root, &script.rest));
    variables.extend(content(request));
    let own: [(&str, OsString); 5] = [
        ("GATEWAY_INTERFACE", "CGI/1.1".into()),
        ("REQUEST_METHOD", request.method().into()),
        ("SCRIPT_NAME", OsString::from_vec([&*request.script_name(), &script.name].concat())),
        ("SCRIPT_FILENAME", script.program.clone().into()),
        ("PATH_INFO", OsString::from_vec(script.rest.clone())),
    ];
    variables.extend(own.map(|(name, value)| (name.into(), value)));
    variables
}

fn is_passed(name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return false };
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let of_family = FAMILIES.iter().any(|family| name.starts_with(family));
    name.chars().all(legal) && !WITHHELD.contains(&name) && (of_family || PASSED.contains(&name))
}

/// What the program's part of the path is called in the file system, if that is known.
fn translated(root: Option<OsString>, path_info: &[u8]) -> Option<(OsString, OsString)> {
    let root = root.filter(|root| Path::new(root).is_absolute() && !path_info.is_empty())?;
    let mut path = root.into_vec();
    while path.last() == Some(&b'/') {
        path.pop();
    }
    path.extend_from_slice(path_info);
    Some(("PATH_TRANSLATED".into(), OsString::from_vec(path)))
}

/// Length and type of the body, if there is one.
fn content<S>(request: &Request<'_, S>) -> Variables {
    let length = request.content_length();
    let mut variables = Variables::new();
    if length > 0 || ["POST", "PUT", "PATCH"].contains(&request.method()) {
        variables.push(("CONTENT_LENGTH".into(), length.to_string().into()));
    }
    let kind = request.var_bytes("CONTENT_TYPE").filter(|kind| !kind.is_empty());
    let kind = kind.map(|kind| OsStr::from_bytes(kind).to_owned());
    variables.extend(kind.map(|kind| ("CONTENT_TYPE".into(), kind)));
    variables
}
