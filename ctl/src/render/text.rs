//! Words and numbers as people read them: ages, wrapped lines, harmless characters.

use std::time::Duration;

/// A length of time in at most two units: `3d 4h`, `4h 5m`, `12m`, `42s`.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// How long something took: `120ms`, `3.2s`, `1m 30s`, `4h 5m`.
pub(crate) fn took(took: Duration) -> String {
    let seconds = took.as_secs();
    match took.as_millis() {
        ms @ 0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{:.1}s", took.as_secs_f64()),
        60_000..3_600_000 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => age(took),
    }
}

/// `text` without the power over a terminal: control characters are spelled out.
///
/// What workers write and clients request passes through here before a person sees it.
pub(crate) fn plain(text: &str) -> String {
    let spell = |c: char| match c {
        '\t' | '\n' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    if text.chars().any(char::is_control) { text.chars().map(spell).collect() } else { text.into() }
}

/// [`plain`] text that keeps to one line.
pub(crate) fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// `text` cut to `max` characters, with an ellipsis if something is missing.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// `text` in lines of at most `width` columns, each begun with `indent` spaces and ended by `\n`.
///
/// A word that is longer than a line keeps a line of its own; without a width there is one line.
pub(crate) fn wrap(text: &str, indent: usize, width: Option<usize>) -> String {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            push_line(&mut lines, indent, &line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    push_line(&mut lines, indent, &line);
    lines
}

fn push_line(lines: &mut String, indent: usize, line: &str) {
    lines.extend(std::iter::repeat_n(' ', indent));
    lines.push_str(line);
    lines.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_at_most_two_units() {
        let ages = [0, 59, 60, 3599, 3600, 3660, 86399, 86400, 273_600]
            .map(|seconds| age(Duration::from_secs(seconds)));

        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h 0m", "1h 1m", "23h 59m", "1d 0h", "3d 4h"]);
    }

    #[test]
    fn what_took_long_is_told_more_roughly() {
        let took = [0, 999, 1_000, 59_900, 60_000, 90_500, 3_599_000, 14_700_000]
            .map(|ms| took(Duration::from_millis(ms)));

        assert_eq!(took, ["0ms", "999ms", "1.0s", "59.9s", "1m 0s", "1m 30s", "59m 59s", "4h 5m"]);
    }

    #[test]
    fn a_worker_cannot_write_escape_sequences_to_the_operators_terminal() {
        assert_eq!(plain("a\tb \x1b]0;owned\x07"), "a\tb \\u{1b}]0;owned\\u{7}");
    }

    #[test]
    fn long_text_is_wrapped_at_words_and_indented() {
        let text = wrap("generation 10 died 4 times in 10s: exit 1", 6, Some(30));

        assert_eq!(text, "      generation 10 died 4\n      times in 10s: exit 1\n");
        assert_eq!(wrap("one two", 2, None), "  one two\n");
    }

    #[test]
    fn cut_text_shows_that_something_is_missing() {
        assert_eq!((cut("abcd", 4), cut("abcde", 4)), ("abcd".into(), "abc…".into()));
    }
}
