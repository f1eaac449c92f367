//! From nodes to raw shapes: a reader that never stops at the first problem.
//!
//! A shape is a mapping with a fixed set of keys. [`shape!`] writes it down once and makes three
//! things of it: the struct, its reader and its JSON Schema; so none of them can know a key that
//! the others do not. What a reader cannot use it reports and leaves out.

use std::collections::BTreeMap;

use super::advice;
use super::problem::{Finding, Findings};
use super::slips;
use super::sources::Where;
use super::yaml::{Entry, Form, Node, Value};

/// What can be read from a node.
pub(super) trait Read: Sized {
    /// Reads a node. `None`: it makes no sense, and `findings` says why.
    fn read(node: &Node, findings: &mut Findings) -> Option<Self>;
}

/// A value and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said<T> {
    /// The value.
    pub(super) value: T,
    /// Where it was said.
    pub(super) at: Where,
}

impl<T> Said<T> {
    /// Where it was said.
    pub(super) fn place(&self) -> &Where {
        &self.at
    }

    /// Another value said in the same place.
    pub(super) fn map<U>(&self, change: impl FnOnce(&T) -> U) -> Said<U> {
        Said { value: change(&self.value), at: self.at.clone() }
    }
}

impl<T: Read> Read for Said<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        T::read(node, findings).map(|value| Self { value, at: node.said.clone() })
    }
}

/// A mapping with a fixed set of keys.
pub(super) trait Shape {
    /// What has these keys, in words: `an app`.
    const WHAT: &'static str;
    /// The keys, in the order in which a person would write them.
    const KEYS: &'static [&'static str];
}

/// Reports that `node` should have been `wanted`, and is no use.
pub(super) fn wanted<T>(node: &Node, wanted: &str, findings: &mut Findings) -> Option<T> {
    findings.push(unwanted(node, wanted));
    None
}

/// The finding that `node` should have been `wanted`.
pub(super) fn unwanted(node: &Node, wanted: &str) -> Finding {
    let found = match &node.value {
        Value::Null => {
            return Finding::at(&node.said, format!("has no value; must be {wanted}"))
                .hint("write a value, or remove the key");
        }
        Value::Scalar { text, .. } if text.is_empty() => "an empty text".to_owned(),
        Value::Scalar { text, form: Form::Number } => format!("the number {text}"),
        Value::Scalar { text, .. } => format!("`{}`", shortened(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    };
    Finding::at(&node.said, format!("must be {wanted}, not {found}"))
}

/// At most the first 60 characters of the first line, none of them invisible.
pub(super) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = line.chars().take(60).map(visible).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}

/// The entries of a mapping whose keys are free. What stands twice is reported and is still among
/// them: whoever removes one of the two wants to know what is wrong with the other.
pub(super) fn entries<'a>(node: &'a Node, findings: &mut Findings) -> Option<&'a [Entry]> {
    let Value::Map(entries) = &node.value else {
        return wanted(node, "a mapping (`key: value`)", findings);
    };
    let mut first: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in entries {
        let earlier = first.entry(&entry.key).or_insert(entry);
        if earlier.said != entry.said {
            findings.push(
                Finding::at(&entry.said, format!("`{}` stands here twice", shortened(&entry.key)))
                    .beside(earlier.said.spot, "first here")
                    .hint("remove one of the two"),
            );
        }
    }
    Some(entries)
}

/// The keys of one shape as they are taken out of a mapping.
pub(super) struct Keys<'a>(&'a [Entry]);

impl<'a> Keys<'a> {
    /// Opens a mapping of shape `S` and reports every key that does not belong there.
    pub(super) fn open<S: Shape>(node: &'a Node, findings: &mut Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            let hint = slips::mapping(S::KEYS, node)
                .unwrap_or_else(|| format!("the keys of {}: {}", S::WHAT, S::KEYS.join(", ")));
            findings.push(unwanted(node, "a mapping (`key: value`)").hint(hint));
            return None;
        }
        let entries = entries(node, findings)?;
        for entry in entries {
            if !S::KEYS.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}`", shortened(&entry.key));
                let hint = advice::on_key(&entry.key, S::KEYS);
                findings.push(Finding::at(&entry.said, message).hint(hint));
            }
        }
        Some(Self(entries))
    }

    /// The value of one key, the first if it stands twice; `None` if it is not said or makes no
    /// sense. A problem that has no way out of its own gets what there is to say `about` the key.
    pub(super) fn take<T: Read>(
        &self,
        key: &str,
        about: &str,
        findings: &mut Findings,
    ) -> Option<Said<T>> {
        let said = self.0.iter().filter(|entry| entry.key == key);
        let mut found = Findings::default();
        let values: Vec<_> = said.map(|entry| Said::read(&entry.node, &mut found)).collect();
        for finding in found {
            let explained = match finding.hint {
                Some(_) => finding,
                None => finding.hint(explained(key, about)),
            };
            findings.push(explained);
        }
        values.into_iter().next().flatten()
    }
}

/// The doc comment of a key as part of a sentence.
fn explained(key: &str, about: &str) -> String {
    let about = about.trim().trim_end_matches('.');
    let mut letters = about.chars();
    let first = letters.next().unwrap_or_default().to_lowercase();
    format!("`{key}`: {first}{}", letters.as_str())
}

/// The name of a key, whose field may be spelled as a raw identifier.
pub(super) const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Writes down a mapping with a fixed set of keys: struct, reader and JSON Schema in one.
macro_rules! shape {
    (
        $(#[doc = $about:literal])+
        $what:literal $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub(super) struct $name {
            $( $(#[doc = $doc])+ pub(super) $field: Option<Said<$type>>, )+
        }

        impl Shape for $name {
            const WHAT: &'static str = $what;
            const KEYS: &'static [&'static str] = &[$( read::key(stringify!($field)) ),+];
        }

        impl Read for $name {
            fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
                let keys = Keys::open::<Self>(node, findings)?;
                Some(Self {
                    $( $field: keys.take(
                        read::key(stringify!($field)), concat!($($doc),+), findings,
                    ), )+
                })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut properties = serde_json::Map::new();
                $( properties.insert(
                    read::key(stringify!($field)).to_owned(),
                    describe::property::<$type>(concat!($($doc),+), generator),
                ); )+
                describe::object(concat!($($about),+), &properties)
            }
        }
    };
}
pub(super) use shape;
