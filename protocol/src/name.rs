//! The names things go by: apps, seats, workers, generations.

use std::fmt;
use std::str::FromStr;

/// Name of an app: 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter and not ending in `-`.
///
/// It becomes a metric label, a URL segment and a file name, hence so strict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "control", serde(try_from = "String", into = "String"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"))]
pub struct AppName(String);

/// Why a text is not an [`AppName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no characters.
    #[error("an app's name must not be empty")]
    Empty,
    /// The text has more than [`AppName::MAX_BYTES`] bytes.
    #[error("an app's name has at most {max} characters, not {0}", max = AppName::MAX_BYTES)]
    TooLong(usize),
    /// The text does not begin with `a` to `z`.
    #[error("an app's name begins with a letter from a to z, not `{}`", .0.escape_default())]
    Start(char),
    /// The text holds something other than `a-z`, `0-9` and `-`.
    #[error("an app's name is made of a-z, 0-9 and -, and has no `{}`", .0.escape_default())]
    Character(char),
    /// The text ends in `-`.
    #[error("an app's name must not end in `-`")]
    End,
}

impl AppName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AppName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong(text.chars().count()));
        }
        if !first.is_ascii_lowercase() {
            return Err(NameError::Start(first));
        }
        let legal = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
        if let Some(wrong) = text.chars().find(|c| !legal(c)) {
            return Err(NameError::Character(wrong));
        }
        if text.ends_with('-') {
            return Err(NameError::End);
        }
        Ok(Self(text))
    }
}

impl FromStr for AppName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> Self {
        name.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Makes a number that must not be mixed up with another kind of number.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "control", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "control", serde(transparent))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }
    };
}

number! {
    /// A numbered place in a pool, from 0; bounded by the app's maximum, so it may be a label.
    Seat(u16)
}
number! {
    /// One process life in a seat, numbered over the whole life of the daemon; never reused.
    WorkerId(u64)
}
number! {
    /// Which launch of its app a worker belongs to; the first is 1.
    Generation(u64)
}
number! {
    /// One command under way, or ended.
    OperationId(u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_label_a_url_and_a_file_name_can_all_carry() {
        for good in ["a", "blog", "shop-2", "a0-b", &"x".repeat(63)] {
            assert_eq!(good.parse::<AppName>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<AppName>(), Err(NameError::Empty));
        assert_eq!("Blog".parse::<AppName>(), Err(NameError::Start('B')));
        assert_eq!("-a".parse::<AppName>(), Err(NameError::Start('-')));
        assert_eq!("a/b".parse::<AppName>(), Err(NameError::Character('/')));
        assert_eq!("a-".parse::<AppName>(), Err(NameError::End));
        assert_eq!("x".repeat(64).parse::<AppName>(), Err(NameError::TooLong(64)));
    }
}
