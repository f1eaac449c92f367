//! Refusals: `application/problem+json` (RFC 9457).

use serde::{Deserialize, Serialize};

use crate::name::OperationId;

/// The media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused. Nothing has changed when one is returned, unless it says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Which kind of refusal, from a fixed set: `urn:scgid:problem:no-such-app` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The operation that is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Everything that is wrong with a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ConfigProblem>,
}

impl Problem {
    /// What every `type` begins with.
    pub const PREFIX: &'static str = "urn:scgid:problem:";

    /// A problem of a kind; what was wrong this time is `detail`.
    pub fn new(kind: ProblemKind, detail: String) -> Self {
        Self {
            kind: format!("{}{}", Self::PREFIX, kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail,
            ..Self::default()
        }
    }

    /// The kind without its prefix: `no-such-app`.
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix(Self::PREFIX).unwrap_or(&self.kind)
    }

    /// Which kind it is; `None` for one that this version does not know.
    pub fn known(&self) -> Option<ProblemKind> {
        ProblemKind::ALL.into_iter().find(|kind| kind.slug() == self.slug())
    }
}

/// Every kind of refusal; the table in [`super`] tells what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// What was sent makes no sense.
    BadRequest,
    /// The peer may not do this.
    Forbidden,
    /// Nothing is at this path.
    NotFound,
    /// No app is called so.
    NoSuchApp,
    /// No operation has this number, or it is forgotten.
    NoSuchOperation,
    /// No revision has this number, or it is not kept any more.
    NoSuchRevision,
    /// The path is right, the method is not.
    MethodNotAllowed,
    /// The body did not come in time.
    TooSlow,
    /// Another operation is in the way; [`Problem::operation`] names it.
    Conflict,
    /// The order makes no sense as things are.
    Senseless,
    /// Another configuration is in force than the one that was expected.
    Changed,
    /// The body is too long.
    TooLarge,
    /// Something the app needs is not to be had.
    Unprepared,
    /// The configuration is wrong; [`Problem::problems`] lists how.
    InvalidConfig,
    /// A fault of the daemon.
    Internal,
    /// Too many connections or streams are open.
    Busy,
    /// The daemon is on its way out.
    Stopping,
}

impl ProblemKind {
    /// All of them, by HTTP status.
    pub const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::NoSuchApp,
        Self::NoSuchOperation,
        Self::NoSuchRevision,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::Conflict,
        Self::Senseless,
        Self::Changed,
        Self::TooLarge,
        Self::Unprepared,
        Self::InvalidConfig,
        Self::Internal,
        Self::Busy,
        Self::Stopping,
    ];

    /// What stands behind [`Problem::PREFIX`].
    pub fn slug(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::NoSuchApp => "no-such-app",
            Self::NoSuchOperation => "no-such-operation",
            Self::NoSuchRevision => "no-such-revision",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TooSlow => "too-slow",
            Self::Conflict => "conflict",
            Self::Senseless => "senseless",
            Self::Changed => "changed",
            Self::TooLarge => "too-large",
            Self::Unprepared => "unprepared",
            Self::InvalidConfig => "invalid-config",
            Self::Internal => "internal",
            Self::Busy => "busy",
            Self::Stopping => "stopping",
        }
    }

    /// The kind in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "request not understood",
            Self::Forbidden => "not allowed",
            Self::NotFound => "nothing there",
            Self::NoSuchApp => "no such app",
            Self::NoSuchOperation => "no such operation",
            Self::NoSuchRevision => "no such revision",
            Self::MethodNotAllowed => "wrong method",
            Self::TooSlow => "request too slow",
            Self::Conflict => "in the way",
            Self::Senseless => "makes no sense as things are",
            Self::Changed => "changed meanwhile",
            Self::TooLarge => "request too large",
            Self::Unprepared => "cannot be prepared",
            Self::InvalidConfig => "configuration refused",
            Self::Internal => "failed",
            Self::Busy => "too many at once",
            Self::Stopping => "stopping",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound | Self::NoSuchApp | Self::NoSuchOperation | Self::NoSuchRevision => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::Conflict | Self::Senseless => 409,
            Self::Changed => 412,
            Self::TooLarge => 413,
            Self::Unprepared | Self::InvalidConfig => 422,
            Self::Internal => 500,
            Self::Busy | Self::Stopping => 503,
        }
    }

    /// The exit code of a `scgictl` that was refused so.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BadRequest | Self::InvalidConfig => 2,
            Self::NoSuchApp => 4,
            Self::Forbidden => 5,
            Self::Conflict | Self::Changed => 6,
            Self::NotFound
            | Self::NoSuchOperation
            | Self::NoSuchRevision
            | Self::MethodNotAllowed
            | Self::TooSlow
            | Self::Senseless
            | Self::TooLarge
            | Self::Unprepared
            | Self::Internal
            | Self::Busy
            | Self::Stopping => 1,
        }
    }
}

/// A place in a configuration file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigProblem {
    /// Where, if it has a place.
    pub place: Option<Place>,
    /// The dotted path of the key: `apps.blog.workers.max`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The lines around it, marked, ready to print; without colour.
    pub snippet: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_contract_lists_every_kind_with_its_status_and_exit_code() {
        let table = include_str!("mod.rs").split("| problem |").nth(1).unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with("//! |"));
        let told: Vec<String> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                format!("{} {} {}", cells[1], cells[2], cells[3])
            })
            .collect();

        let row =
            |kind: ProblemKind| format!("`{}` {} {}", kind.slug(), kind.status(), kind.exit_code());
        assert_eq!(told, ProblemKind::ALL.map(row));
    }

    #[test]
    fn a_kind_is_known_by_its_slug_and_an_unknown_one_is_no_error() {
        for kind in ProblemKind::ALL {
            assert_eq!(Problem::new(kind, String::new()).known(), Some(kind));
        }
        let later = Problem { kind: "urn:scgid:problem:of-tomorrow".into(), ..Problem::default() };
        assert_eq!(later.known(), None);
    }
}
