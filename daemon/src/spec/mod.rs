//! What the operator meant: validated, immutable, comparable.
//!
//! Made by [`crate::config`] from what was written; read by everybody else. A value of these types
//! cannot hold nonsense, so nobody checks twice. Nothing here performs I/O: users, groups and
//! programs have been looked up by the time they are spelled here.

mod app;
mod difference;
mod kind;
mod launch;
mod listen;
mod policy;
mod setting;
pub(crate) mod shared;
mod site;

pub use app::{AppSpec, Change};
pub use kind::{Cgi, Inetd, Kind, Serves, Standalone};
pub use launch::{Identity, Launch, Limit, Resource};
pub use listen::{ListenAt, ListenSpec, Ownership};
pub use policy::{Health, Ready, Restart, Roll, Sizing, SizingError, StopSignal, Surge, Timing};
pub use setting::Setting;
pub use site::{ControlSpec, MetricsSpec, RevisionsSpec, Site, Who};
