//! What taking a prepared site over would change. Changes nothing.

use scgi_protocol::control::{AppPlan, Difference, Means, Plan, PlanAction, Seats, Unprepared};
use scgi_protocol::name::AppName;

use super::Shell;
use super::reload::Ready;
use crate::spec::{AppSpec, RevisionsSpec, Site, Who};

impl Shell {
    /// What taking `ready` over would change.
    pub(super) fn plan(&self, ready: &Ready) -> Plan {
        let next = &ready.loaded.site;
        let stays =
            |app: &AppName| next.apps.contains_key(app) || ready.unprepared.contains_key(app);
        let in_force = self.site.iter().flat_map(|site| site.apps.keys());
        let gone = in_force.filter(|app| !stays(app)).map(|app| AppPlan {
            app: app.clone(),
            action: PlanAction::Remove,
            differences: Vec::new(),
        });
        let mut changes: Vec<AppPlan> = gone.collect();
        changes.extend(next.apps.values().filter_map(|spec| self.plan_of(spec)));
        changes.sort_by(|a, b| a.app.cmp(&b.app));
        let unprepared = ready.unprepared.iter();
        Plan {
            revision: self.archive.in_force(),
            tag: self.facts.borrow().tag.clone(),
            changes,
            site: self.site.as_ref().map(|now| site_differences(now, next)).unwrap_or_default(),
            unprepared: unprepared
                .map(|(app, why)| Unprepared { app: app.clone(), why: why.clone() })
                .collect(),
        }
    }

    /// What becomes of one app; `None` if it stays as it is.
    fn plan_of(&self, next: &AppSpec) -> Option<AppPlan> {
        let app = next.name.clone();
        let is_there = self.site.as_ref().is_some_and(|site| site.apps.contains_key(&app));
        let Some(now) = self.supervisor.spec(&app).filter(|_| is_there) else {
            return Some(AppPlan { app, action: PlanAction::Add, differences: Vec::new() });
        };
        let mut differences = now.differences(next);
        let pool = self.shared.board.pool(&app);
        differences.extend(pool.and_then(|pool| unscaled(&pool.seats, next)));
        let action = PlanAction::Change;
        (!differences.is_empty()).then_some(AppPlan { app, action, differences })
    }
}

/// An operator's `scale` lasts until the next apply.
fn unscaled(seats: &Seats, next: &AppSpec) -> Option<Difference> {
    let Seats { min, max, scaled, .. } = *seats;
    let words = |min: u16, max: u16| match min == max {
        true => max.to_string(),
        false => format!("{min}-{max}"),
    };
    scaled.then(|| Difference {
        key: "workers".to_owned(),
        old: Some(format!("{} (scaled)", words(min, max))),
        new: Some(words(next.sizing.min(), next.sizing.max())),
        means: Means::Resize,
        secret: false,
    })
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
