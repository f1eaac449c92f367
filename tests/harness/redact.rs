//! What a program said, without what is another each time: folders, ports, durations.

use crate::daemon::Said;
use crate::site::{Site, program};

/// Units of durations, longer ones first.
const UNITS: [&str; 4] = ["ms", "s", "m", "h"];

impl Said {
    /// Exit code, standard output and standard error as one text that is the same each time.
    pub fn redacted(&self, site: &Site) -> String {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let text = format!("exit {code}\n{}{}", self.out, self.err);
        redact(&text, site)
    }
}

/// `text` with the folder of `site` as `$dir`, that of the programs as `$bin`, the ports as
/// `$port_NAME`, and durations as `TIME`.
pub fn redact(text: &str, site: &Site) -> String {
    let programs = program("it-scgid");
    let programs = programs.parent().expect("a program is in a folder").display().to_string();
    let text = text.replace(&site.path("").display().to_string(), "$dir/");
    let mut text = text.replace(&programs, "$bin");
    for (name, port) in site.ports() {
        text = text.replace(&format!(":{port}"), &format!(":$port_{name}"));
    }
    without_durations(&text)
}

/// `text` with `TIME` in place of each number with a unit of time behind it: `4ms`, `0.2 s`.
fn without_durations(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        told.push_str(before);
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (digits, after) = number.split_at(end);
        let in_a_word = before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
        match after_unit(after).filter(|_| !in_a_word) {
            Some(after) => {
                told.push_str("TIME");
                rest = after;
            }
            None => {
                told.push_str(digits);
                rest = after;
            }
        }
    }
    told + rest
}

/// What follows the unit with which `text` begins; `None` if it begins with none.
fn after_unit(text: &str) -> Option<&str> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    UNITS.iter().find_map(|unit| {
        let rest = text.strip_prefix(unit)?;
        (!rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_taken_out_and_other_numbers_are_not() {
        let told = without_durations("exit 1 after 1.6s (0.2 s, 12ms): 4 starts of v2s, 3 more");

        assert_eq!(told, "exit 1 after TIME (TIME, TIME): 4 starts of v2s, 3 more");
    }
}
