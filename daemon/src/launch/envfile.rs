//! Files of `NAME=value` lines, read as systemd reads an `EnvironmentFile` (systemd.exec(5)).
//!
//! Comments begin with `#` or `;` at the start of a line. A value may stand in single quotes
//! (taken as it is) or double quotes (`\` before `"`, `\`, `` ` `` and `$` is an escape); outside
//! quotes `\` takes the next character as it is, and at the end of a line it joins the next one.
//! Unlike systemd, a line that is none of this is an error: a forgotten `=` is a lost password.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What files say, names and values.
pub(crate) type Variables = BTreeMap<String, String>;

/// Why an environment file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvFileError {
    #[error("cannot read environment file `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("environment file `{}` is longer than {MAX_BYTES} bytes", path.display())]
    TooLong { path: PathBuf },
    #[error("environment file `{}`, line {line}: {fault}", path.display())]
    Line { path: PathBuf, line: usize, fault: Fault },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// What stands there may be a part of a secret, and is not told.
    #[error("no `=` in it; write `NAME=value`, a value of several lines in quotes")]
    NoEquals,
    #[error("write `{0}=…` without `export`")]
    Export(String),
    #[error("`{0}` is not a name: letters, digits and `_`, not beginning with a digit")]
    Name(String),
    #[error("a quote {0} is not closed")]
    Unclosed(char),
    #[error("not UTF-8")]
    Encoding,
    #[error("a NUL character")]
    Nul,
}

/// Reads the files in turn; the later one wins.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Variables, EnvFileError> {
    let mut all = Variables::new();
    for path in paths {
        all.extend(read(path)?);
    }
    Ok(all)
}

/// Reads one file.
pub(crate) fn read(path: &Path) -> Result<Variables, EnvFileError> {
    let failed = |source| EnvFileError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(EnvFileError::TooLong { path: path.into() });
    }
    parse(&bytes).map_err(|(line, fault)| EnvFileError::Line { path: path.into(), line, fault })
}

/// Reads a file's content; an error comes with the number of its line, from 1.
fn parse(bytes: &[u8]) -> Result<Variables, (usize, Fault)> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        (before.iter().filter(|byte| **byte == b'\n').count() + 1, Fault::Encoding)
    })?;
    let mut reader = Reader { rest: text, line: 1 };
    let mut variables = Variables::new();
    while let Some((name, value)) = reader.assignment()? {
        variables.insert(name, value);
    }
    Ok(variables)
}

/// What is left to read, and on which line that begins.
struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The next name and value; `None` at the end.
    fn assignment(&mut self) -> Result<Option<(String, String)>, (usize, Fault)> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some('#' | ';') => drop(self.take_while(|c| c != '\n')),
                Some(c) if c.is_whitespace() => drop(self.next()),
                Some(_) => break,
            }
        }
        let line = self.line;
        let name = self.name().map_err(|fault| (line, fault))?;
        let value = self.value().map_err(|fault| (line, fault))?;
        if value.contains('\0') {
            return Err((line, Fault::Nul));
        }
        Ok(Some((name, value)))
    }

    fn name(&mut self) -> Result<String, Fault> {
        let name = self.take_while(|c| !matches!(c, '=' | '\n' | '\r'));
        let name = name.trim_end().to_owned();
        if self.peek() != Some('=') {
            return Err(Fault::NoEquals);
        }
        self.next();
        if let Some(rest) = name.strip_prefix("export ") {
            return Err(Fault::Export(rest.trim().to_owned()));
        }
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.starts_with(starts) && name.chars().all(goes_on) {
            Ok(name)
        } else {
            Err(Fault::Name(name.escape_default().to_string()))
        }
    }

    /// The value up to the end of its last line, blanks around it dropped unless quoted.
    fn value(&mut self) -> Result<String, Fault> {
        let mut value = String::new();
        // Up to here nothing may be dropped.
        let mut kept = 0;
        // Quotes mean something only before the first bare character: `it's` is what it looks like.
        let mut bare = false;
        while let Some(c) = self.next() {
            match c {
                '\n' | '\r' => break,
                '"' if !bare => self.double_quoted(&mut value)?,
                '\'' if !bare => self.single_quoted(&mut value)?,
                '\\' => {
                    if let Some(escaped) = self.next().filter(|c| *c != '\n') {
                        bare = true;
                        value.push(escaped);
                    }
                }
                blank if blank.is_whitespace() => {
                    if bare {
                        value.push(blank);
                    }
                    continue;
                }
                other => {
                    bare = true;
                    value.push(other);
                }
            }
            kept = value.len();
        }
        value.truncate(kept);
        Ok(value)
    }

    fn single_quoted(&mut self, value: &mut String) -> Result<(), Fault> {
        loop {
            match self.next().ok_or(Fault::Unclosed('\''))? {
                '\'' => return Ok(()),
                other => value.push(other),
            }
        }
    }

    fn double_quoted(&mut self, value: &mut String) -> Result<(), Fault> {
        loop {
            match self.next().ok_or(Fault::Unclosed('"'))? {
                '"' => return Ok(()),
                '\\' => match self.next().ok_or(Fault::Unclosed('"'))? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '`' | '$') => value.push(escaped),
                    other => value.extend(['\\', other]),
                },
                other => value.push(other),
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> String {
        parse(text.as_bytes()).unwrap().remove("A").unwrap()
    }

    #[test]
    fn lines_become_variables_and_comments_do_not() {
        let text = "# keys\n; more\n\n  NAME = blog  \r\nURL=http://x/?a=b#c\nEMPTY=\nLAST=1";

        let read = parse(text.as_bytes()).unwrap();

        let pairs: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            pairs,
            [("EMPTY", ""), ("LAST", "1"), ("NAME", "blog"), ("URL", "http://x/?a=b#c")]
        );
    }

    #[test]
    fn quotes_keep_what_they_hold() {
        assert_eq!(value("A=' a\\n $b '  "), " a\\n $b ");
        assert_eq!(value(r#"A="say \"hi\" \$1 \n""#), r#"say "hi" $1 \n"#);
        assert_eq!(value("A=\"two\nlines\""), "two\nlines");
        assert_eq!(value("A='one'\"two\" "), "onetwo");
        assert_eq!(value("A=it's"), "it's");
        assert_eq!(value(r#"A={"k": "v"}"#), r#"{"k": "v"}"#);
    }

    #[test]
    fn a_backslash_takes_what_follows_and_joins_lines() {
        assert_eq!(value("A=one\\\ntwo"), "onetwo");
        assert_eq!(value("A=a\\ b\\\\ "), "a b\\");
        assert_eq!(value("A=x\\ \nB=1"), "x ");
    }

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        let wrong = |text: &str| parse(text.as_bytes()).unwrap_err();

        assert_eq!(wrong("A=1\nPASSWORD\nB=2"), (2, Fault::NoEquals));
        assert_eq!(wrong("\n\nexport A=1"), (3, Fault::Export("A".into())));
        assert_eq!(wrong("A='x\ny'\n1A=2"), (3, Fault::Name("1A".into())));
        assert_eq!(wrong("A=1\nB=\"x\ny"), (2, Fault::Unclosed('"')));
        assert_eq!(wrong("A=a\0b"), (1, Fault::Nul));
        assert_eq!(parse(b"A=1\nB=\xff").unwrap_err(), (2, Fault::Encoding));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = read_all(&["/nonexistent/env".into()]).unwrap_err();

        assert_eq!(error.to_string(), "cannot read environment file `/nonexistent/env`");
    }

    proptest! {
        #[test]
        fn any_bytes_are_variables_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (name, value) in parse(&bytes).into_iter().flatten() {
                prop_assert!(!name.is_empty() && !value.contains('\0'));
            }
        }

        #[test]
        fn what_is_escaped_comes_back(text in "[^\0]{0,40}") {
            let quoted: String = text
                .chars()
                .flat_map(|c| matches!(c, '"' | '\\' | '`' | '$').then_some('\\').into_iter().chain([c]))
                .collect();

            prop_assert_eq!(value(&format!("A=\"{quoted}\"")), text);
        }
    }
}
