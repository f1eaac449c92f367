//! What to do: the pure core.

mod event;
mod moment;
mod view;

pub use event::{
    About, Action, AppOrder, Cause, Event, Exit, Load, Note, Order, Pid, Role, Signal, Spawn,
};
pub use moment::Moment;
pub use view::{LifeView, OperationView, PoolView, TroubleView, WorkerView};
