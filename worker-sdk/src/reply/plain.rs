//! Replies that say no more than a status and its name.

use scgi_protocol::scgi::{ResponseWriter, reason_phrase};

use crate::response::Response;

/// A status and its name, as a line.
pub(crate) fn plain_text(status: u16) -> String {
    format!("{status} {}\n", reason_phrase(status))
}

/// The reply to a request that went wrong, for the client: a status and its name, no details.
pub(crate) fn plain(status: u16) -> Response {
    Response::text(plain_text(status)).status(status)
}

/// The same reply as bytes, for whom no handler stands.
pub(crate) fn plain_bytes(status: u16) -> Vec<u8> {
    let text = plain_text(status);
    let mut bytes = Vec::new();
    ResponseWriter::new(&mut bytes, status)
        .and_then(|mut head| {
            head.header("Content-Type", "text/plain; charset=utf-8")?;
            head.header("Content-Length", text.len().to_string())?;
            Ok(head.finish())
        })
        .expect("status and headers are valid");
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
