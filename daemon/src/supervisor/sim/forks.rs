//! Workers that are forked from templates, and what becomes of those that are not.

use std::sync::Arc;

use scgi_protocol::name::WorkerId;

use super::world::{Happening, World};
use crate::supervisor::{Event, Exit, Role, Spawn};

impl World {
    /// The template that was asked for a worker forks it, if it is there and does such things.
    pub(super) fn forked(&mut self, id: WorkerId) {
        let life = &self.lives[&id];
        let (spec, template) = (Arc::clone(&life.spec), life.template);
        let asked = template.and_then(|template| self.process(template));
        if !asked.is_some_and(|template| template.fate.forks) || self.lives[&id].over {
            return;
        }
        let fate = self.fate(&spec, Role::App);
        if fate.spawns {
            self.birth(id, fate);
            let soon = self.rng.ms(0..=5);
            self.later(soon, Happening::Spawned(id));
        } else {
            self.tell(&Event::NotSpawned { worker: id, error: "cannot fork".to_owned() });
        }
    }

    /// Of a template that has ended, the workers that it left unforked are known to be none.
    pub(super) fn tell_unforked(&mut self, template: WorkerId) {
        let unforked = |(_, life): &(&WorkerId, &super::lives::Life)| {
            life.template == Some(template) && life.pid.is_none() && !life.over
        };
        let ids: Vec<_> = self.lives.iter().filter(unforked).map(|(id, _)| *id).collect();
        for worker in ids {
            if self.orphaned {
                return;
            }
            let event = Event::Lost { worker };
            let scope = self.scope(&event);
            self.unmourned(worker);
            self.over(worker);
            self.tell_scoped(&event, scope);
        }
    }

    /// Templates hear that the daemon is no more, and leave.
    pub(super) fn orphan_templates(&mut self) {
        let is_template = |id: &WorkerId| self.lives[id].role == Role::Template;
        let templates: Vec<_> = self.alive.iter().copied().filter(is_template).collect();
        for id in templates {
            let soon = self.rng.ms(0..=50);
            self.later(soon, Happening::Ends(id, Exit::Code(0)));
        }
    }

    /// A worker was to be forked from a template that is ready, and from no other than its launch's.
    pub(super) fn check_template(&self, spawn: &Spawn) {
        let Spawn { worker, generation, app: spec, role, template, .. } = spawn;
        let forked = *role == Role::App && spec.launch.preload;
        assert_eq!(template.is_some(), forked, "{worker} is born in the wrong way");
        let others = self.alive.iter().filter(|id| *id != worker).map(|id| &self.lives[id]);
        let theirs = |life: &&super::lives::Life| {
            life.app == spec.name && life.generation == *generation && life.role == Role::Template
        };
        if *role == Role::Template {
            assert!(spec.launch.preload, "{worker} is a template for nobody");
            let staying = self.core.pools[&spec.name].workers.values().filter(|w| {
                w.role == Role::Template && w.generation == *generation && w.is_staying()
            });
            assert!(staying.count() <= 1, "{worker} is one template too many");
        }
        let Some(from) = template else { return };
        assert!(others.clone().any(|life| theirs(&life)), "{worker} has no template");
        let told = &self.lives[from];
        assert!(told.told_ready && !told.told_gone, "{worker} is asked of {told:?}");
    }

    /// How many templates of the app live.
    pub(super) fn templates(&self, app: &scgi_protocol::name::AppName) -> usize {
        let theirs = |id: &&WorkerId| {
            let life = &self.lives[id];
            life.app == *app && life.role == Role::Template
        };
        self.alive.iter().filter(theirs).count()
    }
}
