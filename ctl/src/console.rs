//! Where the program writes: data to standard output, words to standard error.
//!
//! Knows terminals, their width and colours; knows nothing of apps.

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Width, terminal_size_of};

use crate::cli::Globals;
use crate::failure::Failure;
use crate::render::View;

/// The two outputs of the program.
pub(crate) struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_width: Option<usize>,
    paints: bool,
    live_width: Option<usize>,
    loudness: Loudness,
}

/// How much is said besides the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loudness {
    /// Errors alone.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// Every step.
    Verbose,
}

impl Console {
    /// The console of this process.
    pub(crate) fn of_process(globals: &Globals) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let width = |is_terminal: bool, size: Option<(Width, _)>| {
            is_terminal.then(|| size.map_or(80, |(width, _)| usize::from(width.0)))
        };
        Self {
            out_width: width(out.is_terminal(), terminal_size_of(&out)),
            paints: AutoStream::choice(&out) != ColorChoice::Never,
            live_width: width(err.is_terminal(), terminal_size_of(&err)),
            loudness: globals.loudness(),
            out: Box::new(out),
            err: Box::new(err),
        }
    }

    /// How things look at this moment: the time, the width and whether colours help.
    pub(crate) fn view(&self) -> View {
        View { now: SystemTime::now().into(), width: self.out_width, paints: self.paints }
    }

    /// How much is to be said.
    pub(crate) fn loudness(&self) -> Loudness {
        self.loudness
    }

    /// A person looks at the data as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        self.out_width.is_some()
    }

    /// The width for lines that are written over, if somebody looks at them and wants them.
    pub(crate) fn live_width(&self) -> Option<usize> {
        self.live_width.filter(|_| self.loudness > Loudness::Quiet)
    }

    /// Writes data as it is.
    ///
    /// # Errors
    ///
    /// [`Failure::Output`].
    pub(crate) fn data(&mut self, data: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.out.write_all(data.as_ref())?;
        Ok(self.out.flush()?)
    }

    /// Writes a line of data.
    ///
    /// # Errors
    ///
    /// [`Failure::Output`].
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.data(format!("{line}\n"))
    }

    /// Writes the result of an order, which only a person needs: data, but not if quiet.
    ///
    /// # Errors
    ///
    /// [`Failure::Output`].
    pub(crate) fn result(&mut self, line: &str) -> Result<(), Failure> {
        if self.loudness == Loudness::Quiet { Ok(()) } else { self.line(line) }
    }

    /// Says something in passing.
    pub(crate) fn say(&mut self, words: &str) {
        if self.loudness > Loudness::Quiet {
            self.complain(words);
        }
    }

    /// Says something that must be heard.
    pub(crate) fn complain(&mut self, words: &str) {
        self.scrawl(&format!("{words}\n"));
    }

    /// Writes to standard error as it is. Nobody can be told if that fails.
    pub(crate) fn scrawl(&mut self, text: &str) {
        let _nobody_to_tell = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}
