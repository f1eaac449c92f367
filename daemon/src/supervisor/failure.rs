//! What went wrong: with which app, why, and what its last worker wrote.

use std::fmt;

use scgi_protocol::name::AppName;
use serde::{Deserialize, Serialize};

/// How many failures of one operation are told in full.
pub(super) const TOLD: usize = 3;

/// How many more apps are named.
const NAMED: usize = 8;

/// What went wrong with an app, or with an operation as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The app; `None` if it is no app's.
    pub app: Option<AppName>,
    /// Why, in words.
    pub why: String,
    /// What the last worker that died of it wrote to its standard error, oldest line first.
    pub said: Vec<String>,
}

impl Failure {
    /// What went wrong with `app`, without a worker that could show it.
    pub(super) fn of(app: &AppName, why: String) -> Self {
        Self { app: Some(app.clone()), why, said: Vec::new() }
    }

    /// What went wrong with all.
    pub(super) fn of_all(why: &str) -> Self {
        Self { app: None, why: why.to_owned(), said: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.app {
            Some(app) => write!(f, "{app}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Failures in one sentence: the first in full, of the others the names, as far as they fit.
pub(super) fn sentence(failures: &[Failure]) -> String {
    let (told, more) = failures.split_at(failures.len().min(TOLD));
    let mut parts: Vec<String> = told.iter().map(Failure::to_string).collect();
    if !more.is_empty() {
        let names = more.iter().filter_map(|failure| failure.app.as_ref()).map(AppName::as_str);
        let named: Vec<&str> = names.take(NAMED).collect();
        let rest = if more.len() > NAMED { ", …" } else { "" };
        parts.push(format!("and {} more: {}{rest}", more.len(), named.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_the_first_are_told_and_the_others_named() {
        let failure = |n: usize| Failure::of(&format!("a{n}").parse().unwrap(), "exit 1".into());
        let failures: Vec<_> = (0..14).map(failure).collect();

        assert_eq!(sentence(&failures[..2]), "a0: exit 1; a1: exit 1");
        assert_eq!(
            sentence(&failures[..5]),
            "a0: exit 1; a1: exit 1; a2: exit 1; and 2 more: a3, a4"
        );
        assert!(sentence(&failures).ends_with("; and 11 more: a3, a4, a5, a6, a7, a8, a9, a10, …"));
    }
}
