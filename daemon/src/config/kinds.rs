//! The values that may be written in more than one way: a number or a mapping, one or a list.

use std::borrow::Cow;

use scgi_protocol::name::AppName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::{Finding, Findings};
use super::raw::{App, ListenAt, MetricsAt, ReadyAfter, WorkerRange};
use super::read::{Read, Said, entries, unwanted, wanted};
use super::scalar::{HOUR, Span, Text, Whole, Word};
use super::yaml::{Entry, Form, Node, Value};

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<Said<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                Some(Self(items.iter().filter_map(|item| Said::read(item, findings)).collect()))
            }
            _ => Said::read(node, findings).map(|one| Self(vec![one])),
        }
    }
}

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
        let variables = entries(node, findings)?;
        let read = |entry: &Entry, findings: &mut Findings| {
            let name = Said { value: entry.key.clone(), at: entry.said.clone() };
            Word::read(&entry.node, findings).map(|value| (name, value))
        };
        Some(Self(variables.into_iter().filter_map(|entry| read(entry, findings)).collect()))
    }
}

/// An address as it was written; a number is kept, so that it can be told what it lacks.
#[derive(Clone, Debug)]
pub(super) struct Endpoint(pub(super) String);

impl Read for Endpoint {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, form: Form::Number } => Some(Self(text.clone())),
            _ => Text::read(node, findings).map(|text| Self(text.0)),
        }
    }
}

/// Where an app listens; at least one place.
#[derive(Clone, Debug)]
pub(super) struct Listen(pub(super) Vec<Said<ListenAt>>);

impl Read for Listen {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let one = |node: &Node, findings: &mut Findings| match &node.value {
            Value::Map(_) => Said::<ListenAt>::read(node, findings),
            _ => {
                let address = Some(Said::read(node, findings)?);
                let (owner, group, mode, backlog) = (None, None, None, None);
                let value = ListenAt { address, owner, group, mode, backlog };
                Some(Said { value, at: node.said.clone() })
            }
        };
        match &node.value {
            Value::List(items) if items.is_empty() => {
                findings.push(Finding::at(&node.said, "names no address"));
                None
            }
            Value::List(items) => {
                Some(Self(items.iter().filter_map(|item| one(item, findings)).collect()))
            }
            _ => one(node, findings).map(|one| Self(vec![one])),
        }
    }
}

/// How many workers.
#[derive(Clone, Debug)]
pub(super) enum Workers {
    /// Always this many.
    Fixed(Whole<1, 1024>),
    /// Between two numbers.
    Range(Box<WorkerRange>),
}

impl Read for Workers {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(_) => {
                WorkerRange::read(node, findings).map(|range| Self::Range(range.into()))
            }
            _ => Whole::read(node, findings).map(Self::Fixed),
        }
    }
}

/// When a worker counts as ready.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    /// When it says so.
    Notify,
    /// When it has lived this long.
    After(Span<0, HOUR>),
}

impl Read for Ready {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) if entries.is_empty() => {
                wanted(node, "`notify` or `{after: 1s}`", findings)
            }
            Value::Map(_) => {
                ReadyAfter::read(node, findings)?.after.map(|after| Self::After(after.value))
            }
            Value::Scalar { text, form: Form::Text } if text == "notify" => Some(Self::Notify),
            Value::Scalar { text, .. } if text.starts_with(|c: char| c.is_ascii_digit()) => {
                let finding = unwanted(node, "`notify` or `{after: 1s}`");
                findings.push(finding.hint(format!("write `{{after: {text}}}`")));
                None
            }
            _ => wanted(node, "`notify` or `{after: 1s}`", findings),
        }
    }
}

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
        if !matches!(node.value, Value::Map(_)) {
            let both: Cap<T> = Cap::read(node, findings)?;
            return Some(Self { soft: both.clone(), hard: both });
        }
        let keys = entries(node, findings)?;
        let mut take = |key: &str| {
            let entry = keys.iter().find(|entry| entry.key == key);
            entry.and_then(|entry| Cap::<T>::read(&entry.node, findings))
        };
        let (soft, hard) = (take("soft"), take("hard"));
        if keys.len() != 2
            || keys.iter().any(|entry| !["soft", "hard"].contains(&entry.key.as_str()))
        {
            let message = "a limit in two parts has `soft` and `hard`, both and nothing else";
            let finding = Finding::at(&node.said, message);
            findings.push(finding.hint("write `{soft: LIMIT, hard: LIMIT}`, or one for both"));
        }
        Some(Self { soft: soft?, hard: hard? })
    }
}

/// Where the metrics are.
#[derive(Clone, Debug)]
pub(super) enum Metrics {
    /// Nowhere.
    Off,
    /// On a listener.
    On(MetricsAt),
}

impl Read for Metrics {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Null => Some(Self::Off),
            Value::Scalar { text, .. } if ["off", "false"].contains(&text.as_str()) => {
                Some(Self::Off)
            }
            Value::Map(_) => MetricsAt::read(node, findings).map(Self::On),
            _ => wanted(node, "`{listen: ADDRESS}` or `off`", findings),
        }
    }
}

/// What every app gets, as nodes: it is read once for its own sake, and again within each app.
#[derive(Clone, Debug)]
pub(super) struct Defaults(pub(super) Node);

impl Read for Defaults {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        App::read(node, findings).map(|_| Self(node.clone()))
    }
}

/// The apps by name, each still a node: what they say is read once `defaults` is known.
#[derive(Clone, Debug)]
pub(super) struct Apps(pub(super) Vec<(Said<AppName>, Node)>);

impl Read for Apps {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if node.value == Value::Null {
            return Some(Self(Vec::new()));
        }
        let mut apps = Vec::new();
        for entry in entries(node, findings)? {
            match entry.key.parse() {
                Ok(value) => {
                    apps.push((Said { value, at: entry.said.clone() }, entry.node.clone()));
                }
                Err(why) => findings.push(named_wrongly(entry, &why)),
            }
        }
        Some(Self(apps))
    }
}

fn named_wrongly(entry: &Entry, why: &scgi_protocol::name::NameError) -> Finding {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let better: String = entry.key.chars().take(AppName::MAX_BYTES).map(legal).collect();
    let finding = Finding::at(&entry.said, why.to_string());
    match better.trim_matches('-').parse::<AppName>() {
        Ok(name) => finding.hint(format!("`{name}` would do")),
        Err(_) => finding.hint("for instance `blog`, `shop-2`"),
    }
}

/// Gives a kind its JSON Schema, written out wherever it is used.
macro_rules! schema {
    ($type:ty $(where $kind:ident)?, $generator:ident: $schema:expr) => {
        impl$(<$kind: JsonSchema>)? JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// Schemas of which one must hold.
fn any_of(schemas: &[Schema]) -> Schema {
    json_schema!({ "anyOf": schemas })
}

fn list_of(item: &Schema) -> Schema {
    json_schema!({ "type": "array", "items": item })
}

schema! { OneOrMany<T> where T, generator: {
    let item = generator.subschema_for::<T>();
    any_of(&[list_of(&item), item])
} }
schema! { Program, generator: {
    let mut list = list_of(&generator.subschema_for::<Word>());
    list.insert("minItems".to_owned(), 1.into());
    list
} }
schema! { Variables, generator: json_schema!({
    "type": "object",
    "additionalProperties": generator.subschema_for::<Word>()
}) }
schema! { Endpoint, generator: generator.subschema_for::<Text>() }
schema! { Listen, generator: {
    let one = any_of(&[generator.subschema_for::<Text>(), generator.subschema_for::<ListenAt>()]);
    let mut list = list_of(&one);
    list.insert("minItems".to_owned(), 1.into());
    any_of(&[one, list])
} }
schema! { Workers, generator: any_of(&[
    generator.subschema_for::<Whole<1, 1024>>(),
    generator.subschema_for::<WorkerRange>(),
]) }
schema! { Ready, generator: any_of(&[
    json_schema!({ "const": "notify" }),
    generator.subschema_for::<ReadyAfter>(),
]) }
schema! { Cap<T> where T, generator: any_of(&[
    json_schema!({ "const": "unlimited" }),
    generator.subschema_for::<T>(),
]) }
schema! { Bound<T> where T, generator: {
    let cap = generator.subschema_for::<Cap<T>>();
    let parts = json_schema!({
        "type": "object",
        "properties": { "soft": cap, "hard": cap },
        "required": ["soft", "hard"],
        "additionalProperties": false
    });
    any_of(&[cap, parts])
} }
schema! { Metrics, generator: any_of(&[
    json_schema!({ "enum": ["off", false, null] }),
    generator.subschema_for::<MetricsAt>(),
]) }
schema! { Defaults, generator: generator.subschema_for::<App>() }
schema! { Apps, generator: json_schema!({
    "type": "object",
    "propertyNames": { "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" },
    "additionalProperties": generator.subschema_for::<App>()
}) }
