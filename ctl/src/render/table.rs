//! A table of aligned columns that gives up its least important ones where the terminal is narrow.

use super::{Tone, View};

/// Two spaces stand between columns.
const GAP: usize = 2;

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// What a column shows of a `T`, and how much it matters.
#[derive(Debug)]
pub(crate) struct Column<T> {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Where its cells stand.
    pub(crate) align: Align,
    /// Its importance; columns of rank 0 stay, of the others the highest goes first.
    pub(crate) rank: u8,
    /// The text of a cell.
    pub(crate) cell: fn(&T, &View) -> String,
    /// How a cell looks.
    pub(crate) tone: fn(&T) -> Tone,
}

/// The table of `rows`: a heading and a line for each, and below a line what `below` says of it.
///
/// `below` is told how far to indent. Returns nothing but the heading if there are no rows.
pub(crate) fn table<T>(
    columns: &[Column<T>],
    rows: &[T],
    below: impl Fn(&T, usize) -> String,
    view: &View,
) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|c| (c.cell)(row, view)).collect()).collect();
    let widths: Vec<usize> =
        columns.iter().enumerate().map(|(i, column)| width_of(i, column.title, &cells)).collect();
    let shown = shown(columns, &widths, view.width);
    let indent = shown.first().map_or(0, |first| (widths[*first] + GAP).min(12));

    let mut text = line(&shown, |i| padded(columns[i].title, columns[i].align, widths[i]));
    for (row, cells) in rows.iter().zip(&cells) {
        text += &line(&shown, |i| {
            let (spaces, cell) = (widths[i] - cells[i].chars().count(), &cells[i]);
            let cell = view.paint((columns[i].tone)(row), cell);
            match columns[i].align {
                Align::Left => format!("{cell}{:spaces$}", ""),
                Align::Right => format!("{:spaces$}{cell}", ""),
            }
        });
        text += &below(row, indent);
    }
    text
}

fn padded(text: &str, align: Align, width: usize) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

fn width_of(index: usize, title: &str, rows: &[Vec<String>]) -> usize {
    let cells = rows.iter().map(|row| row[index].chars().count());
    cells.max().unwrap_or(0).max(title.len())
}

/// The indexes of the columns that fit.
fn shown<T>(columns: &[Column<T>], widths: &[usize], room: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let Some(room) = room else { return shown };
    while shown.iter().map(|i| widths[*i] + GAP).sum::<usize>() > room + GAP {
        let Some(least) = shown.iter().copied().max_by_key(|i| columns[*i].rank) else { break };
        if columns[least].rank == 0 {
            break;
        }
        shown.retain(|i| *i != least);
    }
    shown
}

fn line(shown: &[usize], cell: impl Fn(usize) -> String) -> String {
    let cells: Vec<String> = shown.iter().map(|i| cell(*i)).collect();
    format!("{}\n", cells.join(&" ".repeat(GAP)).trim_end())
}
