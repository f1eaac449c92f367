//! What is wrong with a configuration, every problem with its place and a way out.

use std::fmt::Write as _;

use scgi_protocol::control::{ConfigProblem, Place};

use super::text;

/// All `problems` of a refused configuration, ready to print.
pub(crate) fn list(problems: &[ConfigProblem]) -> String {
    let plural = if problems.len() == 1 { "" } else { "s" };
    let mut list = format!(
        "refused: {} problem{plural} in the configuration; nothing has changed",
        problems.len()
    );
    for problem in problems {
        list.push_str("\n\n");
        list.push_str(one(problem).trim_end());
    }
    list
}

fn one(problem: &ConfigProblem) -> String {
    let ConfigProblem { place, path, message, hint, snippet } = problem;
    let mut told = String::new();
    let mut push = |part: &str| write!(told, "{part}").expect("a String takes all");
    if let Some(Place { file, line, column }) = place {
        let place = format!("{file}:{line}:{column}");
        // A snippet as the daemon draws it begins with the place.
        if !snippet.as_ref().is_some_and(|snippet| snippet.contains(&place)) {
            push(&format!("{place}: "));
        }
    }
    if !path.is_empty() {
        push(&format!("{path}: "));
    }
    push(message);
    if let Some(snippet) = snippet {
        push(&format!("\n{}", snippet.trim_end()));
    }
    if let Some(hint) = hint {
        push(&format!("\n  help: {hint}"));
    }
    text::plain(&told)
}
