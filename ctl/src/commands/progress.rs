//! The progress of operations on standard error: on a terminal a line each, and for one of the site
//! a line for each app it waits for, all written over; else a line for each app that is done, and
//! if every step is wanted, a line a change.

use scgi_protocol::control::{App, Operation, OperationState};
use scgi_protocol::name::{AppName, OperationId};

use crate::console::{Console, Loudness};
use crate::render::{operation as render, text};

/// How many apps have a line of their own at once.
const APPS_MAX: usize = 10;

/// What is on the screen at this moment.
#[derive(Debug)]
pub(super) struct Progress {
    shown: Vec<Shown>,
    drawn: usize,
}

/// One operation on the screen.
#[derive(Clone, Debug, Default)]
struct Shown {
    line: Option<String>,
    /// The apps it waits for.
    apps: Vec<App>,
}

impl Progress {
    /// The progress of so many operations.
    pub(super) fn new(operations: usize) -> Self {
        Self { shown: vec![Shown::default(); operations], drawn: 0 }
    }

    /// Shows that `operation`, the one at `index`, has changed.
    pub(super) fn show(&mut self, console: &mut Console, index: usize, operation: &Operation) {
        let line = match operation.state {
            OperationState::Running => render::progress(operation),
            OperationState::Done | OperationState::Failed => render::end(operation),
        };
        if console.live_width().is_none() && console.loudness() == Loudness::Verbose {
            console.say(&line);
        }
        self.shown[index].line = Some(line);
        self.draw(console);
    }

    /// Shows which of `apps` the operation `id`, the one at `index`, waits for, and how they are.
    pub(super) fn show_apps(
        &mut self,
        console: &mut Console,
        (index, id): (usize, OperationId),
        apps: &[App],
    ) {
        let waited_for = apps.iter().filter(|app| app.operation == Some(id)).cloned().collect();
        let before = std::mem::replace(&mut self.shown[index].apps, waited_for);
        if console.live_width().is_none() {
            let waits = |name: &AppName| self.shown[index].apps.iter().any(|app| app.name == *name);
            for done in before.iter().map(|app| &app.name).filter(|name| !waits(name)) {
                let now = apps.iter().find(|app| app.name == *done);
                console.say(&now.map_or_else(|| format!("{done}: removed"), render::of_app));
            }
        }
        self.draw(console);
    }

    /// Takes the lines off the screen, so that what follows stands alone.
    pub(super) fn clear(&mut self, console: &mut Console) {
        self.shown.fill(Shown::default());
        if self.drawn > 0 {
            self.draw(console);
        }
    }

    /// Writes all lines over those that are there, if somebody looks.
    fn draw(&mut self, console: &mut Console) {
        let Some(width) = console.live_width() else { return };
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A"),
        };
        let lines: Vec<String> = self.shown.iter().flat_map(Shown::lines).collect();
        let cut = |line: &String| text::cut(line, width.saturating_sub(1));
        let text: String = lines.iter().map(|line| format!("{}\x1b[K\n", cut(line))).collect();
        console.scrawl(&format!("{up}{text}\x1b[J"));
        self.drawn = lines.len();
    }
}

impl Shown {
    fn lines(&self) -> Vec<String> {
        let apps = self.apps.iter().take(APPS_MAX).map(|app| format!("  {}", render::of_app(app)));
        let more = self.apps.len().saturating_sub(APPS_MAX);
        let more = (more > 0).then(|| format!("  and {more} more"));
        self.line.iter().cloned().chain(apps).chain(more).collect()
    }
}
