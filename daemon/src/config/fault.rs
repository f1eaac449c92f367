//! What the YAML reader objects to, in our words.

use serde_saphyr::Error;

use super::problem::Finding;
use super::sources::{Spot, Where};

/// The finding for an error of the YAML reader.
pub(super) fn finding(error: &Error, text: &str, file: usize) -> Finding {
    let error = error.without_snippet();
    let span = error.location().map(|location| location.span());
    let byte = span.and_then(|span| span.byte_offset()).and_then(|byte| usize::try_from(byte).ok());
    let start = text.floor_char_boundary(byte.unwrap_or_default().min(text.len()));
    let said = Where { spot: Spot { file, start, end: start }, path: "".into() };
    Finding::at(&said, error.to_string())
}
