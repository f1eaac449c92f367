//! What taking a prepared site over would change. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use scgi_protocol::control::{AppPlan, Difference, Means, Plan, PlanAction, Seats, Unprepared};
use scgi_protocol::name::AppName;

use super::Shell;
use super::reload::Ready;
use crate::spec::{AppSpec, RevisionsSpec, Site, Who};

impl Shell {
    /// What taking `ready` over would change.
    pub(super) fn plan(&self, ready: &Ready) -> Plan {
        let next = &ready.loaded.site;
        let in_force = self.site.iter().flat_map(|site| site.apps.keys());
        // By what the supervisor goes by.
        let now =
            in_force.filter_map(|app| Some((app.clone(), self.supervisor.spec(app)?.clone())));
        let scaled = |app: &AppName| Some(self.shared.board.pool(app)?.seats).filter(|s| s.scaled);
        let unprepared = ready.unprepared.iter();
        Plan {
            revision: self.archive.in_force(),
            tag: self.facts.borrow().tag.clone(),
            changes: changes(
                &now.collect(),
                next,
                |app| ready.unprepared.contains_key(app),
                scaled,
            ),
            site: self.site.as_ref().map(|now| site_differences(now, next)).unwrap_or_default(),
            unprepared: unprepared
                .map(|(app, why)| Unprepared { app: app.clone(), why: why.clone() })
                .collect(),
        }
    }
}

/// What becomes of the apps in force: of those that are `scaled`, also that they no longer are. One
/// that cannot be prepared `stays` as it is.
fn changes(
    now: &BTreeMap<AppName, Arc<AppSpec>>,
    next: &Site,
    stays: impl Fn(&AppName) -> bool,
    scaled: impl Fn(&AppName) -> Option<Seats>,
) -> Vec<AppPlan> {
    let whole =
        |app: &AppName, action| AppPlan { app: app.clone(), action, differences: Vec::new() };
    let gone = now.keys().filter(|app| !next.apps.contains_key(*app) && !stays(app));
    let mut changes: Vec<AppPlan> = gone.map(|app| whole(app, PlanAction::Remove)).collect();
    for (app, spec) in &next.apps {
        let Some(now) = now.get(app) else {
            changes.push(whole(app, PlanAction::Add));
            continue;
        };
        let mut differences = now.differences(spec);
        differences.extend(scaled(app).map(|seats| unscaled(&seats, spec)));
        if !differences.is_empty() {
            changes.push(AppPlan { differences, ..whole(app, PlanAction::Change) });
        }
    }
    changes.sort_by(|a, b| a.app.cmp(&b.app));
    changes
}

/// An operator's `scale` lasts until the next apply.
fn unscaled(seats: &Seats, next: &AppSpec) -> Difference {
    let Seats { min, max, .. } = *seats;
    let words = |min: u16, max: u16| match min == max {
        true => max.to_string(),
        false => format!("{min}-{max}"),
    };
    Difference {
        key: "workers".to_owned(),
        old: Some(format!("{} (scaled)", words(min, max))),
        new: Some(words(next.sizing.min(), next.sizing.max())),
        means: Means::Resize,
        secret: false,
    }
}

/// What a running daemon can change about itself. All else is a problem, and refused.
fn site_differences(now: &Site, next: &Site) -> Vec<Difference> {
    let keep = |site: &Site| {
        let RevisionsSpec { directory: _, keep } = site.revisions;
        keep.to_string()
    };
    let differing = |key: &str, old: String, new: String| {
        let key = key.to_owned();
        let (old, new, means) = (Some(old), Some(new), Means::Retune);
        (old != new).then_some(Difference { key, old, new, means, secret: false })
    };
    let all = [
        differing("control.readers", people(&now.control.readers), people(&next.control.readers)),
        differing("control.writers", people(&now.control.writers), people(&next.control.writers)),
        differing("revisions.keep", keep(now), keep(next)),
    ];
    all.into_iter().flatten().collect()
}

fn people(who: &[Who]) -> String {
    let word = |who: &Who| match who {
        Who::User(uid) => format!("user:{uid}"),
        Who::Group(gid) => format!("group:{gid}"),
    };
    format!("[{}]", who.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
