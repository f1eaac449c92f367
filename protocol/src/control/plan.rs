//! What would change, or has: one site held against another, key by key.

use serde::{Deserialize, Serialize};

use crate::name::AppName;

/// What applying a configuration would do to the site in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The revision in force, against which the plan is made.
    pub revision: Option<u64>,
    /// The `ETag` of the configuration in force: with it as `If-Match` an apply does what the plan
    /// says, or nothing.
    pub tag: String,
    /// What becomes of the apps, by name; those that stay as they are are left out.
    pub changes: Vec<AppPlan>,
    /// What else changes at once, such as who may act.
    pub site: Vec<Difference>,
    /// Apps that cannot be prepared, and could not be before: they stay as they are, and the apply
    /// fails for them.
    pub unprepared: Vec<Unprepared>,
}

impl Plan {
    /// Whether applying would change nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.site.is_empty()
    }
}

/// What becomes of one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppPlan {
    /// The app.
    pub app: AppName,
    /// Whether it comes, goes or changes.
    pub action: PlanAction,
    /// What is another one than before; empty if the app comes or goes.
    pub differences: Vec<Difference>,
}

/// Whether an app comes, goes or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PlanAction {
    /// It is new.
    Add,
    /// It is no longer part of the site: its workers drain.
    Remove,
    /// Some of its keys have other values.
    Change,
}

/// One key with another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// The key below the app or the site, dotted: `workers.max`, `env.DB`, `listen[0].mode`.
    pub key: String,
    /// What it was; `None` if it was not said and has no default.
    pub old: Option<String>,
    /// What it is to be.
    pub new: Option<String>,
    /// How it comes about.
    pub means: Means,
    /// The values may be secret; whoever shows them should be asked to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// How a difference comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Means {
    /// In place: other numbers for what runs, another mode or queue for a socket in use.
    Retune,
    /// Workers come or go; those that stay are not touched.
    Resize,
    /// Other workers, new before old.
    Roll,
    /// Another worker once the old one is gone: it has its address to itself, so that nobody
    /// answers between the two.
    Replace,
    /// A roll to another address: it is bound first, the one before is closed last.
    Rebind,
}

impl Means {
    /// The means as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retune => "retune",
            Self::Resize => "resize",
            Self::Roll => "roll",
            Self::Replace => "replace",
            Self::Rebind => "rebind",
        }
    }
}

/// An app that cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unprepared {
    /// The app.
    pub app: AppName,
    /// Why not.
    pub why: String,
}
