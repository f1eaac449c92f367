//! What the YAML reader objects to, in our words.
//!
//! Its errors are written for people who know YAML's grammar; these are for people who know what
//! they wanted to say.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Location};

use super::problem::Finding;
use super::read::shortened;
use super::sources::{Spot, Where};

/// What is wrong, and what to do about it.
type Words = (String, &'static str);

/// Parts of the messages of the YAML scanner, what we say instead, and the way out.
const SCANNER: &[(&str, &str, &str)] = &[
    (
        "tab",
        "a tab stands where YAML wants spaces",
        "YAML does not allow tabs for indentation; use spaces",
    ),
    ("unclosed quote", "this quote is never closed", "close it, on the same line if possible"),
    (
        "unclosed bracket",
        "this bracket is never closed",
        "close it; inside it, `,` separates items",
    ),
    (
        "mapping values are not allowed",
        "a `:` does not belong here",
        "indent keys of one mapping alike; put a text that holds `: ` in quotes",
    ),
    ("illegal placement", "a `:` does not belong here", "is a bracket or a `,` missing above?"),
    (
        "did not find expected '-'",
        "this is no item of the list above",
        "items of a list begin with `- `; indent what follows the list less",
    ),
    (
        "did not find expected key",
        "this line fits no line above it",
        "indent keys of one mapping by the same number of spaces",
    ),
    ("expected ':'", "a `:` is missing after this", "a key is followed by `: ` and its value"),
    (
        "unknown escape",
        "in double quotes `\\` begins an escape, and there is none like this",
        "use single quotes, or `\\\\`",
    ),
    ("trailing content", "something follows the closing quote", "put the whole value in quotes"),
    (
        "expected <document start>",
        "this is not YAML",
        "a site is a mapping: `apps:`, and below it, indented, the apps; `scgid init` shows how",
    ),
    (
        "unsupported tag",
        "this has a YAML tag (`!name`), which means nothing here",
        "remove the tag, or put the text in quotes",
    ),
    ("recursion limit", "this is nested too deeply", "a site needs no more than a few levels"),
    ("unexpected character", "a value cannot begin like this", "put it in quotes"),
];

/// The finding for an error of the YAML reader.
pub(super) fn finding(error: &Error, text: &str, file: usize) -> Finding {
    let start = byte(text, error.location().unwrap_or(Location::UNKNOWN));
    let rest = &text[start..];
    let end = start + rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    // The scanner has swallowed the tab it complains of.
    let start = start - (text[..start].len() - text[..start].trim_end_matches('\t').len());
    let (message, hint) = words(innermost(error), rest);
    let said = Where { spot: Spot { file, start, end }, path: "".into() };
    Finding::at(&said, message).hint(hint)
}

fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        plain => plain,
    }
}

/// The byte a location means. The scanner knows only lines and columns, from 1.
fn byte(text: &str, location: Location) -> usize {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let lines = text.split_inclusive('\n').take(number(location.line()));
    let line_start: usize = lines.map(str::len).sum();
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = line.char_indices().nth(number(location.column()));
    line_start + column.map_or(line.len(), |(byte, _)| byte)
}

fn words(error: &Error, rest: &str) -> Words {
    const GROWTH: &str =
        "a site needs few aliases (`*name`), or none; `defaults` says what all apps share";
    let (message, hint) = match error {
        Error::MultipleDocuments { .. }
        | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            ("a second document begins here", "one file holds one site; remove the `---`")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            ("this is nested too deeply", "a site needs no more than a few levels")
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            ("this grows beyond measure once its aliases are followed", GROWTH)
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias stands inside what it refers to", GROWTH)
        }
        Error::UnknownAnchor { .. } => (
            "this alias refers to nothing",
            "`*name` repeats what `&name` marks above; put a text that begins with `*` in quotes",
        ),
        Error::NonFiniteFloat { .. } => ("this is no number", "put a text in quotes"),
        Error::NullIntoString { .. } | Error::Unexpected { expected: "string scalar", .. } => {
            ("a key must be a word", "write `key: value`")
        }
        other => return scanner(&other.to_string(), rest),
    };
    (message.to_owned(), hint)
}

/// Words for what the scanner says; its own if there are none of ours.
fn scanner(said: &str, rest: &str) -> Words {
    let control = |c: &char| c.is_control() && *c != '\t' && *c != '\n';
    if let Some(c) = rest.chars().next().filter(control) {
        return (format!("the character `{}` is not allowed", c.escape_default()), "remove it");
    }
    match SCANNER.iter().find(|(part, ..)| said.contains(part)) {
        Some((_, message, hint)) => ((*message).to_owned(), hint),
        None => {
            let plain = said.rfind(" at line ").map_or(said, |end| &said[..end]);
            (
                format!("this is not YAML: {}", shortened(plain)),
                "compare it with what `scgid init` writes",
            )
        }
    }
}
