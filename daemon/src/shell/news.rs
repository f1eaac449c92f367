//! What the loop hears of, and what it means to the core.

use std::path::PathBuf;

use scgi_protocol::control::Author;
use scgi_protocol::name::{AppName, WorkerId};
use scgi_protocol::notice::Notice;

use super::Shell;
use super::handle::{Proposal, Question, Source};
use super::health::Outcome;
use super::propose::{Purpose, Read};
use super::signals::Word;
use super::templates::Heard;
use super::upgrade::UpgradeOrder;
use crate::supervisor::{Event, Moment, Pid};

/// Something the loop heard of.
#[derive(Debug)]
pub(super) enum News {
    Signal(Word),
    Notice(Pid, Box<Notice>),
    Arrivals(Vec<AppName>),
    Question(Question),
    Read(Box<Read>),
    Probed(Outcome),
    Opened(WorkerId),
    Template(Heard),
    Ended(Pid, WorkerId),
    Become(PathBuf),
    Deadline,
}

impl Shell {
    /// What news means to the core.
    pub(super) fn understand(&mut self, news: News, now: Moment) -> Vec<Event> {
        match news {
            News::Signal(Word::Child) => {
                self.bury(now);
                Vec::new()
            }
            News::Signal(Word::Leave) => vec![self.leave()],
            News::Signal(Word::Upgrade) => {
                self.upgrade(UpgradeOrder::default(), None);
                Vec::new()
            }
            News::Become(path) => {
                self.become_it(&path);
                Vec::new()
            }
            News::Signal(Word::Reload) => {
                let proposal = Proposal { source: Source::Configured, expected: None };
                self.propose(proposal, Purpose::Apply { by: Author::Signal, answer: None });
                Vec::new()
            }
            News::Notice(pid, notice) => {
                // Who was forked from a template has said so before it says anything else.
                let known = self.hands.born.contains_key(&pid);
                let mut facts = if known { Vec::new() } else { self.hands.hear_templates() };
                facts.extend(self.heard(pid, *notice));
                facts
            }
            News::Template(heard) => self.hands.heard_of(heard),
            News::Arrivals(apps) => {
                let look = |app: AppName| {
                    self.hands.arrived(&app, now);
                    self.hands.look(app, &self.supervisor, now)
                };
                apps.into_iter().map(look).collect()
            }
            News::Question(Question::Do(ask, answer)) => {
                self.asked(ask, answer);
                Vec::new()
            }
            News::Question(Question::Plan(proposal, answer)) => {
                self.propose(proposal, Purpose::Plan(answer));
                Vec::new()
            }
            News::Question(Question::Upgrade(order, answer)) => {
                self.upgrade(order, Some(answer));
                Vec::new()
            }
            News::Read(read) => {
                self.has_read(*read);
                Vec::new()
            }
            News::Probed((worker, outcome)) => vec![Event::Probed { worker, outcome }],
            News::Opened(worker) => {
                let pid = self.hands.pid_of(worker);
                pid.map(|pid| Event::Ready { pid }).into_iter().collect()
            }
            News::Ended(pid, worker) => self.ended(pid, worker, now),
            News::Deadline => vec![Event::Tick],
        }
    }

    /// What a notice says, one fact for each thing. It counts as its worker's own if it comes from
    /// the worker's process group: a program may be started by a script.
    fn heard(&self, from: Pid, notice: Notice) -> Vec<Event> {
        let group = || nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(from))).ok();
        let pid = match self.hands.born.contains_key(&from) {
            true => from,
            false => group().map_or(from, nix::unistd::Pid::as_raw),
        };
        let Notice { ready, stopping, watchdog: _, status, extend } = notice;
        let mut facts = Vec::new();
        facts.extend(extend.map(|by| Event::Extend { pid, by }));
        facts.extend(status.map(|text| Event::Said { pid, text }));
        facts.extend(ready.then_some(Event::Ready { pid }));
        facts.extend(stopping.then_some(Event::Stopping { pid }));
        facts
    }
}
