//! The limit of a resource: one value for both, none, or a soft and a hard one.

use schemars::{JsonSchema, json_schema};

use super::describe::{any_of, described};
use super::problem::{Finding, Findings};
use super::read::{Read, entries, unwanted};
use super::slips;
use super::yaml::{Entry, Form, Node, Value};

/// The limit of one resource.
#[derive(Clone, Debug)]
pub(super) struct Bound<T> {
    /// What is enforced.
    pub(super) soft: Cap<T>,
    /// How far it may be raised.
    pub(super) hard: Cap<T>,
}

/// A value, or no limit.
#[derive(Clone, Debug)]
pub(super) enum Cap<T> {
    /// No limit.
    Unlimited,
    /// At most this.
    At(T),
}

impl<T: Read> Read for Cap<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, form: Form::Text } if text == "unlimited" => {
                Some(Self::Unlimited)
            }
            _ => T::read(node, findings).map(Self::At),
        }
    }
}

impl<T: Read + Clone> Read for Bound<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Some(hint) = slip(node) {
            findings.push(unwanted(node, "one limit, or `{soft, hard}`").hint(hint));
            return None;
        }
        if !matches!(node.value, Value::Map(_)) {
            let both: Cap<T> = Cap::read(node, findings)?;
            return Some(Self { soft: both.clone(), hard: both });
        }
        let keys = entries(node, findings)?;
        let mut take = |key: &str| {
            let said = keys.iter().filter(|entry| entry.key == key);
            let read: Vec<_> = said.map(|entry| Cap::<T>::read(&entry.node, findings)).collect();
            read.into_iter().next().flatten()
        };
        let (soft, hard) = (take("soft"), take("hard"));
        let said = |key: &str| keys.iter().any(|entry| entry.key == key);
        let known = |entry: &Entry| ["soft", "hard"].contains(&entry.key.as_str());
        if !said("soft") || !said("hard") || !keys.iter().all(known) {
            let message = "a limit in two parts has `soft` and `hard`, both and nothing else";
            let finding = Finding::at(&node.said, message);
            findings.push(finding.hint("write `{soft: LIMIT, hard: LIMIT}`, or one for both"));
        }
        Some(Self { soft: soft?, hard: hard? })
    }
}

/// How to write a limit that is none but can only mean one.
fn slip(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, .. } if text == "unlimited" => None,
        _ => slips::limit(node),
    }
}

described! { Cap<T> where [T: JsonSchema], generator => any_of(&[
    json_schema!({ "const": "unlimited" }),
    generator.subschema_for::<T>(),
]) }
described! { Bound<T> where [T: JsonSchema], generator => {
    let cap = generator.subschema_for::<Cap<T>>();
    let parts = json_schema!({
        "type": "object",
        "properties": { "soft": cap, "hard": cap },
        "required": ["soft", "hard"],
        "additionalProperties": false
    });
    any_of(&[cap, parts])
} }
