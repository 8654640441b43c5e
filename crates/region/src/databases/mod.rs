//! A Region's databases: the RDS API over the Region's own configuration, the questions that
//! Regions ask each other about replicas, and what the Region's process is given to carry the
//! service's plans out. It starts no server and moves no byte.

mod question;
mod sources;
mod telling;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use databases::ServerView;
use databases::model::ResourceId;
use event_listener::Event;
use types::SiteId;
use zeroize::Zeroizing;

pub use question::{
    DatabaseAnswer, DatabaseQuestion, Leave, LeaveRefusal, LeaveRequest, ReplicationPassword,
};
pub use sources::LeaveError;

pub(crate) use question::{put, take};
pub(crate) use sources::Sources;

/// The service's signing name.
pub(crate) const SERVICE: &str = "rds";

/// Questions of peers that wait for their answers, at most; one more is not answered, and is asked
/// again by whoever needs it.
const MAX_WAITING: usize = 256;

/// The Region's servers, as the process has them that runs them.
pub trait DatabaseServers: ServerView {
    /// The password of the replication user of that instance's server; `None`: it has no whole
    /// server.
    fn replication_password(&self, instance: &ResourceId) -> Option<Zeroizing<String>>;
}

/// Questions of peers, in the order in which they came.
#[derive(Default)]
pub(crate) struct Waiting {
    questions: Mutex<VecDeque<(SiteId, u64, DatabaseQuestion)>>,
    came: Event,
}

impl Waiting {
    /// Takes one in; false: there are too many.
    pub(crate) fn push(&self, from: SiteId, number: u64, question: &DatabaseQuestion) -> bool {
        let mut questions = self.questions();
        if questions.len() >= MAX_WAITING {
            return false;
        }
        questions.push_back((from, number, question.clone()));
        drop(questions);
        self.came.notify(usize::MAX);
        true
    }

    /// The next one.
    async fn next(&self) -> (SiteId, u64, DatabaseQuestion) {
        loop {
            let came = self.came.listen();
            let next = self.questions().pop_front();
            if let Some(next) = next {
                return next;
            }
            came.await;
        }
    }

    fn questions(
        &self,
    ) -> std::sync::MutexGuard<'_, VecDeque<(SiteId, u64, DatabaseQuestion)>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
