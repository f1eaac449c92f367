//! A request as the package's Python files see it: a number, and what can be asked by it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use scgi_worker::ResponseHead;

use crate::lent::{self, Number};

/// The most that is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// Longest response head that is taken in CGI's form, in bytes.
const HEAD_BYTES: usize = 1 << 20;

/// One request, usable in the call that was made for it.
#[pyclass(frozen, name = "Request", module = "scgi_worker._native")]
pub(crate) struct PyRequest {
    pub(crate) number: Number,
    /// Bytes of the body.
    #[pyo3(get)]
    pub(crate) length: u64,
}

#[pymethods]
impl PyRequest {
    /// What there is of the body, at least one and at most `size` bytes; none at its end.
    fn read<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.min(READ_BYTES);
        if self.at_hand()? >= size {
            return PyBytes::new_with(py, size, |into| {
                lent::at_once(self.number, |ends| ends.read_all(into))
            });
        }
        let mut buffer = vec![0; size];
        let read = lent::with(py, self.number, |ends| ends.read(&mut buffer))?;
        Ok(PyBytes::new(py, &buffer[..read]))
    }

    /// Bytes of the body that can be read without waiting.
    #[getter]
    fn at_hand(&self) -> PyResult<usize> {
        lent::at_once(self.number, |ends| Ok(ends.at_hand()))
    }

    /// Writes a part of the response's body, behind its head.
    fn write(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        lent::with(py, self.number, |ends| ends.write(bytes))
    }

    /// Writes the last part of it, without waiting for a client who is slow to take it.
    fn write_last(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        lent::with(py, self.number, |ends| ends.write_whole(bytes))
    }

    /// Sends what was written so far.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        lent::with(py, self.number, |ends| ends.flush())
    }

    /// Says the head of the response.
    fn begin(&self, status: u16, headers: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<()> {
        let mut head = ResponseHead::new(status);
        for (name, value) in headers {
            let name = String::from_utf8(name)
                .map_err(|_| PyValueError::new_err("the name of a header is not ASCII"))?;
            head = head.header(name, value);
        }
        lent::at_once(self.number, |ends| ends.begin(head))
    }

    /// Says the head of the response as a CGI program writes it, if `bytes` hold all of it: how
    /// many they are. `None` if more has to come.
    fn begin_cgi(&self, bytes: &[u8]) -> PyResult<Option<usize>> {
        let decoded = ResponseHead::decode(bytes, HEAD_BYTES)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let Some((head, taken)) = decoded else { return Ok(None) };
        lent::at_once(self.number, |ends| ends.begin(head))?;
        Ok(Some(taken))
    }

    /// Whether the client has gone away.
    #[getter]
    fn client_gone(&self, py: Python<'_>) -> PyResult<bool> {
        lent::with(py, self.number, |ends| Ok(ends.is_gone()))
    }

    /// Whether a part of the response has been sent.
    #[getter]
    fn sent(&self) -> PyResult<bool> {
        lent::at_once(self.number, |ends| Ok(ends.is_sent()))
    }
}
