//! The guard: waits for all parked clients at once, and goes on with each as far as it comes.
//!
//! One epoll set, one queue of deadlines. Decides only whom to drop when there is no room; what a
//! connection comes to is its case's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use scgi_protocol::page::now_ns;

use crate::log;
use crate::wire::Socket;

use super::case::{Case, Step};
use super::{Ready, Shield};

/// Marks the event that somebody knocked.
const KNOCK: u64 = u64::MAX;

/// Events taken at once.
const EVENTS: usize = 64;

/// Who looks after parked clients: all of them, or one alone.
#[derive(Debug)]
pub(super) struct Guard {
    shield: Arc<Shield>,
    epoll: Epoll,
    kept: BTreeMap<u64, Kept>,
    /// When each of them is to be given up, in nanoseconds.
    deadlines: BTreeSet<(u64, u64)>,
    next: u64,
}

/// One connection in the guard's care.
#[derive(Debug)]
struct Kept {
    case: Case<Socket>,
    /// What is waited for, as the kernel was told; `None` if it was told nothing.
    interest: Option<EpollFlags>,
    deadline_ns: u64,
    /// Its share of the shield's weight, in bytes.
    weight: usize,
    /// It is among those the shield counts as coming.
    is_coming: bool,
}

impl Guard {
    /// A guard for all, who looks after nobody yet.
    ///
    /// # Errors
    ///
    /// If the kernel has no descriptor or no memory left.
    pub(super) fn open(shield: &Arc<Shield>) -> io::Result<Self> {
        let guard = Self::alone(shield)?;
        guard.epoll.add(&shield.knock, EpollEvent::new(EpollFlags::EPOLLIN, KNOCK))?;
        Ok(guard)
    }

    fn alone(shield: &Arc<Shield>) -> io::Result<Self> {
        Ok(Self {
            shield: Arc::clone(shield),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            kept: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next: 0,
        })
    }

    /// Looks after whoever is parked, until nobody is and none will be.
    pub(super) fn keep(mut self) {
        loop {
            self.admit();
            if self.kept.is_empty() && self.shield.dismisses_guard() {
                return;
            }
            self.turn();
        }
    }

    /// Looks after one connection alone, until it is whole or over. Without the means for that it
    /// is dropped and counted.
    pub(super) fn see_off(shield: &Arc<Shield>, case: Case<Socket>) {
        match Self::alone(shield) {
            Ok(mut guard) => {
                guard.take(case);
                while !guard.kept.is_empty() {
                    guard.turn();
                }
            }
            Err(error) => {
                log::say(&format!("cannot wait for a slow client: {error}; dropped"));
                shield.drop_at_once(case);
            }
        }
    }

    fn admit(&mut self) {
        for case in self.shield.newcomers() {
            if self.kept.len() >= self.shield.most {
                self.make_room();
            }
            self.take(case);
        }
    }

    fn take(&mut self, case: Case<Socket>) {
        let id = self.next;
        self.next += 1;
        let is_coming = case.is_coming();
        let mut kept = Kept { case, interest: None, deadline_ns: 0, weight: 0, is_coming };
        let step = kept.case.step(&self.shield.terms, now_ns());
        self.after(id, kept, step);
    }

    /// Waits for what comes first, and goes on with whom it concerns.
    fn turn(&mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let found = match self.epoll.wait(&mut events, self.timeout()) {
            Ok(found) => found,
            Err(Errno::EINTR) => 0,
            Err(error) => return log::say(&format!("cannot wait for slow clients: {error}")),
        };
        let now = now_ns();
        for event in &events[..found] {
            if event.data() == KNOCK {
                self.shield.hear_knock();
            } else if let Some(mut kept) = self.remove(event.data()) {
                let step = kept.case.step(&self.shield.terms, now);
                self.after(event.data(), kept, step);
            }
        }
        self.expire(now_ns());
    }

    fn timeout(&self) -> EpollTimeout {
        let Some((deadline_ns, _)) = self.deadlines.first() else { return EpollTimeout::NONE };
        let left = Duration::from_nanos(deadline_ns.saturating_sub(now_ns()));
        // Rounded up, or the last millisecond would be spent on looking.
        let ms = (left.as_millis() + 1).min(1 << 30);
        EpollTimeout::try_from(ms).expect("bounded to what the kernel takes")
    }

    fn expire(&mut self, now_ns: u64) {
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now_ns) {
            let Some(mut kept) = self.remove(id) else { return };
            let step = kept.case.expire(&self.shield.terms, now_ns);
            self.after(id, kept, step);
        }
    }

    /// Sees to what a step came to.
    fn after(&mut self, id: u64, mut kept: Kept, step: Step) {
        let weight = kept.case.weight();
        let is_too_much = self.shield.reweigh(kept.weight, weight);
        kept.weight = weight;
        let step = match step {
            Step::Waits if is_too_much && kept.case.is_coming() => self.relieve(&mut kept),
            step => step,
        };
        if kept.is_coming && (step == Step::Over || !kept.case.is_coming()) {
            kept.is_coming = false;
            self.shield.is_no_longer_coming(&mut self.shield.lock());
        }
        match step {
            Step::Waits => self.insert(id, kept),
            Step::Ready => self.give_back(kept),
            Step::Over => self.shield.is_over(kept.weight),
        }
    }

    /// Finds a way on for a request there is no memory to wait for: its handler reads the rest.
    fn relieve(&self, kept: &mut Kept) -> Step {
        if kept.case.is_request() {
            return Step::Ready;
        }
        self.shield.terms.tally.shed();
        kept.case.give_up(&self.shield.terms)
    }

    /// Drops whom it costs least.
    fn make_room(&mut self) {
        let last = self.kept.iter().min_by_key(|(_, kept)| kept.case.rank());
        let Some(id) = last.map(|(id, _)| *id) else { return };
        let Some(mut kept) = self.remove(id) else { return };
        self.shield.terms.tally.shed();
        let step = kept.case.give_up(&self.shield.terms);
        self.after(id, kept, step);
    }

    fn give_back(&self, kept: Kept) {
        let Kept { case, interest, weight, .. } = kept;
        if interest.is_some() {
            // It is there, or the kernel would not have been told.
            let _ = self.epoll.delete(&case.wire);
        }
        if let Some((wire, intake, since_ns)) = case.into_request() {
            let slow = Duration::from_nanos(now_ns().saturating_sub(since_ns));
            self.shield.give_back(Ready { wire, intake, slow, weight });
        }
    }

    fn insert(&mut self, id: u64, mut kept: Kept) {
        if let Err(error) = self.watch(id, &mut kept) {
            log::say(&format!("cannot wait for a slow client: {error}; dropped"));
            let step = kept.case.give_up(&self.shield.terms);
            return self.after(id, kept, step);
        }
        kept.deadline_ns = kept.case.deadline_ns(&self.shield.terms);
        self.deadlines.insert((kept.deadline_ns, id));
        self.kept.insert(id, kept);
    }

    fn remove(&mut self, id: u64) -> Option<Kept> {
        let kept = self.kept.remove(&id)?;
        self.deadlines.remove(&(kept.deadline_ns, id));
        Some(kept)
    }

    /// Tells the kernel what is waited for, if it is something else than before.
    fn watch(&self, id: u64, kept: &mut Kept) -> nix::Result<()> {
        let (taking, giving) = kept.case.wants();
        let mut interest = EpollFlags::empty();
        interest.set(EpollFlags::EPOLLIN, taking);
        interest.set(EpollFlags::EPOLLOUT, giving);
        let mut event = EpollEvent::new(interest, id);
        match kept.interest.replace(interest) {
            Some(before) if before == interest => Ok(()),
            Some(_) => self.epoll.modify(&kept.case.wire, &mut event),
            None => self.epoll.add(&kept.case.wire, event),
        }
    }
}
