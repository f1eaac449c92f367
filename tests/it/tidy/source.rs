//! Rust sources as rules look at them: code alone, without comments, insides of strings and tests.

use super::tree;

/// One file, without its tests.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// From the workspace's folder on.
    pub(super) path: String,
    /// Its code; lines are where they were.
    code: String,
}

impl Source {
    /// Its lines, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }
}

/// All sources below the folder `under` that are no tests.
pub(super) fn rust_sources(under: &str) -> Vec<Source> {
    let files = tree::files().into_iter().filter(|file| file.path.starts_with(under));
    let sources = files.filter(|file| file.path.ends_with(".rs") && !is_test(&file.path));
    sources.map(|file| Source { code: code(before_tests(&file.text)), path: file.path }).collect()
}

/// Tests stand in files and folders of their own, and at the end of files.
fn is_test(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let folder = |name: &str| path.contains(&format!("/{name}/")) || path.starts_with(name);
    file.ends_with("tests.rs") || folder("tests") || folder("sim") || file == "testing.rs"
}

fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The text with comments, insides of strings, and characters in quotes blanked out.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, skipped) = match first {
            '/' if rest.starts_with("//") => ("", rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => ("", rest.find("*/").map_or(rest.len(), |at| at + 2)),
            '"' => ("\"\"", string(rest)),
            'r' if is_raw(rest) && !ends_in_name(&code) => ("\"\"", raw(rest)),
            '\'' if character(rest).is_some() => ("' '", character(rest).unwrap_or(1)),
            _ => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        code.push_str(kept);
        let lines = rest[..skipped].matches('\n').count();
        code.extend(std::iter::repeat_n('\n', lines));
        rest = &rest[skipped..];
    }
    code
}

fn ends_in_name(code: &str) -> bool {
    code.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
}

/// How long the string is that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn is_raw(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

/// How long the raw string is that `text` begins with.
fn raw(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = hashes + 2;
    let end = format!("\"{}", "#".repeat(hashes));
    text[open..].find(&end).map_or(text.len(), |at| open + at + end.len())
}

/// How long the character in quotes is that `text` begins with; `None` if it is a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = &text[1..];
    if inner.starts_with('\\') {
        return inner[2..].find('\'').map(|at| at + 4);
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

#[test]
fn only_code_is_left_of_a_text() {
    let text =
        "let a = \"unsafe \\\" {\"; // unsafe\nlet b = r#\"unsafe \" \"#; let c = '\"'; x::<'a>()";

    assert_eq!(code(text), "let a = \"\"; \nlet b = \"\"; let c = ' '; x::<'a>()");
    assert_eq!(code("/* a\nb */ c"), "\n c");
    assert_eq!(code(r"'\'' + '\n' + b'\\' + for"), "' ' + ' ' + b' ' + for");
}

#[test]
fn tests_are_no_sources() {
    assert_eq!(before_tests("a\n\n#[cfg(test)]\nmod tests {\n unsafe"), "a\n");
    assert!(is_test("daemon/src/control/tests/world.rs"));
    assert!(is_test("daemon/src/metrics/tests.rs"));
    assert!(is_test("tests/it/main.rs"));
    assert!(!is_test("daemon/src/shell/mod.rs"));
}
