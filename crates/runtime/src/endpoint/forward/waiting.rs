//! Waiting in a client's place before its statement is carried out, for the writer's answer to a
//! question of our own, say. Nobody else listens to the client meanwhile: it may ask to cancel,
//! have no time left, or be gone.

use std::io;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::failure::Failure;
use super::wire::Wire;
use crate::http::tls::Connection;

/// Of something that needs I/O at the client's or the own server's end: that it broke off, or what
/// became of it.
pub(super) type Outcome<T> = io::Result<Result<T, Failure>>;

/// Waits for that, unless the client asks to cancel or its time is over first. What is waited for
/// is given up amid whatever it does then.
///
/// # Errors
/// The client is gone.
pub(super) async fn heard<T>(
    waiting: impl Future<Output = Result<T, Failure>>,
    client: &mut Wire<Connection>,
    cancelled: &Notify,
    deadline: Option<Instant>,
) -> Outcome<T> {
    let mut waiting = std::pin::pin!(waiting);
    loop {
        let has_room = !client.frames.is_full();
        tokio::select! {
            biased;
            outcome = &mut waiting => return Ok(outcome),
            () = cancelled.notified() => return Ok(Err(Failure::cancelled("user request"))),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                return Ok(Err(Failure::cancelled("statement timeout")));
            }
            count = client.read(), if has_room => if count? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            },
        }
    }
}
