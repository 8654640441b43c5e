//! What write forwarding goes by: consistency modes as Aurora PostgreSQL has them (Aurora User
//! Guide, "Using write forwarding in an Aurora PostgreSQL global database"), and its bounds.

use std::time::Duration;

/// The parameter by which a session chooses its mode.
pub(super) const MODE: &str = "apg_write_forward.consistency_mode";

/// What a session's reads wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// Until what this session wrote is here.
    Session,
    /// For nothing.
    Eventual,
    /// Until all that was committed at the writer when they began is here.
    Global,
    /// Nothing is forwarded.
    Off,
}

impl Consistency {
    /// By its name, in any letters.
    pub fn of_name(name: &str) -> Option<Consistency> {
        let all = [
            Consistency::Session,
            Consistency::Eventual,
            Consistency::Global,
            Consistency::Off,
        ];
        all.into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Consistency::Session => "SESSION",
            Consistency::Eventual => "EVENTUAL",
            Consistency::Global => "GLOBAL",
            Consistency::Off => "OFF",
        }
    }
}

/// How a session's writes are forwarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardingTerms {
    /// Who writes: places in the logs of two writers are not compared.
    pub writer: String,
    /// The mode of a session that sets none.
    pub consistency: Consistency,
    /// How long a session at the writer may take to begin; `None`: for ever.
    pub connect_timeout: Option<Duration>,
    /// How long it may be without a statement before it is given up; `None`: for ever.
    pub idle_session_timeout: Option<Duration>,
    /// The same within a transaction, which is rolled back then.
    pub idle_in_transaction_session_timeout: Option<Duration>,
}
