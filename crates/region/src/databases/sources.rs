//! The way to sources in other Regions, and how a source's Region answers. What a source takes and
//! keeps is for `databases` to decide; here it is checked that a peer speaks for its own Region.

use std::sync::Arc;

use databases::model::{Farewell, Lsn, ResourceId, Snapshot};
use databases::{
    AttachRefusal, AttachRequest, CopyRequest, SourceAnswer, SourceError, SourceFacts, SourceView,
};
use types::{Deployment, Region as Name, SiteId};

use super::question::{DatabaseAnswer, DatabaseQuestion, Leave, LeaveRefusal, LeaveRequest};
use crate::asking::Asking;
use crate::message::{Answer, Question};

/// Asks sources' Regions over the link.
pub(crate) struct Sources {
    pub(crate) asking: Arc<Asking>,
    pub(crate) deployment: Deployment,
}

/// Why a replica can't be given leave now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaveError {
    /// The source's Region says that there is nothing to follow any more.
    #[error("{0}")]
    Gone(String),
    /// It isn't heard, or the source isn't ready: try again.
    #[error("{0}")]
    NotNow(String),
}

impl From<LeaveRefusal> for LeaveError {
    fn from(refusal: LeaveRefusal) -> LeaveError {
        match refusal {
            LeaveRefusal::Gone(why) => LeaveError::Gone(why),
            LeaveRefusal::NotReady(why) => LeaveError::NotNow(why),
        }
    }
}

impl Sources {
    fn site(&self, region: Name) -> Result<SiteId, SourceError> {
        let site = self.deployment.id_of(region);
        site.ok_or_else(|| SourceError::NoSuchRegion(region.to_string()))
    }

    async fn ask(
        &self,
        region: Name,
        question: DatabaseQuestion,
    ) -> Result<DatabaseAnswer, SourceError> {
        let site = self.site(region)?;
        match self.asking.ask(site, Question::Database(question)).await {
            Ok(Answer::Database(answer)) => Ok(answer),
            // Another answer than was asked for says nothing.
            Ok(_) | Err(_) => Err(SourceError::Unreachable),
        }
    }

    /// Asks how far another member's head has received; `None`: there is no answer.
    pub(crate) async fn received(&self, region: Name, head: &ResourceId) -> Option<Lsn> {
        let site = self.site(region).ok()?;
        let head = head.clone();
        let question = Question::Database(DatabaseQuestion::Received { head });
        match self.asking.ask(site, question).await {
            Ok(Answer::Database(DatabaseAnswer::Received { received })) => received,
            Ok(_) | Err(_) => None,
        }
    }

    /// Asks for what a replica's server logs in with.
    pub(crate) async fn leave(&self, request: LeaveRequest) -> Result<Leave, LeaveError> {
        let region = request.source.region;
        let question = DatabaseQuestion::Leave { request };
        match self.ask(region, question).await {
            Ok(DatabaseAnswer::Leave { answer }) => answer.map_err(LeaveError::from),
            Ok(_) => Err(LeaveError::NotNow(SourceError::Unreachable.to_string())),
            Err(cause) => Err(LeaveError::NotNow(cause.to_string())),
        }
    }
}

impl SourceView for Sources {
    fn attach<'a>(&'a self, request: &'a AttachRequest) -> SourceAnswer<'a, SourceFacts> {
        Box::pin(async move {
            let question = DatabaseQuestion::Attach {
                request: request.clone(),
            };
            match self.ask(request.source.region, question).await? {
                DatabaseAnswer::Attach { answer } => answer.map_err(SourceError::Refused),
                _ => Err(SourceError::Unreachable),
            }
        })
    }

    fn detach<'a>(&'a self, farewell: &'a Farewell) -> SourceAnswer<'a, ()> {
        Box::pin(async move {
            let question = DatabaseQuestion::Detach {
                farewell: farewell.clone(),
            };
            match self.ask(farewell.source.region, question).await? {
                DatabaseAnswer::Detach { answer } => answer.map_err(SourceError::Refused),
                _ => Err(SourceError::Unreachable),
            }
        })
    }

    fn snapshot<'a>(&'a self, request: &'a CopyRequest) -> SourceAnswer<'a, Box<Snapshot>> {
        Box::pin(async move {
            let question = DatabaseQuestion::Copy {
                request: request.clone(),
            };
            match self.ask(request.source.region, question).await? {
                DatabaseAnswer::Copy { answer } => answer.map_err(SourceError::Refused),
                _ => Err(SourceError::Unreachable),
            }
        })
    }
}

/// May the Region `peer` ask that here? A peer speaks for replicas and copies of its own only, and
/// of what is in this Region and of the same account: for any account that it names, since Regions
/// of one deployment hold the same accounts and believe each other's front doors.
pub(crate) fn may_ask(peer: Name, here: Name, question: &DatabaseQuestion) -> bool {
    match question {
        DatabaseQuestion::Attach { request } => {
            let is_near = request.source.region == here && request.replica.region == peer;
            is_near && request.source.account == request.replica.account
        }
        DatabaseQuestion::Detach { farewell } => {
            let is_near = farewell.source.region == here && farewell.replica.region == peer;
            is_near && farewell.source.account == farewell.replica.account
        }
        // Whose replica it is stands in the source's row.
        DatabaseQuestion::Leave { request } => request.source.region == here,
        DatabaseQuestion::Copy { request } => {
            let is_near = request.source.region == here && request.copy.region == peer;
            is_near && request.source.account == request.copy.account
        }
        // Whose head it is stands in the global cluster's row.
        DatabaseQuestion::Received { .. } => true,
    }
}

/// What one who may not ask is answered.
pub(crate) fn refusal(question: &DatabaseQuestion) -> DatabaseAnswer {
    let why = "a Region speaks for its own replicas only".to_owned();
    match question {
        DatabaseQuestion::Attach { .. } => DatabaseAnswer::Attach {
            answer: Err(AttachRefusal::State(why)),
        },
        DatabaseQuestion::Detach { .. } => DatabaseAnswer::Detach {
            answer: Err(AttachRefusal::State(why)),
        },
        DatabaseQuestion::Received { .. } => DatabaseAnswer::Received { received: None },
        DatabaseQuestion::Leave { .. } => DatabaseAnswer::Leave {
            answer: Err(LeaveRefusal::Gone(why)),
        },
        DatabaseQuestion::Copy { .. } => DatabaseAnswer::Copy {
            answer: Err(AttachRefusal::State(why)),
        },
    }
}
