//! What the worker itself wants to know of every request, found in one pass over the variables, or
//! where it stood in the last request of the same shape.
//!
//! Only looks them up; what they mean is for others to say.

use scgi_protocol::page::CHECKUP;
use scgi_protocol::scgi::{Head, Shape};

/// The variables by which a request is routed and accounted for, as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clues<'r> {
    pub(crate) method: Option<&'r [u8]>,
    pub(crate) request_uri: Option<&'r [u8]>,
    pub(crate) document_uri: Option<&'r [u8]>,
    pub(crate) script_name: Option<&'r [u8]>,
    pub(crate) path_info: Option<&'r [u8]>,
    pub(crate) request_start: Option<&'r [u8]>,
    /// It is there if the daemon asks, see [`CHECKUP`].
    pub(crate) checkup: Option<&'r [u8]>,
}

/// Where they stand in heads of one shape, to be asked for one head after the other.
#[derive(Debug, Default)]
pub(crate) struct Places {
    shape: Option<Shape>,
    nth: [Option<usize>; 7],
}

impl Places {
    pub(crate) fn clues<'r>(&mut self, head: &'r Head<'_>) -> Clues<'r> {
        if head.shape().is_none() || head.shape() != self.shape {
            *self = Self::find(head);
        }
        let value = |nth: Option<usize>| head.nth(nth?).map(|(_, value)| value);
        let [method, request_uri, document_uri, script_name, path_info, request_start, checkup] =
            self.nth.map(value);
        Clues { method, request_uri, document_uri, script_name, path_info, request_start, checkup }
    }

    fn find(head: &Head<'_>) -> Self {
        let mut places = Self { shape: head.shape(), ..Self::default() };
        let [method, request_uri, document_uri, script_name, path_info, request_start, checkup] =
            &mut places.nth;
        for (nth, (name, _)) in head.iter().enumerate() {
            let place = match name {
                b"REQUEST_METHOD" => &mut *method,
                b"REQUEST_URI" => &mut *request_uri,
                b"DOCUMENT_URI" => &mut *document_uri,
                b"SCRIPT_NAME" => &mut *script_name,
                b"PATH_INFO" => &mut *path_info,
                b"HTTP_X_REQUEST_START" => &mut *request_start,
                name if name == CHECKUP.as_bytes() => &mut *checkup,
                _ => continue,
            };
            *place = Some(nth);
        }
        places
    }
}

impl<'r> Clues<'r> {
    pub(crate) fn of(head: &'r Head<'_>) -> Self {
        Places::default().clues(head)
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
