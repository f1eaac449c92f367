//! From the variables of a front end to the request that HTTP frameworks know.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use scgi_protocol::scgi::{Head, OwnedHead};

use super::incoming::Incoming;
use crate::clues::Clues;
use crate::place::{Place, path_of};

/// What stands for itself in a path, apart from letters and digits (RFC 3986, section 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The longest header name that is looked at, in bytes; longer ones are left out.
const NAME_BYTES: usize = 256;

/// The variables a front end sent, as an extension of the request.
///
/// ```
/// # #[cfg(feature = "async")] {
/// use scgi_worker::Variables;
///
/// fn user(request: &http::Request<()>) -> Option<&str> {
///     request.extensions().get::<Variables>()?.get("REMOTE_USER")
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Variables(pub(super) Arc<OwnedHead>);

impl Variables {
    /// A variable's value, if it was sent and is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get_str(name)
    }

    /// All variables as they were sent; one that was sent twice is there twice.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0.iter()
    }
}

/// The prefix of the URL before the app's own path, as an extension of the request: empty, or `/`
/// and more, without a final slash. The request's URI begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount(pub String);

/// The request that a head means, which was decoded from `bytes`; its [`Variables`] apart.
pub(super) fn request(
    head: &Head<'_>,
    bytes: &Bytes,
    clues: &Clues<'_>,
    mount: Option<&str>,
    body: Incoming,
) -> http::Request<Incoming> {
    let place = Place::of(clues, mount);
    let mut request = http::Request::new(body);
    *request.method_mut() = Method::from_bytes(clues.method().as_bytes()).unwrap_or_default();
    *request.uri_mut() = uri(head, bytes, clues, &place);
    *request.version_mut() = version(head);
    *request.headers_mut() = headers(head, bytes);
    if !place.mount.is_empty() {
        request.extensions_mut().insert(Mount(place.mount.into_owned()));
    }
    request
}

/// The app's own path and the query.
fn uri(head: &Head<'_>, bytes: &Bytes, clues: &Clues<'_>, place: &Place<'_>) -> Uri {
    let raw = clues.request_uri.unwrap_or_default();
    let path = own_path(path_of(raw), place);
    let query = head.get("QUERY_STRING").filter(|query| !query.is_empty());
    let text = match query {
        None => shared(bytes, path.as_bytes()),
        Some(query) => [path.as_bytes(), b"?", query].concat().into(),
    };
    let target = PathAndQuery::from_maybe_shared(text);
    // A query with bytes that no URI has is left out rather than the request refused.
    target.map(Uri::from).or_else(|_| Uri::try_from(&*encoded(&place.path))).unwrap_or_default()
}

/// The path as the client spelled it, if it is the one that the front end saw: what it made of `..`
/// is what its access rules were asked about.
fn own_path<'r>(raw: &'r [u8], place: &'r Place<'_>) -> Cow<'r, str> {
    let own = str::from_utf8(raw).ok().and_then(|raw| raw.strip_prefix(&*place.mount));
    let means = |own: &str| percent_decode(own.as_bytes()).eq(place.path.bytes());
    match own {
        Some(own) if own.starts_with('/') && means(own) => Cow::Borrowed(own),
        _ => encoded(&place.path),
    }
}

fn encoded(path: &str) -> Cow<'_, str> {
    utf8_percent_encode(path, PATH).into()
}

fn version(head: &Head<'_>) -> Version {
    match head.get("SERVER_PROTOCOL") {
        Some(b"HTTP/1.0") => Version::HTTP_10,
        Some(b"HTTP/2.0" | b"HTTP/2") => Version::HTTP_2,
        Some(b"HTTP/3.0" | b"HTTP/3") => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

/// The client's headers; those that cannot be headers are left out.
fn headers(head: &Head<'_>, bytes: &Bytes) -> HeaderMap {
    let of_client = head.iter().filter(|(variable, _)| variable.starts_with(b"HTTP_")).count();
    let of_body = if head.content_length() > 0 { 2 } else { 0 };
    let mut headers = HeaderMap::with_capacity(of_client + of_body);
    for (variable, value) in head.iter() {
        let name = match variable.strip_prefix(b"HTTP_") {
            // The body is as long as CONTENT_LENGTH says, in whatever pieces the client sent it.
            Some(b"CONTENT_LENGTH" | b"CONTENT_TYPE" | b"TRANSFER_ENCODING") => None,
            Some(name) => header_name(name),
            None => match variable {
                b"CONTENT_TYPE" if !value.is_empty() => Some(CONTENT_TYPE),
                b"CONTENT_LENGTH" if head.content_length() > 0 => Some(CONTENT_LENGTH),
                _ => None,
            },
        };
        if let Some(name) = name
            && let Ok(value) = HeaderValue::from_maybe_shared(shared(bytes, value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// `part`, which is not copied if it is one of `whole`.
fn shared(whole: &Bytes, part: &[u8]) -> Bytes {
    let (all, own) = (whole.as_ptr_range(), part.as_ptr_range());
    if all.start <= own.start && own.end <= all.end {
        whole.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

/// The header that a variable was made of.
fn header_name(variable: &[u8]) -> Option<HeaderName> {
    let mut room = [0; NAME_BYTES];
    let name = room.get_mut(..variable.len())?;
    name.copy_from_slice(variable);
    for byte in &mut *name {
        *byte = if *byte == b'_' { b'-' } else { *byte };
    }
    // Makes small letters of them as well.
    HeaderName::from_bytes(name).ok()
}
