//! What a worker is started with: a program, its arguments, its variables.

use super::describe::{described, some_of};
use super::problem::{Finding, Findings};
use super::read::{Read, Said, entries, unwanted, wanted};
use super::scalar::Word;
use super::slips;
use super::yaml::{Entry, Node, Value};
use schemars::json_schema;

/// A program and its arguments; at least the program.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The program as it was written.
    pub(super) program: Said<Word>,
    /// Its arguments.
    pub(super) arguments: Vec<Word>,
}

impl Read for Program {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let items = match &node.value {
            Value::List(items) => items,
            Value::Scalar { text, .. } => {
                let list: Vec<String> = words(text).iter().map(|word| flow_word(word)).collect();
                findings.push(
                    unwanted(node, "a list of the program and its arguments")
                        .hint(format!("no shell reads it; write `[{}]`", list.join(", "))),
                );
                return None;
            }
            _ => return wanted(node, "a list of the program and its arguments", findings),
        };
        let mut words: Vec<Option<Said<Word>>> =
            items.iter().map(|item| Said::read(item, findings)).collect();
        if words.is_empty() {
            findings.push(
                Finding::at(&node.said, "names no program").hint("write `[PROGRAM, ARGUMENT, …]`"),
            );
            return None;
        }
        let program = words.remove(0)?;
        if program.value.0.is_empty() {
            return wanted(&items[0], "the name or path of a program", findings);
        }
        let arguments = words.into_iter().map(|word| Some(word?.value)).collect::<Option<_>>()?;
        Some(Self { program, arguments })
    }
}

/// The words a shell would make of a line, as far as quotes and spaces go.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A word as it is written in a YAML list on one line.
fn flow_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+=".contains(c);
    let begins = word
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_alphanumeric() || "_./".contains(c));
    if begins && word.chars().all(plain) {
        word.to_owned()
    } else {
        serde_json::Value::from(word).to_string()
    }
}

/// The variables of an environment.
#[derive(Clone, Debug)]
pub(super) struct Variables(pub(super) Vec<(Said<String>, Word)>);

impl Read for Variables {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Some(hint) = slips::variables(node) {
            findings.push(unwanted(node, "a mapping (`NAME: value`)").hint(hint));
            return None;
        }
        let variables = entries(node, findings)?;
        let read = |entry: &Entry, findings: &mut Findings| {
            let name = Said { value: entry.key.clone(), at: entry.said.clone() };
            Word::read(&entry.node, findings).map(|value| (name, value))
        };
        Some(Self(variables.iter().filter_map(|entry| read(entry, findings)).collect()))
    }
}

described! { Program, generator => some_of(&generator.subschema_for::<Word>()) }
described! { Variables, generator => json_schema!({
    "type": "object",
    "additionalProperties": generator.subschema_for::<Word>()
}) }
