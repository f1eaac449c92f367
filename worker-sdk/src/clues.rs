//! What the worker itself wants to know of every request, found in one pass over the variables.
//!
//! Only looks them up; what they mean is for others to say.

use scgi_protocol::scgi::Head;

/// The variables by which a request is routed and accounted for, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clues<'r> {
    pub(crate) method: Option<&'r [u8]>,
    pub(crate) request_uri: Option<&'r [u8]>,
    pub(crate) document_uri: Option<&'r [u8]>,
    pub(crate) script_name: Option<&'r [u8]>,
    pub(crate) path_info: Option<&'r [u8]>,
    pub(crate) request_start: Option<&'r [u8]>,
}

impl<'r> Clues<'r> {
    pub(crate) fn of(head: &'r Head<'_>) -> Self {
        let mut clues = Self::default();
        for (name, value) in head.iter() {
            let clue = match name {
                b"REQUEST_METHOD" => &mut clues.method,
                b"REQUEST_URI" => &mut clues.request_uri,
                b"DOCUMENT_URI" => &mut clues.document_uri,
                b"SCRIPT_NAME" => &mut clues.script_name,
                b"PATH_INFO" => &mut clues.path_info,
                b"HTTP_X_REQUEST_START" => &mut clues.request_start,
                _ => continue,
            };
            *clue = Some(value);
        }
        clues
    }

    /// The method; GET if none was sent, as by health checks, or one that is no text.
    pub(crate) fn method(&self) -> &'r str {
        let sent = self.method.and_then(|method| str::from_utf8(method).ok());
        sent.filter(|method| !method.is_empty()).unwrap_or("GET")
    }

    /// The URI for people to recognise the request by.
    pub(crate) fn uri(&self) -> &'r [u8] {
        self.request_uri.or(self.document_uri).or(self.path_info).unwrap_or(b"/")
    }
}
