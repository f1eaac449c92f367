//! Receives a request, as far as its client sends it within a blink.
//!
//! Judges by what the threads judge by, and waits for nobody longer: that is the shield's business.

use std::io;
use std::time::Duration;

use scgi_protocol::page::now_ns;
use scgi_protocol::scgi::{self, HeadError};

use super::wire::Wire;
use crate::intake::{Intake, Tail};

/// How long a client may take to send what is missing before it is waited for aside.
const BLINK: Duration = Duration::from_millis(5);

/// How receiving a request went, if it is not whole.
pub(super) enum NotWhole {
    /// It has not come yet.
    Waits,
    /// The peer closed without a word, as some front ends do after refusing a request.
    Nothing,
    /// The head ended before its end.
    Incomplete,
    Refused(HeadError),
    /// The client left in the middle of the body.
    Gone,
}

/// Receives until the head is there, and what came with it, on a connection that was accepted at
/// `since_ns`.
pub(super) async fn receive_head(
    wire: &Wire,
    intake: &mut Intake,
    codec: &scgi::Limits,
    since_ns: u64,
) -> Result<(), NotWhole> {
    let mut patience = BLINK;
    loop {
        match wire.append(intake.room(), patience).await {
            Ok(0) if intake.is_empty() => return Err(NotWhole::Nothing),
            Ok(0) => return Err(NotWhole::Incomplete),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(NotWhole::Waits),
            Err(_) => return Err(NotWhole::Nothing),
        }
        if intake.is_head_whole(codec).map_err(NotWhole::Refused)? {
            return Ok(());
        }
        patience = rest_of_blink(since_ns);
    }
}

/// Receives what is missing of the body and waited for.
pub(super) async fn receive_tail(
    wire: &Wire,
    tail: &mut Tail,
    since_ns: u64,
) -> Result<(), NotWhole> {
    while !tail.is_whole() {
        match wire.append(tail.room(), rest_of_blink(since_ns)).await {
            Ok(0) => return Err(NotWhole::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(NotWhole::Waits),
            Err(_) => return Err(NotWhole::Gone),
        }
    }
    Ok(())
}

fn rest_of_blink(since_ns: u64) -> Duration {
    BLINK.saturating_sub(Duration::from_nanos(now_ns().saturating_sub(since_ns)))
}
