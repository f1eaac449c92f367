//! Words of the command line and what they mean. Nobody checks them twice.

use std::str::FromStr;
use std::time::Duration;

use scgi_protocol::address::{Address, AddressError};
use scgi_protocol::control::Scale;
use scgi_protocol::name::{AppName, Generation, NameError, OperationId};

/// What can be waited on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An app.
    App(AppName),
    /// An operation, written `op:12`.
    Operation(OperationId),
}

/// To whom a request can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// An app, wherever it listens.
    App(AppName),
    /// Whoever listens there.
    Address(Address),
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// As many workers serve as are wanted.
    Serving,
    /// No worker is left, and none is wanted.
    Stopped,
    /// There is nothing for a person to do.
    Well,
    /// This generation or a later one serves.
    Generation(Generation),
}

/// How many workers, as `scale` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Scale);

/// A length of time such as `90s` or `5m`; a bare number means seconds.
///
/// # Errors
///
/// What is wrong with the text.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write `90s` or `5m`"))
}

/// A header, written `Name: value`.
///
/// # Errors
///
/// What is wrong with the text.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    pair(text, ':').ok_or_else(|| "write `Name: value`".to_owned())
}

/// A variable, written `NAME=value`.
///
/// # Errors
///
/// What is wrong with the text.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    pair(text, '=').ok_or_else(|| "write `NAME=value`".to_owned())
}

fn pair(text: &str, separator: char) -> Option<(String, String)> {
    let (name, value) = text.split_once(separator)?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.trim_start().to_owned()))
}

impl FromStr for Receiver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(name) = text.parse() {
            return Ok(Self::App(name));
        }
        text.parse().map(Self::Address).map_err(|error: AddressError| error.to_string())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("op:") {
            Some(id) => id.parse().map(Self::Operation).map_err(|error| error.to_string()),
            None => text.parse().map(Self::App).map_err(|error: NameError| error.to_string()),
        }
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("gen=")) {
            ("serving", _) => Ok(Self::Serving),
            ("stopped", _) => Ok(Self::Stopped),
            ("well", _) => Ok(Self::Well),
            (_, Some(number)) => {
                number.parse().map(Self::Generation).map_err(|error| error.to_string())
            }
            _ => Err("write `serving`, `stopped`, `well` or `gen=N`".to_owned()),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| "write `4`, `+2`, `-1` or `min=1,max=8`".to_owned();
        if text.contains('=') {
            return bounds(text).map(Self);
        }
        if text.starts_with(['+', '-']) {
            return text.parse().map(|by| Self(Scale::By(by))).map_err(wrong);
        }
        text.parse().map(|to| Self(Scale::To(to))).map_err(wrong)
    }
}

fn bounds(text: &str) -> Result<Scale, String> {
    let (mut min, mut max) = (None, None);
    for part in text.split(',') {
        let bound = match part.split_once('=') {
            Some(("min", number)) => (&mut min, number),
            Some(("max", number)) => (&mut max, number),
            _ => return Err(format!("`{part}` is neither `min=N` nor `max=N`")),
        };
        if bound.0.is_some() {
            return Err(format!("`{part}` says it a second time"));
        }
        *bound.0 = Some(bound.1.parse::<u16>().map_err(|error| format!("`{part}`: {error}"))?);
    }
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(format!("min={min} is more than max={max}")),
        _ => Ok(Scale::Range { min, max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(text: &str) -> Result<Scale, String> {
        text.parse().map(|Count(scale)| scale)
    }

    #[test]
    fn a_count_is_absolute_relative_or_a_range() {
        assert_eq!(scale("4"), Ok(Scale::To(4)));
        assert_eq!(scale("+2"), Ok(Scale::By(2)));
        assert_eq!(scale("-1"), Ok(Scale::By(-1)));
        assert_eq!(scale("min=1,max=8"), Ok(Scale::Range { min: Some(1), max: Some(8) }));
        assert_eq!(scale("max=8"), Ok(Scale::Range { min: None, max: Some(8) }));
    }

    #[test]
    fn a_count_that_makes_no_sense_is_refused_with_words() {
        assert_eq!(scale("four"), Err("write `4`, `+2`, `-1` or `min=1,max=8`".into()));
        assert_eq!(scale("min=9,max=8"), Err("min=9 is more than max=8".into()));
        assert_eq!(scale("min=1,min=2"), Err("`min=2` says it a second time".into()));
        assert_eq!(scale("mni=1"), Err("`mni=1` is neither `min=N` nor `max=N`".into()));
        assert!(scale("70000").is_err());
    }

    #[test]
    fn an_operation_is_told_from_an_app_by_its_prefix() {
        assert_eq!("op:12".parse(), Ok(Target::Operation(OperationId(12))));
        assert_eq!("op-12".parse(), Ok(Target::App("op-12".parse().unwrap())));
        assert!("op:x".parse::<Target>().is_err());
    }

    #[test]
    fn a_receiver_is_an_app_or_an_address() {
        assert_eq!("blog".parse(), Ok(Receiver::App("blog".parse().unwrap())));
        assert_eq!(
            "127.0.0.1:4000".parse(),
            Ok(Receiver::Address("127.0.0.1:4000".parse().unwrap()))
        );
        assert_eq!(
            "/run/x.sock".parse::<Receiver>(),
            Err("a path is written `unix:/run/x.sock`".into())
        );
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        assert_eq!(header("X-A:  b: c"), Ok(("X-A".into(), "b: c".into())));
        assert!(header("X-A").is_err());
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(variable("=b").is_err());
    }

    #[test]
    fn a_bare_number_is_a_time_in_seconds() {
        assert_eq!(duration("60"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn a_goal_is_a_state_or_a_generation() {
        assert_eq!("gen=7".parse(), Ok(Goal::Generation(Generation(7))));
        assert_eq!("stopped".parse(), Ok(Goal::Stopped));
        assert!("ready".parse::<Goal>().is_err());
    }
}
