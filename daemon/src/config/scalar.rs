//! The kinds of single values: words, numbers, durations, sizes, modes.
//!
//! Each knows how it is read, what it is called in a refusal, and its JSON Schema. Bounds are part
//! of the type, so a shape says them once.

use std::time::Duration;

use schemars::json_schema;

use super::describe::described;
use super::problem::{Finding, Findings};
use super::read::{Read, shortened, unwanted, wanted};
use super::slips;
use super::yaml::{Form, Node, Value};

/// One second, in milliseconds.
pub(super) const SECOND: u64 = 1000;
/// One hour, in milliseconds.
pub(super) const HOUR: u64 = 3600 * SECOND;
/// One day, in milliseconds.
pub(super) const DAY: u64 = 24 * HOUR;

/// Letters as they stand in the text, whether YAML takes them for text, number or boolean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) String);

/// Text that is not empty; a number or boolean is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

/// `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: i64, const MAX: i64>(pub(super) i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// The number in a type that holds everything from `MIN` to `MAX`.
    pub(super) fn to<T: TryFrom<i64>>(self) -> T {
        T::try_from(self.0).ok().expect("the bounds fit the type they are made for")
    }
}

/// A duration of `MIN` to `MAX` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<const MIN: u64, const MAX: u64>(pub(super) Duration);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// Permission bits, the lowest nine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode(pub(super) u32);

/// The letters of a scalar that can be part of a path, an argument or a variable.
fn letters<'a>(node: &'a Node, what: &str, findings: &mut Findings) -> Option<&'a str> {
    match &node.value {
        Value::Scalar { text, .. } if text.contains('\0') => {
            findings.push(
                Finding::at(&node.said, "holds a NUL character, which no program can be given")
                    .hint("remove it"),
            );
            None
        }
        Value::Scalar { text, .. } => Some(text),
        _ => wanted(node, what, findings),
    }
}

impl Read for Word {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        letters(node, "one word", findings).map(|text| Self(text.to_owned()))
    }
}

impl Read for Text {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar { form: Form::Text, text } if !text.is_empty() => {
                letters(node, "text", findings).map(|text| Self(text.to_owned()))
            }
            _ => wanted(node, "text", findings),
        }
    }
}

impl Read for Flag {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar { form: Form::Bool, text } => {
                Some(Self(text.eq_ignore_ascii_case("true")))
            }
            Value::Scalar { text, .. } => {
                let finding = unwanted(node, "`true` or `false`");
                findings.push(finding.perhaps(slips::flag(text)));
                None
            }
            _ => wanted(node, "`true` or `false`", findings),
        }
    }
}

impl<const MIN: i64, const MAX: i64> Read for Whole<MIN, MAX> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let range =
            if MAX == i64::MAX { format!("{MIN} or more") } else { format!("{MIN} to {MAX}") };
        let whole = format!("a whole number, {range}");
        let finding = match &node.value {
            Value::Scalar { form: Form::Number, text } => match text.parse::<i64>() {
                Ok(number) if (MIN..=MAX).contains(&number) => return Some(Self(number)),
                Ok(number) => Finding::at(&node.said, format!("must be {range}, not {number}")),
                Err(_) => unwanted(node, &whole).perhaps(slips::whole(text)),
            },
            Value::Scalar { form: Form::Text, text } if text.trim().parse::<i64>().is_ok() => {
                let quoted = Finding::at(&node.said, "a number in quotes is a text to YAML");
                quoted.hint(format!("write {} without quotes", text.trim()))
            }
            Value::Scalar { form: Form::Text, text } => {
                unwanted(node, &whole).perhaps(slips::whole(text))
            }
            _ => unwanted(node, &whole),
        };
        findings.push(finding);
        None
    }
}

impl<const MIN: u64, const MAX: u64> Read for Span<MIN, MAX> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let finding = match &node.value {
            Value::Scalar { form: Form::Text, text } => match duration(text) {
                Ok(span) if span < Duration::from_millis(MIN) => {
                    Finding::at(&node.said, format!("must be at least {}", written(MIN)))
                }
                Ok(span) if span > Duration::from_millis(MAX) => {
                    Finding::at(&node.said, format!("must be at most {}", written(MAX)))
                }
                Ok(span) => return Some(Self(span)),
                Err(why) => {
                    let slip = slips::duration(text, &written(MAX));
                    unwanted(node, "a duration").hint(why).perhaps(slip)
                }
            },
            Value::Scalar { form: Form::Number, text } if MIN > 0 && text == "0" => {
                Finding::at(&node.said, format!("must be at least {}", written(MIN)))
            }
            Value::Scalar { form: Form::Number, text } => {
                Finding::at(&node.said, format!("the unit of `{text}` is missing")).hint(format!(
                    "write `{text}s` for seconds; other units are `ms`, `m`, `h` and `d`"
                ))
            }
            _ => unwanted(node, "a duration such as `30s`"),
        };
        findings.push(finding);
        None
    }
}

/// The duration that a text means, or how to write one.
fn duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "a number with `ms`, `s`, `m`, `h` or `d`: `30s`, `1m30s`, `250ms`";
    let Some(unit) = text.find(|c: char| !c.is_ascii_digit() && c != '.') else {
        return Err(format!("the unit is missing: write `{}s`", shortened(text)));
    };
    let odd = |unit: &str| unit.starts_with(['M', 'y']) || unit.starts_with("mo");
    if text.split(|c: char| !c.is_ascii_alphabetic()).any(odd) {
        return Err(if text[unit..].starts_with('M') {
            "`M` would be months; minutes are `m`".to_owned()
        } else {
            HOW.to_owned()
        });
    }
    humantime::parse_duration(text).map_err(|_| HOW.to_owned())
}

/// A number of milliseconds as it is written in a configuration.
fn written(ms: u64) -> String {
    super::show::duration(Duration::from_millis(ms))
}

impl Read for Size {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let finding = match &node.value {
            Value::Scalar { form: Form::Number | Form::Text, text } => match size(text) {
                Ok(bytes) => return Some(Self(bytes)),
                Err(why) => {
                    // Whoever writes `GB` is told why that is no unit.
                    let slip = slips::size(text).filter(|_| !text.ends_with(['B', 'b']));
                    unwanted(node, "a size").hint(why).perhaps(slip)
                }
            },
            _ => unwanted(node, "a size such as `64M`"),
        };
        findings.push(finding);
        None
    }
}

/// The bytes that a text means, or how to write them.
fn size(text: &str) -> Result<u64, String> {
    const HOW: &str = "a whole number of bytes, or one with `K`, `M`, `G` or `T` (powers of 1024): \
                       `64M`, `1GiB`";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| HOW.to_owned())?;
    let shift = match text[digits..].trim_start() {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        unit @ ("KB" | "kB" | "MB" | "GB" | "TB") => {
            let letter = unit[..1].to_ascii_uppercase();
            return Err(format!(
                "`{unit}` is 1000 to some and 1024 to others; write `{number}{letter}iB`"
            ));
        }
        _ => return Err(HOW.to_owned()),
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "no machine has as much; `unlimited` is no limit".to_owned())
}

impl Read for Mode {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        const WHAT: &str = "permission bits in quotes, from \"0000\" to \"0777\"";
        let octal = |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        let finding = match &node.value {
            Value::Scalar { form: Form::Text, text } => match octal(text) {
                Some(mode) if (3..=4).contains(&text.len()) => return Some(Self(mode)),
                Some(_) | None => unwanted(node, WHAT).hint(slips::mode(text)),
            },
            Value::Scalar { form: Form::Number, text } => {
                let message = "permission bits without quotes are a decimal number to YAML";
                Finding::at(&node.said, message).hint(slips::mode(text))
            }
            _ => unwanted(node, WHAT),
        };
        findings.push(finding);
        None
    }
}

described! { Word, _ => json_schema!({ "type": ["string", "number", "boolean"] }) }
described! { Text, _ => json_schema!({ "type": "string", "minLength": 1 }) }
described! { Flag, _ => json_schema!({ "type": "boolean" }) }
described! { Whole<MIN, MAX> where [const MIN: i64, const MAX: i64], _ => json_schema!({
    "type": "integer", "minimum": MIN, "maximum": MAX
}) }
described! { Span<MIN, MAX> where [const MIN: u64, const MAX: u64], _ => json_schema!({
    "type": "string",
    "pattern": "^ *([0-9]+(\\.[0-9]+)? *(ns|us|µs|ms|s|m|h|d|w|[a-z]{3,}) *)+$",
    "examples": ["30s", "1m30s", "250ms"]
}) }
described! { Size, _ => json_schema!({
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9]+ *(B|[Kk]|[KMGT]iB|[MGT])?$" }
    ],
    "examples": ["64M", "1GiB"]
}) }
described! { Mode, _ => json_schema!({
    "type": "string", "pattern": "^0?[0-7]{3}$", "examples": ["0660"]
}) }
