//! Turns what the daemon says into text. Pure: time, width and colour are passed in.

pub(crate) mod app;
pub(crate) mod detail;
pub(crate) mod front;
pub(crate) mod line;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod problem;
pub(crate) mod revision;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod trouble;
pub(crate) mod value;

use scgi_protocol::control::Timestamp;

/// Under what circumstances a text is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The time to which ages refer.
    pub(crate) now: Timestamp,
    /// Columns of the terminal; `None` if there is none, and lines may have any length.
    pub(crate) width: Option<usize>,
    /// Whether colour may decorate.
    pub(crate) paints: bool,
}

/// How a word looks; the word itself carries the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Title,
    Faint,
    Good,
    Busy,
    Bad,
}

impl View {
    /// `text`, decorated if decoration is wanted.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Title => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Bad => "31",
        };
        if self.paints { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
