//! What a person reads: Markdown on standard output, progress on standard error.

use std::io::{self, Write};

/// A Markdown table, printed row by row so that a long run shows what it has.
#[derive(Debug)]
pub(crate) struct Table {
    columns: usize,
}

impl Table {
    /// Prints the heading and the names of the columns.
    pub(crate) fn begin(title: &str, columns: &[&str]) -> Self {
        print(&format!(
            "\n## {title}\n\n| {} |\n|{}",
            columns.join(" | "),
            "---|".repeat(columns.len())
        ));
        Self { columns: columns.len() }
    }

    /// Prints one row.
    pub(crate) fn row(&self, cells: &[String]) {
        debug_assert_eq!(cells.len(), self.columns, "a row has a cell for every column");
        print(&format!("| {} |", cells.join(" | ")));
    }
}

/// Prints a line of the report. A reader that went away is not told.
pub(crate) fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Says something that is no part of the report.
pub(crate) fn talk(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
