//! The values that may be written in more than one way: a number or a mapping, one or a list.

use std::collections::BTreeSet;

use scgi_protocol::control::AppKind;
use scgi_protocol::name::{AppName, NameError};
use schemars::{JsonSchema, json_schema};

use super::describe::{any_of, described, list_of, some_of};
use super::problem::{Finding, Findings};
use super::raw::{App, HealthRequest, ListenAt, MetricsAt, ReadyAfter, WorkerRange};
use super::read::{Read, Said, entries, unwanted, wanted};
use super::scalar::{HOUR, Span, Text, Whole};
use super::slips;
use super::sources::Where;
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

/// What kind of program an app is.
#[derive(Clone, Copy, Debug)]
pub(super) struct KindName(pub(super) AppKind);

impl Read for KindName {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = match &node.value {
            Value::Scalar { text, .. } => text.as_str(),
            Value::Null | Value::List(_) | Value::Map(_) => "",
        };
        let known = AppKind::ALL.into_iter().find(|kind| kind.as_str() == text);
        if known.is_none() {
            let finding = unwanted(node, "`worker`, `cgi`, `inetd` or `standalone`");
            findings.push(finding.perhaps(slips::kind(text)));
        }
        known.map(Self)
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
            _ => match slips::workers(node) {
                Some(hint) => {
                    findings.push(unwanted(node, "a number or `{min, max}`").hint(hint));
                    None
                }
                None => Whole::read(node, findings).map(Self::Fixed),
            },
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
    /// When its own socket takes a connection.
    Connect,
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
            Value::Scalar { text, form: Form::Text } if text == "connect" => Some(Self::Connect),
            Value::Scalar { text, .. } => {
                let finding = unwanted(node, "`notify` or `{after: 1s}`");
                findings.push(finding.perhaps(slips::ready(text)));
                None
            }
            _ => wanted(node, "`notify` or `{after: 1s}`", findings),
        }
    }
}

/// How many workers there may be beyond the wanted ones.
#[derive(Clone, Copy, Debug)]
pub(super) enum Surge {
    /// So many.
    Count(Whole<0, 1024>),
    /// So many of a hundred wanted ones.
    Percent(u16),
}

impl Read for Surge {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let share = match &node.value {
            Value::Scalar { text, form: Form::Text } => text.strip_suffix('%'),
            _ => None,
        };
        let Some(share) = share else { return Whole::read(node, findings).map(Self::Count) };
        match share.trim_end().parse() {
            Ok(percent @ 1..=100) => Some(Self::Percent(percent)),
            _ => {
                let finding = unwanted(node, "a whole number or a share such as `25%`");
                findings.push(finding.hint("a share is `1%` to `100%` of the wanted workers"));
                None
            }
        }
    }
}

/// What a new worker has to answer.
#[derive(Clone, Debug)]
pub(super) struct Health(pub(super) Box<HealthRequest>);

impl Read for Health {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let request = match &node.value {
            Value::Map(_) => {
                let request = HealthRequest::read(node, findings)?;
                if request.path.is_none() {
                    let finding = Finding::at(&node.said, "`path` is missing");
                    findings.push(finding.hint("say what to ask for: `path: /up`"));
                    return None;
                }
                request
            }
            _ => HealthRequest { path: Some(Said::read(node, findings)?), timeout: None },
        };
        let path = request.path.as_ref()?;
        if !path.value.0.starts_with('/') || path.value.0.contains(|c: char| !c.is_ascii_graphic())
        {
            let finding = Finding::at(&path.at, "must be a path as a browser would ask for it");
            findings.push(finding.hint("it begins with `/` and has no spaces: `/up?from=scgid`"));
            return None;
        }
        Some(Self(request.into()))
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
            Value::Scalar { text, .. } => {
                let finding = unwanted(node, "`{listen: ADDRESS}` or `off`");
                findings.push(finding.perhaps(slips::metrics(text)));
                None
            }
            Value::List(_) => wanted(node, "`{listen: ADDRESS}` or `off`", findings),
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
#[derive(Clone, Debug, Default)]
pub(super) struct Apps {
    /// By name, each name once.
    pub(super) named: Vec<(Said<AppName>, Node)>,
    /// Those whose name is none, or stands above. What else is wrong with them is told all the
    /// same.
    pub(super) nameless: Vec<(Where, Node)>,
}

impl Read for Apps {
    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        if node.value == Value::Null {
            return Some(Self::default());
        }
        let mut apps = Self::default();
        let mut names = BTreeSet::new();
        for entry in entries(node, findings)? {
            match entry.key.parse() {
                Ok(_) if !names.insert(&entry.key) => {
                    apps.nameless.push((entry.said.clone(), entry.node.clone()));
                }
                Ok(value) => {
                    let name = Said { value, at: entry.said.clone() };
                    apps.named.push((name, entry.node.clone()));
                }
                Err(why) => {
                    findings.push(named_wrongly(entry, &why));
                    apps.nameless.push((entry.said.clone(), entry.node.clone()));
                }
            }
        }
        Some(apps)
    }
}

fn named_wrongly(entry: &Entry, why: &NameError) -> Finding {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let better: String = entry.key.chars().take(AppName::MAX_BYTES).map(legal).collect();
    let finding = Finding::at(&entry.said, why.to_string());
    match better.trim_matches('-').parse::<AppName>() {
        Ok(name) => finding.hint(format!("`{name}` would do")),
        Err(_) => finding.hint("for instance `blog`, `shop-2`"),
    }
}

described! { OneOrMany<T> where [T: JsonSchema], generator => {
    let item = generator.subschema_for::<T>();
    any_of(&[list_of(&item), item])
} }
described! { Endpoint, generator => generator.subschema_for::<Text>() }
described! { Listen, generator => {
    let one = any_of(&[generator.subschema_for::<Text>(), generator.subschema_for::<ListenAt>()]);
    any_of(&[some_of(&one), one])
} }
described! { KindName, _generator => json_schema!({
    "enum": AppKind::ALL.map(AppKind::as_str)
}) }
described! { Workers, generator => any_of(&[
    generator.subschema_for::<Whole<1, 1024>>(),
    generator.subschema_for::<WorkerRange>(),
]) }
described! { Ready, generator => any_of(&[
    json_schema!({ "enum": ["notify", "connect"] }),
    generator.subschema_for::<ReadyAfter>(),
]) }
described! { Surge, generator => any_of(&[
    generator.subschema_for::<Whole<0, 1024>>(),
    json_schema!({ "type": "string", "pattern": "^([1-9][0-9]?|100) *%$" }),
]) }
described! { Health, generator => any_of(&[
    json_schema!({ "type": "string", "pattern": "^/[!-~]*$" }),
    generator.subschema_for::<HealthRequest>(),
]) }
described! { Metrics, generator => any_of(&[
    json_schema!({ "enum": ["off", false, null] }),
    generator.subschema_for::<MetricsAt>(),
]) }
described! { Defaults, generator => generator.subschema_for::<App>() }
described! { Apps, generator => json_schema!({
    "type": "object",
    "propertyNames": { "pattern": "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$" },
    "additionalProperties": generator.subschema_for::<App>()
}) }
