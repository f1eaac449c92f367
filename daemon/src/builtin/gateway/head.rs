//! The SCGI head of an HTTP request: the variables of CGI (RFC 3875), and no more trust than that.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use scgi_protocol::scgi::{RequestError, RequestHead};

/// What the software is called.
const SOFTWARE: &str = concat!("scgid-gateway/", env!("CARGO_PKG_VERSION"));

/// Both ends of a client's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The client's.
    pub(super) remote: SocketAddr,
    /// Ours.
    pub(super) local: SocketAddr,
}

/// Where in an app a request belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Where the app is mounted.
    pub(super) script_name: &'a str,
    /// The rest of the path, decoded.
    pub(super) path_info: &'a [u8],
}

/// Writes the head of a request whose body has `length` bytes; `now` is the time since 1970.
///
/// # Errors
///
/// If something cannot be sent: NUL in the path.
pub(super) fn encode(
    parts: &Parts,
    place: Place<'_>,
    ends: Ends,
    length: u64,
    now: Duration,
) -> Result<Vec<u8>, RequestError> {
    let host = parts.headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
    let uri = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = RequestHead::new(length)
        .variable("REQUEST_METHOD", parts.method.as_str())
        .variable("REQUEST_URI", uri)
        .variable("SCRIPT_NAME", place.script_name)
        .variable("PATH_INFO", place.path_info)
        .variable("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .variable("SERVER_PROTOCOL", format!("{:?}", parts.version))
        .variable("GATEWAY_INTERFACE", "CGI/1.1")
        .variable("SERVER_SOFTWARE", SOFTWARE)
        .variable("REQUEST_SCHEME", "http")
        .variable("SERVER_NAME", server_name(host, ends.local))
        .variable("SERVER_ADDR", ends.local.ip().to_string())
        .variable("SERVER_PORT", ends.local.port().to_string())
        .variable("REMOTE_ADDR", ends.remote.ip().to_string())
        .variable("REMOTE_PORT", ends.remote.port().to_string())
        .variable("HTTP_X_REQUEST_START", format!("t={:.6}", now.as_secs_f64()));
    for (name, value) in variables(&parts.headers) {
        head = head.variable(name, value);
    }
    head.encode()
}

/// The name the client called us by, without a port; our address if it said none.
fn server_name(host: &[u8], local: SocketAddr) -> Vec<u8> {
    let port_less = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host.ends_with(b"]") => &host[..colon],
        _ => host,
    };
    match port_less {
        [] => local.ip().to_string().into_bytes(),
        name => name.to_owned(),
    }
}

/// Request headers as variables, repeated ones joined.
fn variables(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let passed = headers.keys().filter(|name| is_passed(name));
    let variable = |name: &HeaderName| {
        let values: Vec<&[u8]> =
            headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        let between: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
        let upper = name.as_str().to_ascii_uppercase().replace('-', "_");
        let name = if name == header::CONTENT_TYPE { upper } else { format!("HTTP_{upper}") };
        (name, values.join(between))
    };
    passed.map(variable).collect()
}

/// Whether an app hears of a header. Not of those that speak of this connection alone, nor of one
/// with `_` in its name, which could pass for another, nor of `Proxy`, which many programs would
/// take for their own variable `HTTP_PROXY`.
fn is_passed(name: &HeaderName) -> bool {
    const OURS: [&str; 9] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "x-request-start",
    ];
    !OURS.contains(&name.as_str()) && !name.as_str().contains('_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyper::Request;
    use scgi_protocol::scgi::{Limits, decode};

    use super::*;

    fn ends() -> Ends {
        Ends {
            remote: "127.0.0.1:50000".parse().unwrap(),
            local: "127.0.0.1:8080".parse().unwrap(),
        }
    }

    fn sent(request: Request<()>, path_info: &[u8]) -> BTreeMap<String, String> {
        let (parts, ()) = request.into_parts();
        let place = Place { script_name: "/blog", path_info };
        let now = Duration::from_millis(1_700_000_000_250);
        let bytes = encode(&parts, place, ends(), 5, now).unwrap();
        let limits = Limits { policy: scgi_protocol::scgi::Policy::Strict, ..Limits::default() };
        let (head, _) = decode(&bytes, &limits).unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        head.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn an_app_hears_what_cgi_promises() {
        let request = Request::post("/blog/a%20b?x=1")
            .header("Host", "example.org:8080")
            .header("Content-Type", "text/plain")
            .header("Accept-Language", "fr")
            .body(())
            .unwrap();

        insta::assert_debug_snapshot!(sent(request, b"/a b"));
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_by_semicolons() {
        let request = Request::get("/blog")
            .header("X-A", "1")
            .header("X-A", "2")
            .header("Cookie", "a=1")
            .header("Cookie", "b=2")
            .body(())
            .unwrap();

        let sent = sent(request, b"");

        assert_eq!(sent["HTTP_X_A"], "1, 2");
        assert_eq!(sent["HTTP_COOKIE"], "a=1; b=2");
    }

    #[test]
    fn no_header_passes_for_a_variable_of_ours() {
        let request = Request::get("/blog")
            .header("Proxy", "evil:3128")
            .header("X_Forwarded_User", "root")
            .header("X-Request-Start", "t=1")
            .header("Connection", "close")
            .body(())
            .unwrap();

        let sent = sent(request, b"");

        assert!(!sent.contains_key("HTTP_PROXY"));
        assert!(!sent.contains_key("HTTP_X_FORWARDED_USER"));
        assert!(!sent.contains_key("HTTP_CONNECTION"));
        assert_eq!(sent["HTTP_X_REQUEST_START"], "t=1700000000.250000");
    }

    #[test]
    fn the_server_has_the_name_the_client_used() {
        let local = ends().local;

        assert_eq!(server_name(b"example.org:8080", local), b"example.org");
        assert_eq!(server_name(b"[::1]", local), b"[::1]");
        assert_eq!(server_name(b"[::1]:80", local), b"[::1]");
        assert_eq!(server_name(b"", local), b"127.0.0.1");
    }
}
