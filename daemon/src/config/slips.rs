//! What somebody who wrote a value wrongly most likely meant, as a hint; `None`: nobody can tell.
//!
//! Only words: whether a value is wrong is decided where it is read.

use std::net::IpAddr;

use scgi_protocol::control::AppKind;

use super::advice;
use super::yaml::{Form, Node, Value};
use crate::spec::StopSignal;

/// Words for «no limit» in other places.
const ENDLESS: [&str; 6] = ["none", "infinity", "inf", "infinite", "unlimited", "never"];

/// Whether `text` is a word for «no limit».
pub(super) fn is_endless(text: &str) -> bool {
    ENDLESS.contains(&text.to_lowercase().as_str())
}

/// Permission bits.
pub(super) fn mode(text: &str) -> String {
    let digits = text.trim_start_matches("0o");
    match u32::from_str_radix(digits, 8) {
        Ok(mode @ 0..=0o777) => format!("write \"{mode:04o}\""),
        _ if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) => {
            "three digits, each from 0 to 7, after a 0: a socket has \"0660\", a umask is \"0022\""
                .to_owned()
        }
        _ => "write digits: a socket has \"0660\", a umask is \"0022\"".to_owned(),
    }
}

/// When a worker is ready.
pub(super) fn ready(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let span = text.strip_prefix("after").unwrap_or(&text).trim_start_matches([':', ' ']);
    if span.parse::<f64>().is_ok_and(|seconds| seconds >= 0.0) {
        return Some(format!("write `{{after: {span}s}}` if seconds are meant"));
    }
    if span.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(format!("write `{{after: {span}}}`"));
    }
    let notify = ["true", "yes", "ready=1"].contains(&&*text) || text.contains("notify");
    notify.then(|| "write `notify`".to_owned())
}

/// What kind of program an app is, in the words of other managers.
pub(super) fn kind(text: &str) -> Option<String> {
    let kind = match text.to_lowercase().as_str() {
        "scgi" | "app" | "service" | "socket" => AppKind::Worker,
        "fcgiwrap" | "cgi-bin" | "script" | "cgi-script" => AppKind::Cgi,
        "xinetd" | "accept" | "connection" | "ucspi" | "stream" => AppKind::Inetd,
        "daemon" | "external" | "server" | "simple" | "program" | "self" => AppKind::Standalone,
        word => {
            let near = advice::nearest(word, AppKind::ALL.map(AppKind::as_str))?;
            return Some(format!("did you mean `{near}`?"));
        }
    };
    Some(format!("write `{}`", kind.as_str()))
}

/// How many workers.
pub(super) fn workers(node: &Node) -> Option<String> {
    let (min, max) = match &node.value {
        Value::List(items) => match items.as_slice() {
            [min, max] => (scalar(min)?, scalar(max)?),
            _ => return None,
        },
        Value::Scalar { text, .. } if ["auto", "max", "cores"].contains(&text.as_str()) => {
            return Some("leave the key out: one for each core".to_owned());
        }
        Value::Scalar { text, .. } => {
            let (min, max) = text.split_once("..").or_else(|| text.split_once(['-', ':', ',']))?;
            (min.trim(), max.trim())
        }
        Value::Null | Value::Map(_) => return None,
    };
    let range = is_number(min) && is_number(max);
    range.then(|| format!("write `{{min: {min}, max: {max}}}`"))
}

/// A duration; `most` is the longest there may be.
pub(super) fn duration(text: &str, most: &str) -> Option<String> {
    if is_endless(text) {
        return Some(format!("it has an end here; the longest is `{most}`"));
    }
    if text.contains('M') {
        // Minutes or months: whoever reads durations has words for that.
        return None;
    }
    let small = text.trim().to_lowercase();
    let better = small.replace(',', ".");
    let fits = better != text && humantime::parse_duration(&better).is_ok();
    fits.then(|| match small == text.trim() {
        true => format!("write `{better}`"),
        false => format!("write `{better}`; units are in small letters"),
    })
}

/// A whole number that counts things.
pub(super) fn whole(text: &str) -> Option<String> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && number.fract() == 0.0
        && number.abs() < 1e12
    {
        return Some(format!("write {number}"));
    }
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = digits.parse().ok()?;
    let factor: u64 = match unit {
        "k" | "K" => 1024,
        "m" | "M" => 1024 * 1024,
        _ => return None,
    };
    let number = number.checked_mul(factor)?;
    Some(format!("write {number}: it is counted in pieces"))
}

/// The limit of a resource.
pub(super) fn limit(node: &Node) -> Option<String> {
    let (soft, hard) = match &node.value {
        Value::List(items) => match items.as_slice() {
            [soft, hard] => (scalar(soft)?, scalar(hard)?),
            _ => return None,
        },
        Value::Scalar { text, .. } if is_endless(text) || text == "-1" || is_nearly(text) => {
            return Some("write `unlimited`".to_owned());
        }
        Value::Scalar { text, .. } => text.split_once(':')?,
        Value::Null | Value::Map(_) => return None,
    };
    Some(format!("write `{{soft: {}, hard: {}}}`", soft.trim(), hard.trim()))
}

fn is_nearly(text: &str) -> bool {
    strsim::damerau_levenshtein(&text.to_lowercase(), "unlimited") <= 2
}

/// A size.
pub(super) fn size(text: &str) -> Option<String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = unit.trim().to_ascii_uppercase();
    let below = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "K" => "",
        "M" => "K",
        "G" => "M",
        "T" => "G",
        _ => return None,
    };
    match number.trim().parse::<f64>() {
        Ok(count) if count.fract() == 0.0 && count >= 0.0 => {
            let better = format!("{count}{}", unit.chars().next()?);
            (better != text).then(|| format!("write `{better}`"))
        }
        Ok(count) if count > 0.0 => Some(format!("write `{:.0}{below}`", count * 1024.0)),
        _ => None,
    }
}

/// Yes or no.
pub(super) fn flag(text: &str) -> Option<String> {
    let meant = match text.to_lowercase().as_str() {
        "yes" | "on" | "1" | "y" | "true" => true,
        "no" | "off" | "0" | "n" | "false" => false,
        _ => return None,
    };
    Some(format!("write `{meant}`, without quotes"))
}

/// A signal.
pub(super) fn signal(text: &str) -> Option<String> {
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = StopSignal::ALL.into_iter().find(|signal| signal.as_str() == name);
    known.map(|signal| format!("write `{}`", signal.as_str()))
}

/// The variables of an environment that stand as `NAME=value`.
pub(super) fn variables(node: &Node) -> Option<String> {
    let items: Vec<&str> = match &node.value {
        Value::List(items) => items.iter().map(scalar).collect::<Option<_>>()?,
        Value::Scalar { text, .. } => vec![text],
        Value::Null | Value::Map(_) => return None,
    };
    let pairs = items.into_iter().map(|item| item.split_once('='));
    let pairs: Option<Vec<_>> = pairs.collect();
    let names: Vec<_> = pairs?.iter().map(|(name, _)| format!("{name}: …")).collect();
    (!names.is_empty()).then(|| format!("write `{{{}}}`", names.join(", ")))
}

/// A program that is not there.
pub(super) fn program(text: &str) -> Option<String> {
    let line = text.contains(' ').then(|| {
        let words: Vec<&str> = text.split_whitespace().collect();
        format!("each argument is an item of its own: `[{}]`", words.join(", "))
    });
    path(text).map(str::to_owned).or(line)
}

/// An address.
pub(super) fn address(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let bare = lower.strip_prefix("tcp:").unwrap_or(&lower).trim_start_matches('/');
    if let Some(path) = lower.strip_prefix("unix:").map(|path| &text[text.len() - path.len()..]) {
        return (!path.is_empty()).then(|| format!("write `unix:{path}`"));
    }
    if lower.starts_with("systemd") || lower.starts_with("fd:") {
        return Some("a socket of the service manager is `systemd:NAME`".to_owned());
    }
    let port = bare.rsplit_once(':').map_or("", |(_, port)| port);
    let ours = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    if let Some((ip, port)) = bare.rsplit_once([':', ' '])
        && let (Ok(ip), Ok(port @ 1024..)) = (ip.trim().parse::<IpAddr>(), port.parse::<u16>())
    {
        return Some(format!("write `{}:{port}`", ours(ip)));
    }
    if is_number(port) && port.parse::<u16>().is_err() {
        return Some("a port is a number from 1 to 65535".to_owned());
    }
    let ip = if bare == "localhost" { "127.0.0.1" } else { bare.trim_matches(['[', ']']) };
    let ip: IpAddr = ip.parse().ok()?;
    Some(format!("the port is missing: write `{}:4000`", ours(ip)))
}

/// Where the metrics are.
pub(super) fn metrics(text: &str) -> Option<String> {
    match text {
        "on" | "true" | "yes" => Some("leave the key out; they are on".to_owned()),
        _ if is_number(text) => Some(format!("write `{{listen: \"127.0.0.1:{text}\"}}`")),
        _ if text.contains(':') => Some(format!("write `{{listen: \"{text}\"}}`")),
        _ => None,
    }
}

/// A path that a shell would have made something of.
pub(super) fn path(text: &str) -> Option<&'static str> {
    let begins = |after: &str| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '{');
    let variable = text.split('$').skip(1).any(begins);
    let shell = text == "~" || text.starts_with("~/") || variable;
    shell.then_some("no shell reads it: `~` and `$NAME` mean nothing here; write the whole path")
}

/// A mapping that stands as one value: the key that was meant in it.
pub(super) fn mapping(keys: &[&str], node: &Node) -> Option<String> {
    let Value::Scalar { text, form } = &node.value else { return None };
    let text = text.as_str();
    let span = humantime::parse_duration(text).is_ok();
    match (keys, form) {
        (["budget", ..], Form::Number) => Some(format!("write `{{budget: {text}}}`")),
        (["budget", ..], _) if ["always", "true", "yes", "on-failure"].contains(&text) => {
            Some("the dead are always replaced; leave it out".to_owned())
        }
        (["budget", ..], _) if ["never", "no", "false", "off"].contains(&text) => {
            Some("write `{budget: 1, give_up: true}` to give up after the first death".to_owned())
        }
        (["first", "max"], _) if span => Some(format!("write `{{first: {text}, max: 30s}}`")),
        (["surge"], Form::Number) => Some(format!("write `{{surge: {text}}}`")),
        (["socket", ..], _) if text.contains('/') => Some(format!("write `{{socket: {text}}}`")),
        _ => None,
    }
}

/// The key without what other managers put before it.
pub(super) fn bare_key<'a>(key: &'a str, known: &[&'a str]) -> Option<&'a str> {
    let lower = key.to_lowercase();
    let bare = ["rlimit_", "limit_", "limit", "max_"].iter().find_map(|p| lower.strip_prefix(p))?;
    known.iter().find(|known| **known == bare).copied()
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}
