//! A reply whose head is said while it is made: by CGI's ways, or by an interface of another
//! language.
//!
//! ```text
//! silent ─begin─▶ begun ─16 KiB or flush─▶ sent ─▶ … ─▶ done
//!                  ▲ └─ begin: another head in its place
//!                  └─── done before anything was sent: the length is known
//! ```
//!
//! For a HEAD, and for a 204 or 304, what is written is counted and thrown away.

use std::io::{self, Write};

use scgi_protocol::scgi::{ResponseError, ResponseHead, ResponseWriter};

use super::measure::Measure;
use super::{Fault, Length, Outlet, decimal};
use crate::response::Stage;

/// The way out that a staged response is given.
struct Wings<'o, 'r> {
    outlet: &'o mut Outlet<'r>,
    head: Option<ResponseHead>,
    is_sent: bool,
    measure: Measure,
    fault: Option<Fault>,
}

impl Outlet<'_> {
    /// Sends what `run` says and writes.
    pub(crate) fn staged(
        &mut self,
        run: impl FnOnce(&mut dyn Stage) -> io::Result<()>,
    ) -> Result<(), Fault> {
        let mut wings = Wings {
            outlet: self,
            head: None,
            is_sent: false,
            measure: Measure::default(),
            fault: None,
        };
        let ran = run(&mut wings);
        wings.end(ran)
    }
}

impl Wings<'_, '_> {
    /// Whether the client gets no body, whatever is written.
    fn is_bodiless(&self) -> bool {
        let status = self.head.as_ref().map(ResponseHead::status);
        self.outlet.head_only || matches!(status, Some(204 | 304))
    }

    fn length(&self) -> Length {
        match self.head.as_ref().map(ResponseHead::status) {
            Some(204 | 304) => Length::NoBody,
            _ => self.measure.announced.map_or(Length::Unknown, Length::Known),
        }
    }

    /// Sends what is held back and `more`, behind the head if that has not gone yet.
    fn push(&mut self, more: &[u8]) -> io::Result<()> {
        let pushed = self.write_head().and_then(|()| self.outlet.send(more));
        self.note(pushed)
    }

    fn note(&mut self, pushed: Result<(), Fault>) -> io::Result<()> {
        pushed.map_err(|fault| {
            self.fault = Some(fault);
            self.refusal()
        })
    }

    /// Counts what is written; whether it is to be sent now.
    fn takes(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.fault.is_some() {
            return Err(self.refusal());
        }
        if self.head.is_none() {
            return Err(io::Error::other("a body was written before a response head"));
        }
        self.measure.take(bytes.len());
        if self.is_bodiless() {
            return Ok(false);
        }
        self.measure.is_kept()?;
        Ok(!self.outlet.holds(bytes))
    }

    fn write_head(&mut self) -> Result<(), Fault> {
        if self.is_sent {
            return Ok(());
        }
        let length = self.length();
        let head = self.head.as_ref().expect("nothing is taken before there is a head");
        let buffer = &mut self.outlet.buffers.head;
        let written = write(head, length, buffer).map_err(Fault::Invalid)?;
        self.outlet.note_head(written);
        self.outlet.status = head.status();
        self.is_sent = true;
        Ok(())
    }

    /// What whoever writes is told from the fault on.
    fn refusal(&self) -> io::Error {
        self.outlet.broken_kind().into()
    }

    fn end(mut self, ran: io::Result<()>) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        ran.map_err(|error| Fault::Handler(error.to_string()))?;
        if self.head.is_none() {
            return Err(Fault::Handler("the handler answered nothing".to_owned()));
        }
        if !self.is_bodiless() {
            self.measure.is_met()?;
        }
        if !self.is_sent && (self.measure.taken > 0 || !self.outlet.head_only) {
            self.measure.announced = self.measure.announced.or(Some(self.measure.taken));
        }
        if !self.is_sent || !self.outlet.buffers.held.is_empty() {
            // Its error is in `fault`, as before.
            let _ = self.push(&[]);
        }
        self.fault.map_or(Ok(()), Err)
    }
}

impl Stage for Wings<'_, '_> {
    fn begin(&mut self, head: ResponseHead) -> io::Result<()> {
        if self.is_sent {
            return Err(io::Error::other("the response head has been sent already"));
        }
        self.measure.announced = match head.get("Content-Length") {
            None => None,
            Some(value) => Some(number(value).ok_or_else(|| {
                let value = value.escape_ascii();
                io::Error::other(format!("`Content-Length: {value}` is no length"))
            })?),
        };
        self.head = Some(head);
        Ok(())
    }

    fn is_sent(&self) -> bool {
        self.is_sent
    }

    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.takes(bytes)? {
            return Ok(());
        }
        let pushed = self.write_head().and_then(|()| self.outlet.send_whole(bytes));
        self.note(pushed)
    }
}

impl Write for Wings<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes(bytes)? {
            self.push(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fault.is_some() {
            return Err(self.refusal());
        }
        let has_more = !self.is_sent || !self.outlet.buffers.held.is_empty();
        if self.head.is_none() || self.is_bodiless() || !has_more {
            return Ok(());
        }
        self.push(&[])
    }
}

/// Writes `head` behind `buffer`; how many bytes that were.
fn write(
    head: &ResponseHead,
    length: Length,
    buffer: &mut Vec<u8>,
) -> Result<usize, ResponseError> {
    let mut writer = ResponseWriter::with_reason(buffer, head.status(), head.reason())?;
    for (name, value) in head.headers() {
        if !name.eq_ignore_ascii_case("Content-Length") {
            writer.header(name, value)?;
        }
    }
    if let Length::Known(bytes) = length {
        writer.header("Content-Length", decimal(bytes, &mut [0; 20]))?;
    }
    Ok(writer.finish())
}

/// A number in digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(digits).ok()?.trim();
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}
