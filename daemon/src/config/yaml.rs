//! YAML text into a tree of nodes that know where they stand.
//!
//! The only place that knows how YAML is read. It refuses what is no YAML, more than one document,
//! and whatever would grow beyond measure; what keys and values mean is none of its business, and
//! a key that stands twice is kept twice, so that the reader of the tree can show both.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Options, Spanned};

use super::fault;
use super::problem::Finding;
use super::sources::{Spot, Where};

/// One value of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Where it stands.
    pub(super) said: Where,
    /// What it is.
    pub(super) value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// One word, number, boolean or text.
    Scalar {
        /// Its letters: without quotes, otherwise as they were written.
        text: String,
        /// How YAML understands it.
        form: Form,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text; a key may stand more than once.
    Map(Vec<Entry>),
}

/// How YAML understands a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `true` or `false`.
    Bool,
    /// A number without quotes.
    Number,
    /// Anything else.
    Text,
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) said: Where,
    /// Its value.
    pub(super) node: Node,
}

/// Reads one text; `file` is its number among the sources.
///
/// # Errors
///
/// A finding without path: the text is no YAML, or more of it than is good.
pub(super) fn read(text: &str, file: usize) -> Result<Node, Box<Finding>> {
    let tree: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| Box::new(fault::finding(&error, text, file)))?;
    let planter = Planter { text, file };
    let top = planter.spot(tree.defined);
    Ok(planter.plant(tree, "".into(), Spot { end: top.start, ..top }))
}

/// What this dialect allows: one document, plain YAML 1.2, and a size no honest site comes near.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 32,
            max_nodes: 100_000,
            max_events: 300_000,
            max_aliases: 1_000,
            max_total_scalar_bytes: 4 * 1024 * 1024,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// The tree as the deserialiser gives it.
enum Raw {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Gives every value its path and its stretch of text.
struct Planter<'a> {
    text: &'a str,
    file: usize,
}

impl Planter<'_> {
    /// `owner` is what a value that has no stretch of one line is marked by: its key.
    fn plant(&self, raw: Spanned<Raw>, path: Arc<str>, owner: Spot) -> Node {
        let own = self.spot(raw.defined);
        let scalar = |form| Value::Scalar { text: self.text[own.start..own.end].to_owned(), form };
        let (value, spot) = match raw.value {
            Raw::Null if own.start < own.end => (Value::Null, own),
            Raw::Null => (Value::Null, owner),
            Raw::Bool => (scalar(Form::Bool), own),
            Raw::Number => (scalar(Form::Number), own),
            Raw::Text(text) => (Value::Scalar { text, form: Form::Text }, self.first_line(own)),
            Raw::List(items) => (self.list(items, &path, owner), owner),
            Raw::Map(entries) => (self.map(entries, &path), owner),
        };
        Node { said: Where { spot, path }, value }
    }

    fn list(&self, items: Vec<Spanned<Raw>>, path: &str, owner: Spot) -> Value {
        let plant = |(index, item): (usize, Spanned<Raw>)| {
            let start = self.spot(item.defined);
            let owner = if start.start < start.end { self.first_line(start) } else { owner };
            self.plant(item, format!("{path}[{index}]").into(), owner)
        };
        Value::List(items.into_iter().enumerate().map(plant).collect())
    }

    fn map(&self, entries: Vec<(Spanned<String>, Spanned<Raw>)>, path: &str) -> Value {
        let plant = |(key, value): (Spanned<String>, Spanned<Raw>)| {
            let path: Arc<str> = match path {
                "" => key.value.as_str().into(),
                path => format!("{path}.{}", key.value).into(),
            };
            let spot = self.first_line(self.spot(key.defined));
            let node = self.plant(value, Arc::clone(&path), spot);
            Entry { key: key.value, said: Where { spot, path }, node }
        };
        Value::Map(entries.into_iter().map(plant).collect())
    }

    /// The stretch of a location, inside the text whatever the parser says, without white space
    /// behind it.
    fn spot(&self, location: Location) -> Spot {
        let at = |offset: Option<u64>| {
            offset.and_then(|offset| usize::try_from(offset).ok()).unwrap_or_default()
        };
        let start = at(location.span().byte_offset());
        let end = start.saturating_add(at(location.span().byte_len())).min(self.text.len());
        let start = self.text.floor_char_boundary(start.min(end));
        let end = self.text.floor_char_boundary(end).max(start);
        let end = start + self.text[start..end].trim_end().len();
        Spot { file: self.file, start, end }
    }

    fn first_line(&self, spot: Spot) -> Spot {
        let stretch = &self.text[spot.start..spot.end];
        Spot { end: spot.start + stretch.find('\n').unwrap_or(stretch.len()), ..spot }
    }
}
