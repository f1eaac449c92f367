//! A reply whose head is known and whose body is written piece by piece.

use std::io::{self, Read, Write};

use super::measure::Measure;
use super::{Draft, Fault, Length, Outlet};

/// Bytes taken from a reader at once.
const READER_BYTES: usize = 64 << 10;

/// The writer a stream is given.
pub(super) struct Stream<'o, 'r> {
    outlet: &'o mut Outlet<'r>,
    /// The head, until it is sent.
    draft: Option<Draft>,
    measure: Measure,
    fault: Option<Fault>,
}

impl<'o, 'r> Stream<'o, 'r> {
    pub(super) fn new(outlet: &'o mut Outlet<'r>, draft: Draft, length: Option<u64>) -> Self {
        Self { outlet, draft: Some(draft), measure: Measure::of(length), fault: None }
    }

    /// Sends what is held back and `more`, behind the head if that has not gone yet.
    fn push(&mut self, more: &[u8]) -> io::Result<()> {
        let length = self.measure.announced.map_or(Length::Unknown, Length::Known);
        let sent = match self.draft.take() {
            Some(draft) => self.outlet.write_head(&draft, length),
            None => Ok(()),
        }
        .and_then(|()| self.outlet.send(more));
        sent.map_err(|fault| {
            let kind = self.outlet.broken_kind();
            self.fault = Some(fault);
            kind.into()
        })
    }

    pub(super) fn end(mut self, filled: io::Result<()>) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        filled.map_err(|error| Fault::Handler(error.to_string()))?;
        self.measure.is_met()?;
        self.measure.announced = Some(self.measure.taken);
        if self.draft.is_some() || !self.outlet.buffers.held.is_empty() {
            // Its error is in `fault`, as before.
            let _ = self.push(&[]);
        }
        self.fault.map_or(Ok(()), Err)
    }
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(self.outlet.broken_kind().into());
        }
        self.measure.take(bytes.len());
        self.measure.is_kept()?;
        if !self.outlet.holds(bytes) {
            self.push(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.draft.is_some() || !self.outlet.buffers.held.is_empty() {
            self.push(&[])?;
        }
        self.outlet.wait_for_room().map_err(|fault| {
            self.fault = Some(fault);
            self.outlet.broken.unwrap_or(io::ErrorKind::BrokenPipe).into()
        })
    }
}

/// Writes all that `source` yields.
pub(super) fn pour(mut source: impl Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; READER_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => to.write_all(&buffer[..bytes])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
