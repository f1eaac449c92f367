//! The door to the loop: how the control API asks for something.

use scgi_protocol::control::{ConfigProblem, Upgrade};
use scgi_protocol::name::{AppName, OperationId};
use tokio::sync::{mpsc, oneshot};

use super::upgrade::{UpgradeAnswer, UpgradeOrder};
use crate::supervisor::Order;

/// What can be asked of the loop.
#[derive(Debug)]
pub enum Ask {
    /// An order to the supervisor; what can fail is prepared before it is accepted.
    Order(Order),
    /// The same, and if another operation stands in its way it begins when that has ended.
    Queue(Order),
    /// Read the configuration again and take it over.
    Reload,
    /// Become another program; it has an answer of its own.
    Upgrade(UpgradeOrder, UpgradeAnswer),
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
    /// The configuration has problems.
    #[error("the configuration has {} problem(s)", .0.len())]
    InvalidConfig(Vec<ConfigProblem>),
    /// The daemon is on its way out.
    #[error("the daemon is stopping")]
    Stopping,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes: the operation it became.
    pub answer: oneshot::Sender<Result<OperationId, Refusal>>,
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
        let (answer, answered) = oneshot::channel();
        let question = Question { ask, answer };
        self.questions.send(question).await.map_err(|_| Refusal::Stopping)?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }

    /// Asks for another program in the place of this one; the answer comes before that is done.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]; then nothing has changed.
    pub async fn upgrade(&self, order: UpgradeOrder) -> Result<Upgrade, Refusal> {
        let (answer, answered) = oneshot::channel();
        let (unused, _) = oneshot::channel();
        let question = Question { ask: Ask::Upgrade(order, answer), answer: unused };
        self.questions.send(question).await.map_err(|_| Refusal::Stopping)?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }
}
