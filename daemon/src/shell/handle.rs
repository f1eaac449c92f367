//! The door to the loop: how the control API asks for something.

use scgi_protocol::control::{Author, ConfigProblem, Plan, Upgrade};
use scgi_protocol::name::{AppName, OperationId};
use tokio::sync::{mpsc, oneshot};

use super::upgrade::UpgradeOrder;
use crate::supervisor::Order;

/// What can be asked of the loop.
#[derive(Debug)]
pub enum Ask {
    /// An order to the supervisor; what can fail is prepared before it is accepted.
    Order(Order),
    /// The same, and if another operation stands in its way it begins when that has ended.
    Queue(Order),
    /// Read a configuration and take it over.
    Apply {
        /// Which.
        proposal: Proposal,
        /// Who wants it.
        by: Author,
    },
}

/// A configuration that somebody wants to be in force.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Where it is.
    pub source: Source,
    /// The tags of which the configuration in force must have one, as `If-Match` says them; `None`
    /// if it may be any.
    pub expected: Option<String>,
}

/// Where a configuration is.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the file the daemon was started with.
    Configured,
    /// Here.
    Text {
        /// What its problems call it.
        name: String,
        /// What it says.
        text: String,
    },
    /// In the archive, under this number; `None` for the last good one before that in force.
    Revision(Option<u64>),
}

/// Why the loop refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no app of that name.
    #[error("no app is called `{0}`")]
    NoSuchApp(AppName),
    /// Another operation is under way.
    #[error("operation {0} is under way")]
    Conflict(OperationId),
    /// What was asked for makes no sense as things are.
    #[error("{0}")]
    Senseless(String),
    /// What was asked for could not be prepared.
    #[error("{0}")]
    Unprepared(String),
    /// No revision has this number.
    #[error("no revision {0} is known")]
    NoSuchRevision(u64),
    /// Another configuration is in force than was expected; its tag is told.
    #[error("the configuration in force is another one, with the tag {0}")]
    Changed(String),
    /// The configuration has problems.
    #[error("the configuration has {} problem(s)", .0.len())]
    InvalidConfig(Vec<ConfigProblem>),
    /// The daemon is on its way out.
    #[error("the daemon is stopping")]
    Stopping,
}

/// Where an answer goes.
pub type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// A question and where its answer goes.
#[derive(Debug)]
pub enum Question {
    /// Something is to be done; the answer is the operation it became.
    Do(Ask, Answer<OperationId>),
    /// What would be done.
    Plan(Proposal, Answer<Plan>),
    /// Another program is to go on in the place of this one.
    Upgrade(UpgradeOrder, Answer<Upgrade>),
}

/// The door to the loop. Clones lead to the same loop.
#[derive(Clone, Debug)]
pub struct Handle {
    questions: mpsc::Sender<Question>,
}

impl Handle {
    /// A door, and the loop's side of it.
    pub fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(64);
        (Self { questions }, asked)
    }

    /// Asks, and waits until the loop has accepted or refused; not until it is done.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; then nothing has changed.
    pub async fn ask(&self, ask: Ask) -> Result<OperationId, Refusal> {
        self.question(|answer| Question::Do(ask, answer)).await
    }

    /// Asks what a configuration would change. Nothing is changed.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], the one that taking it over would meet.
    pub async fn plan(&self, proposal: Proposal) -> Result<Plan, Refusal> {
        self.question(|answer| Question::Plan(proposal, answer)).await
    }

    /// Asks for another program in the place of this one; the answer comes before that is done.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; then nothing has changed.
    pub async fn upgrade(&self, order: UpgradeOrder) -> Result<Upgrade, Refusal> {
        self.question(|answer| Question::Upgrade(order, answer)).await
    }

    async fn question<T>(&self, ask: impl FnOnce(Answer<T>) -> Question) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(ask(answer)).await.map_err(|_| Refusal::Stopping)?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }
}
