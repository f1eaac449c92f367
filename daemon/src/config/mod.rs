//! What the operator wrote: YAML in, a validated [`Site`] out, or every problem at once.
//!
//! ```text
//! file ─yaml▶ nodes ─raw, kinds, scalar▶ raw shapes ─check▶ spec::Site
//!                └──────────── findings ─────────────┴────▶ Problems, or apps left out
//! ```
//!
//! Nothing here changes anything on the machine; it looks at files, users, groups and rights, and
//! says beforehand what the launcher and the shell would fail at. `check`, the start and a reload
//! all come through here, so that they cannot disagree. Sockets are bound elsewhere, and whoever
//! fails to bind one says so through [`Sources::problem`].

mod advice;
mod bound;
mod check;
mod command;
mod describe;
mod fault;
mod files;
mod kinds;
mod machine;
mod problem;
mod raw;
mod read;
mod reading;
mod render;
mod salvage;
mod scalar;
mod schema;
mod show;
mod slips;
mod sources;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use scgi_protocol::control::ConfigProblem;
use scgi_protocol::name::AppName;

use crate::spec::Site;
use machine::{Here, Machine};
use problem::Findings;
use reading::{Reading, folder_of};

pub use files::{PLACES, find};
pub use problem::{Paint, Problems};
pub use salvage::control_sockets;
pub use schema::schema;
pub use show::show;
pub use sources::{Kept, Sources};

/// What came of a configuration whose text is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The site, without the apps that cannot be prepared.
    pub site: Site,
    /// What keeps each of the other apps from being prepared: its program, user or files.
    pub unprepared: BTreeMap<AppName, Vec<ConfigProblem>>,
    /// What was read, for problems that come up later.
    pub sources: Sources,
    name: String,
    findings: Findings,
}

impl Loaded {
    /// The same if every app can be prepared: for `check`, and for a reload, which changes
    /// nothing unless everything is right.
    ///
    /// # Errors
    ///
    /// What keeps apps from being prepared.
    pub fn strict(self) -> Result<Self, Problems> {
        if self.findings.is_empty() {
            return Ok(self);
        }
        Err(Problems::new(&self.name, self.findings, self.sources))
    }
}

/// Reads the file at `path` and every file it includes.
///
/// # Errors
///
/// Everything that is wrong, if the text of one file is; apps that merely cannot be prepared on
/// this machine are left out and told in [`Loaded::unprepared`].
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    finish(&Here::default(), &name, Reading::of_file(path))
}

/// Reads a configuration from memory. `name` is what its problems call it; relative paths start
/// from that path's folder.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(name: &str, text: &str) -> Result<Loaded, Problems> {
    load_text_on(&Here::default(), name, text)
}

/// The commented configuration that `scgid init` writes.
pub fn init_text() -> &'static str {
    include_str!("init.yaml")
}

/// Reads a configuration from memory, as if it stood in `folder`; `name` is what its problems call
/// it.
///
/// # Errors
///
/// As [`load`].
pub fn load_sent(name: &str, folder: &Path, text: &str) -> Result<Loaded, Problems> {
    finish(&Here::default(), name, Reading::of_text(name, folder, text))
}

/// Reads a configuration whose texts were kept, files that it includes among them; no text of it
/// is looked for on disk.
///
/// # Errors
///
/// As [`load`].
pub fn load_kept(kept: &[Kept]) -> Result<Loaded, Problems> {
    let name = kept.first().map_or("nothing", |first| first.name.as_str());
    finish(&Here::default(), name, Reading::of_kept(kept))
}

fn load_text_on(machine: &dyn Machine, name: &str, text: &str) -> Result<Loaded, Problems> {
    finish(machine, name, Reading::of_text(name, &folder_of(Path::new(name)), text))
}

/// Checks what was read, if enough of it could be.
fn finish(machine: &dyn Machine, name: &str, reading: Reading) -> Result<Loaded, Problems> {
    let Reading { written, sources, findings, .. } = reading;
    let mut context = check::Context { machine, sources: &sources, findings };
    let checked = written.map(|written| check::site(&written, &mut context));
    let findings = context.findings;
    match checked {
        Some(checked) if !findings.refuse_site() => {
            let told = |(app, found): (AppName, Findings)| (app, found.told(&sources));
            let unprepared = checked.unprepared.into_iter().map(told).collect();
            let name = name.to_owned();
            Ok(Loaded { site: checked.site, unprepared, sources, name, findings })
        }
        _ => Err(Problems::new(name, findings, sources)),
    }
}

#[cfg(test)]
mod tests;
