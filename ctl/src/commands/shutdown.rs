//! `shutdown`: ends the daemon and all its workers, and is done when nobody listens any more.

use std::time::Duration;

use scgi_protocol::control::{Operation, OperationState};

use super::Context;
use super::operation::{self, Deadline, patiently};
use crate::cli::Patience;
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::failure::Failure;

/// How long the daemon may hold back an answer about its own end.
const WAIT: Duration = Duration::from_secs(20);

/// The time between two looks whether the daemon still listens.
const BREATH: Duration = Duration::from_millis(50);

/// Ends the daemon.
pub(super) async fn run(mut context: Context<'_>, patience: Patience) -> Result<Exit, Failure> {
    let mut accepted: Operation = context.client.post("/v1/shutdown").await?;
    if patience.no_wait {
        return operation::see_through(&mut context, vec![accepted], patience).await;
    }
    let deadline = Deadline::after(patience.timeout);
    let left = patiently(deadline, gone(&context.client, &mut accepted)).await?;
    operation::tell(&mut context, &[accepted], left.as_ref())
}

/// Waits until nobody listens on the socket, or the daemon says that it could not end.
///
/// The connection on which it is asked may break at any moment, since it is the daemon that ends.
/// A daemon that does not know the operation is another one that has taken its place.
async fn gone(client: &Client, operation: &mut Operation) -> Result<(), ClientError> {
    let path = format!("/v1/operations/{}", operation.id);
    loop {
        match client.get_when_changed::<Operation>(&path, WAIT).await {
            Ok(at_present) => *operation = at_present,
            Err(ClientError::Lost { .. }) => {}
            Err(ClientError::Refused(_)) => break,
            Err(error) if error.is_absence() => break,
            Err(error) => return Err(error),
        }
        if operation.state == OperationState::Failed {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
    operation.state = OperationState::Done;
    operation.progress = "nobody listens on its socket".to_owned();
    Ok(())
}
