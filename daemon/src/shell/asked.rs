//! What is asked of the loop: prepared and accepted, or refused with words.

use scgi_protocol::control::{Scale, Wish};
use scgi_protocol::name::{AppName, OperationId};

use super::Shell;
use super::handle::{Answer, Ask, Refusal};
use super::listeners::GivenUp;
use super::propose::Purpose;
use crate::supervisor::{AppOrder, Event, Order};
use crate::words::in_words;

/// What becomes of an order while another operation stands in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queueing {
    Refused,
    Wanted,
}

impl Shell {
    /// Answers a question. What was accepted is done before it is answered, so that who asks next
    /// finds the operation posted.
    pub(super) fn asked(&mut self, ask: Ask, answer: Answer<OperationId>) {
        let fact = match ask {
            Ask::Order(Order::Shutdown) | Ask::Queue(Order::Shutdown) => Ok(self.leave()),
            Ask::Order(_) | Ask::Queue(_) | Ask::Apply { .. } if self.stopping => {
                Err(Refusal::Stopping)
            }
            Ask::Apply { proposal, by } => {
                return self.propose(proposal, Purpose::Apply { by, answer: Some(answer) });
            }
            Ask::Order(Order::App { app, what }) => self.accept(app, what, Queueing::Refused),
            Ask::Queue(Order::App { app, what }) => self.accept(app, what, Queueing::Wanted),
        };
        let now = self.shared.clock.now();
        let reply = fact.map(|fact| {
            self.turn(fact, now);
            self.last_operation
        });
        // Who asked may have gone; what was asked is done all the same.
        let _ = answer.send(reply);
    }

    /// The daemon is asked to leave.
    pub(super) fn leave(&mut self) -> Event {
        self.stopping = true;
        self.shared.board.post_stopping();
        Event::Order { order: Order::Shutdown, operation: self.next_operation(), after: None }
    }

    pub(super) fn next_operation(&mut self) -> OperationId {
        self.last_operation = self.last_operation.next();
        self.last_operation
    }

    /// Prepares what an order needs, or says why it cannot be.
    fn accept(
        &mut self,
        app: AppName,
        what: AppOrder,
        queueing: Queueing,
    ) -> Result<Event, Refusal> {
        self.is_sensible(&app, what)?;
        let order = Order::App { app, what };
        let after = match (self.supervisor.conflict(&order), queueing) {
            (Some(other), Queueing::Refused) => return Err(Refusal::Conflict(other.first)),
            (Some(other), Queueing::Wanted) => Some(other.last),
            (None, _) => None,
        };
        // Nobody would know of listeners opened for an order that waits: it makes do with those that
        // are open by then.
        if let (Order::App { app, what }, None) = (&order, after)
            && what.needs_listeners()
        {
            self.open(app)?;
        }
        Ok(Event::Order { order, operation: self.next_operation(), after })
    }

    fn is_sensible(&self, app: &AppName, what: AppOrder) -> Result<(), Refusal> {
        let Some(wish) = self.supervisor.wish(app) else {
            let view = self.shared.board.pool(app);
            let why = view.and_then(|view| Some(view.trouble.as_ref()?.cause.clone()));
            return Err(match why {
                None => Refusal::NoSuchApp(app.clone()),
                Some(why) => Refusal::Unprepared(format!(
                    "app `{app}` could not be prepared: {why}; mend it, then `scgictl reload`"
                )),
            });
        };
        match (what, wish) {
            (AppOrder::Scale(Scale::To(0)), _) => Err(Refusal::Senseless(format!(
                "no app has 0 workers; `scgictl stop {app}` stops it, `scgictl scale {app} min=0` \
                 lets it sleep until somebody asks"
            ))),
            (AppOrder::Restart | AppOrder::Reload | AppOrder::Retry, Wish::Stop) => {
                Err(Refusal::Senseless(format!(
                    "app `{app}` is stopped; `scgictl start {app}` starts it"
                )))
            }
            (AppOrder::Pause | AppOrder::Resume | AppOrder::Undo, _) => {
                self.is_sensible_of_roll(app, what)
            }
            _ => Ok(()),
        }
    }

    /// What is asked of a roll makes sense while there is one, or while it can be returned from.
    fn is_sensible_of_roll(&self, app: &AppName, what: AppOrder) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::Senseless(why));
        let roll = self.supervisor.roll(app);
        let under_way = roll.is_some_and(|roll| roll.under_way);
        match what {
            AppOrder::Pause if !under_way => refuse(format!("no roll of app `{app}` is under way")),
            AppOrder::Resume if roll.is_none_or(|roll| !roll.paused) => {
                refuse(format!("no roll of app `{app}` is paused"))
            }
            AppOrder::Undo if roll.is_none() => refuse(format!(
                "app `{app}` has nothing to return to: no roll is under way, and its workers have \
                 proven themselves; `scgictl rollback` returns to an earlier configuration"
            )),
            _ => Ok(()),
        }
    }

    /// Opens an app's listeners; those that are open stay so.
    fn open(&mut self, app: &AppName) -> Result<(), Refusal> {
        let Some(spec) = self.supervisor.spec(app) else { return Ok(()) };
        let prepared = self.hands.listeners.prepare(spec, &GivenUp::new());
        let prepared = prepared.map_err(|error| Refusal::Unprepared(in_words(&error)))?;
        self.hands.listeners.install(prepared);
        self.hands.relist(app);
        Ok(())
    }
}
