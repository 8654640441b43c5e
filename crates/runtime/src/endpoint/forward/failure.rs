//! What a client is told when a statement of its can't be forwarded, or isn't known to have been.

use super::frames::{field, message};
use crate::endpoint::Away;

/// An error that ends a statement, not its session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// Its code (PostgreSQL's documentation, appendix A).
    pub(super) sqlstate: [u8; 5],
    pub(super) message: String,
    pub(super) detail: Option<String>,
}

/// Nothing was carried out.
const NOT_CARRIED_OUT: &str = "The statement was not carried out.";

impl Failure {
    pub(super) fn new(sqlstate: &[u8; 5], message: impl Into<String>) -> Failure {
        Failure {
            sqlstate: *sqlstate,
            message: message.into(),
            detail: None,
        }
    }

    /// It is given up before it is carried out, for that reason (`query_canceled`, in PostgreSQL's
    /// words).
    pub(super) fn cancelled(why: &str) -> Failure {
        Failure::new(b"57014", format!("canceling statement due to {why}"))
    }

    /// What the session has set doesn't go into a message that is read whole
    /// (`program_limit_exceeded`).
    pub(super) fn too_long() -> Failure {
        let message = "a setting is too long to go along with what is forwarded";
        Failure {
            detail: Some(NOT_CARRIED_OUT.to_owned()),
            ..Failure::new(b"54000", message)
        }
    }

    /// There is no session at the writer (`sqlclient_unable_to_establish_sqlconnection`).
    pub(super) fn unreachable(why: &str) -> Failure {
        let message = format!("the writer of the global cluster can't be reached: {why}");
        Failure {
            detail: Some(NOT_CARRIED_OUT.to_owned()),
            ..Failure::new(b"08001", message)
        }
    }

    /// The session at the writer ended amid a statement that may have committed
    /// (`transaction_resolution_unknown`).
    pub(super) fn unknown(why: &str) -> Failure {
        let message = format!("the session at the writer of the global cluster ended: {why}");
        let detail = "Whether the statement was carried out is not known.";
        Failure {
            detail: Some(detail.to_owned()),
            ..Failure::new(b"08007", message)
        }
    }

    /// The session at the writer ended before anything was committed (`connection_failure`).
    pub(super) fn lost(why: &str) -> Failure {
        let message = format!("the session at the writer of the global cluster ended: {why}");
        let detail = "The transaction was rolled back.";
        Failure {
            detail: Some(detail.to_owned()),
            ..Failure::new(b"08006", message)
        }
    }

    /// Behind a part of a unit that is the writer's comes what can't be carried out there
    /// (`read_only_sql_transaction`, as a standby would say).
    pub(super) fn strayed() -> Failure {
        let message = "cannot execute this behind a statement that was forwarded";
        Failure::new(b"25006", message)
    }

    /// As the writer said it.
    pub(super) fn said(body: &[u8]) -> Failure {
        let code = field(body, b'C').and_then(|code| code.as_bytes().try_into().ok());
        let message = field(body, b'M').unwrap_or_else(|| "it gave no reason".to_owned());
        Failure::new(&code.unwrap_or(*b"XX000"), message)
    }

    /// The ErrorResponse.
    pub(super) fn response(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let detail = self.detail.as_deref().unwrap_or_default();
        for (kind, text) in [
            (b'S', &b"ERROR"[..]),
            (b'V', b"ERROR"),
            (b'C', &self.sqlstate),
            (b'M', self.message.as_bytes()),
            (b'D', detail.as_bytes()),
        ] {
            if !text.is_empty() {
                fields.push(kind);
                fields.extend(text.iter().copied().filter(|byte| *byte != 0));
                fields.push(0);
            }
        }
        message(b'E', &[&fields, &[0]])
    }
}

impl From<Away> for Failure {
    fn from(away: Away) -> Failure {
        Failure {
            detail: Some(NOT_CARRIED_OUT.to_owned()),
            ..Failure::new(&away.sqlstate, away.message)
        }
    }
}
