//! Where in the app a request belongs: the path to route by, and the prefix before it.
//!
//! Front ends disagree about `SCRIPT_NAME` and `PATH_INFO`: nginx sends neither unless told,
//! mod_proxy_scgi puts everything into the former, or with `proxy-scgi-pathinfo` an encoded end of
//! the path into the latter, and lighttpd splits after the first segment if it is mounted at the
//! root. What they agree about is the whole path, and that is what a configured mount is taken
//! from. A request outside of the mount has no prefix, and its whole path for a path. Never looks
//! at the query.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::clues::Clues;

/// The URL's path in two parts, both decoded, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<'r> {
    /// What is before the app's own path: empty, or `/` and more, without a final slash.
    pub(crate) mount: Cow<'r, str>,
    /// The app's own path; begins with `/`.
    pub(crate) path: Cow<'r, str>,
    /// Where the configuration says the app is.
    pub(crate) configured: Option<&'r str>,
}

/// The URL's path in two parts, both decoded, as CGI has them: bytes, and nothing added to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split<'r> {
    /// `SCRIPT_NAME`: empty, or `/` and more.
    pub(crate) script_name: Cow<'r, [u8]>,
    /// `PATH_INFO`: empty, or `/` and more.
    pub(crate) path_info: Cow<'r, [u8]>,
}

impl<'r> Place<'r> {
    /// The place a head speaks of; `configured` is where the configuration says the app is.
    pub(crate) fn of(clues: &Clues<'r>, configured: Option<&'r str>) -> Self {
        let Split { script_name, path_info } = Split::of(clues, configured);
        Self { mount: text(script_name), path: rooted(text(path_info)), configured }
    }
}

impl<'r> Split<'r> {
    /// The same place in the words of CGI.
    pub(crate) fn of(clues: &Clues<'r>, configured: Option<&'r str>) -> Self {
        let Some(mount) = configured.map(|mount| mount.trim_end_matches('/').as_bytes()) else {
            return Told::by(clues).split();
        };
        // Whatever somebody made of it by hand: this is what nginx itself went by.
        let whole = clues.document_uri.map(|decoded| Told::Whole(decoded.into()));
        match whole.unwrap_or_else(|| Told::by(clues)) {
            Told::Split { script_name, path_info } if *script_name == *mount => {
                Self { script_name, path_info }
            }
            told => Self::under(mount, told.whole()),
        }
    }

    fn under(mount: &'r [u8], whole: Cow<'r, [u8]>) -> Self {
        let inside =
            whole.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
        match inside.map(<[u8]>::len) {
            Some(rest) => {
                let start = whole.len() - rest;
                Self { script_name: Cow::Borrowed(mount), path_info: cut_front(whole, start) }
            }
            None => Self { script_name: Cow::Borrowed(b""), path_info: whole },
        }
    }
}

/// What a front end says of the path.
enum Told<'r> {
    /// The path as a whole; where it is to be split is not known.
    Whole(Cow<'r, [u8]>),
    /// The path in the two parts that the front end believes in.
    Split { script_name: Cow<'r, [u8]>, path_info: Cow<'r, [u8]> },
}

impl<'r> Told<'r> {
    /// `DOCUMENT_URI`, or `SCRIPT_NAME` and `PATH_INFO` together, have been through the front end's
    /// own checks; `REQUEST_URI` is what the client wrote.
    fn by(clues: &Clues<'r>) -> Self {
        match (clues.document_uri, clues.script_name, clues.path_info) {
            (Some(decoded), _, None) => Self::Whole(decoded.into()),
            (_, Some(script_name), Some(path_info)) => Self::in_two(clues, script_name, path_info),
            (_, None, Some(path_info)) => Self::in_two(clues, b"", path_info),
            (None, Some(script_name), None) => Self::Whole(script_name.into()),
            (None, None, None) => {
                let raw = clues.request_uri.unwrap_or_default();
                Self::Whole(Cow::Owned(without_dots(&percent_decoded(path_of(raw)))))
            }
        }
    }

    /// Both variables are decoded, except where mod_proxy_scgi makes `PATH_INFO` out of an encoded
    /// URL: then `SCRIPT_NAME` is cut in the wrong place as well, and where nothing follows it, it
    /// adds a slash.
    fn in_two(clues: &Clues<'r>, script_name: &'r [u8], path_info: &'r [u8]) -> Self {
        let as_told = Self::Split { script_name: script_name.into(), path_info: path_info.into() };
        let raw = path_of(clues.request_uri.unwrap_or_default());
        let may_add = path_info == b"/" && !raw.ends_with(b"/");
        if raw.is_empty() || !may_add && !path_info.contains(&b'%') {
            return as_told;
        }
        let whole = merged(&without_dots(&percent_decoded(raw)));
        if may_add && whole == script_name {
            return Self::Split { script_name: script_name.into(), path_info: Cow::Borrowed(b"") };
        }
        let decoded = percent_decoded(path_info);
        // What is decoded already does not end the path once it is decoded again.
        match whole.strip_suffix(&*decoded) {
            Some(before) => Self::Split {
                script_name: Cow::Owned(before.to_vec()),
                path_info: Cow::Owned(decoded.into_owned()),
            },
            None => as_told,
        }
    }

    fn whole(self) -> Cow<'r, [u8]> {
        match self {
            Self::Whole(whole) => whole,
            Self::Split { script_name, path_info } if script_name.is_empty() => path_info,
            Self::Split { script_name, path_info } => {
                Cow::Owned([&*script_name, &*path_info].concat())
            }
        }
    }

    /// The two parts; of a path that nobody has split, all is the app's.
    fn split(self) -> Split<'r> {
        match self {
            Self::Whole(path_info) => Split { script_name: Cow::Borrowed(b""), path_info },
            Self::Split { script_name, path_info } => Split { script_name, path_info },
        }
    }
}

/// The path in a request target: without `http://host` before it and the query behind it.
pub(crate) fn path_of(target: &[u8]) -> &[u8] {
    let without_query = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let Some(scheme) = without_query.windows(3).position(|three| three == b"://") else {
        return without_query;
    };
    if without_query.starts_with(b"/") {
        return without_query;
    }
    let authority = &without_query[scheme + 3..];
    authority.iter().position(|&byte| byte == b'/').map_or(b"/", |at| &authority[at..])
}

fn percent_decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(raw).into()
}

/// Text of it, with U+FFFD for what is not UTF-8.
fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Takes `.` and `..` out of a path, as front ends do before they route.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        ends_in_dots = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    // What dots lead to is a folder.
    kept.extend(ends_in_dots.then_some(&b""[..]));
    let mut path = kept.join(&b'/');
    path.insert(0, b'/');
    path
}

/// Makes one slash of several that follow each other, as all four front ends do.
fn merged(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|after, before| *after == b'/' && *before == b'/');
    merged
}

fn rooted(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        path if path.starts_with('/') => path,
        path if path.is_empty() => Cow::Borrowed("/"),
        path => Cow::Owned(format!("/{path}")),
    }
}

fn cut_front(bytes: Cow<'_, [u8]>, count: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[count..]),
        Cow::Owned(mut bytes) => {
            bytes.drain(..count);
            Cow::Owned(bytes)
        }
    }
}

#[cfg(test)]
mod tests;
