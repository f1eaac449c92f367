//! From nodes to raw shapes: a reader that never stops at the first problem.
//!
//! A shape is a mapping with a fixed set of keys. [`shape!`] writes it down once and makes three
//! things of it: the struct, its reader and its JSON Schema; so none of them can know a key that
//! the others do not. What a reader cannot use it reports and leaves out.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json};

use super::advice;
use super::problem::{Finding, Findings};
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
        Value::Scalar { text, form: Form::Bool } => format!("`{text}`"),
        Value::Scalar { text, form: Form::Number } => format!("the number `{text}`"),
        Value::Scalar { text, form: Form::Text } if text.is_empty() => "an empty text".to_owned(),
        Value::Scalar { text, form: Form::Text } => format!("`{}`", shortened(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    };
    Finding::at(&node.said, format!("must be {wanted}, not {found}"))
}

/// At most the first 60 characters of the first line.
pub(super) fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.escape_debug().to_string(),
    }
}

/// The entries of a mapping whose keys are free; what stands twice is reported and counts once.
pub(super) fn entries<'a>(
    node: &'a Node,
    what: &str,
    findings: &mut Findings,
) -> Option<Vec<&'a Entry>> {
    let Value::Map(entries) = &node.value else {
        return wanted(node, what, findings);
    };
    let mut kept: Vec<&Entry> = Vec::new();
    for entry in entries {
        match kept.iter().find(|known| known.key == entry.key) {
            None => kept.push(entry),
            Some(first) => findings.push(
                Finding::at(&entry.said, format!("`{}` stands here twice", shortened(&entry.key)))
                    .beside(first.said.spot, "first here")
                    .hint("remove one of the two"),
            ),
        }
    }
    Some(kept)
}

/// The keys of one shape as they are taken out of a mapping.
pub(super) struct Keys<'a>(Vec<&'a Entry>);

impl<'a> Keys<'a> {
    /// Opens a mapping of shape `S` and reports every key that does not belong there.
    pub(super) fn open<S: Shape>(node: &'a Node, findings: &mut Findings) -> Option<Self> {
        let wanted = format!("a mapping with keys of {}", S::WHAT);
        let entries = entries(node, &wanted, findings)?;
        for entry in &entries {
            if !S::KEYS.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}` in {}", shortened(&entry.key), S::WHAT);
                findings.push(
                    Finding::at(&entry.said, message).hint(advice::on_key(&entry.key, S::KEYS)),
                );
            }
        }
        Some(Self(entries))
    }

    /// The value of one key; `None` if it is not said or makes no sense.
    pub(super) fn take<T: Read>(&self, key: &str, findings: &mut Findings) -> Option<Said<T>> {
        let entry = self.0.iter().find(|entry| entry.key == key)?;
        Said::read(&entry.node, findings)
    }
}

/// The schema of a mapping with these properties and no others.
pub(super) fn object(about: &str, properties: Map<String, Json>) -> Schema {
    json_schema!({
        "type": "object",
        "description": about.trim(),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The schema of one property, with what its doc comment says.
pub(super) fn property<T: JsonSchema>(about: &str, generator: &mut SchemaGenerator) -> Json {
    let mut schema = generator.subschema_for::<T>();
    schema.insert("description".to_owned(), about.trim().into());
    schema.to_value()
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
                    $( $field: keys.take(read::key(stringify!($field)), findings), )+
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
                    read::property::<$type>(concat!($($doc),+), generator),
                ); )+
                read::object(concat!($($about),+), properties)
            }
        }
    };
}
pub(super) use shape;
