//! The progress of operations on standard error: on a terminal a line each, written over; else,
//! if every step is wanted, a line a change.

use scgi_protocol::control::{Operation, OperationState};

use crate::console::{Console, Loudness};
use crate::render::{operation as render, text};

/// What is on the screen at this moment.
#[derive(Debug)]
pub(super) struct Progress {
    lines: Vec<Option<String>>,
    drawn: usize,
}

impl Progress {
    /// The progress of so many operations.
    pub(super) fn new(operations: usize) -> Self {
        Self { lines: vec![None; operations], drawn: 0 }
    }

    /// Shows that `operation`, the one at `index`, has changed.
    pub(super) fn show(&mut self, console: &mut Console, index: usize, operation: &Operation) {
        let line = match operation.state {
            OperationState::Running => render::progress(operation),
            OperationState::Done | OperationState::Failed => render::end(operation),
        };
        match console.live_width() {
            Some(width) => {
                self.lines[index] = Some(text::cut(&line, width.saturating_sub(1)));
                self.draw(console);
            }
            None if console.loudness() == Loudness::Verbose => console.say(&line),
            None => {}
        }
    }

    /// Takes the lines off the screen, so that what follows stands alone.
    pub(super) fn clear(&mut self, console: &mut Console) {
        self.lines.fill(None);
        if self.drawn > 0 {
            self.draw(console);
        }
    }

    fn draw(&mut self, console: &mut Console) {
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        let lines: Vec<&String> = self.lines.iter().flatten().collect();
        let text: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
        console.scrawl(&format!("{up}{text}\x1b[J"));
        self.drawn = lines.len();
    }
}
