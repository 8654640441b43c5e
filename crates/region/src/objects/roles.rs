//! The roles that replication acts as: judged by what IAM says now, in this Region's last known
//! state of it. Nothing is remembered of an earlier answer.

use std::sync::Arc;

use aws::access::Authorizer;
use objects::{RoleRefusal, Roles};
use types::{Environment, Region};

use crate::standing::Standing;

/// Who assumes them, as trust policies name it (S3 User Guide, "Setting up permissions for live
/// replication").
const SERVICE: &str = "s3.amazonaws.com";

/// Who assumes those of batch jobs (S3 User Guide, "Granting permissions for Batch Operations").
const JOBS: &str = "batchoperations.s3.amazonaws.com";

/// The session's name, as S3's own has it in logs.
const SESSION: &str = "s3-replication";

/// Roles as this Region's identity has them.
pub(crate) struct RolesOf {
    pub(crate) standing: Arc<Standing>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) region: Region,
}

impl Roles for RolesOf {
    fn assume(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        self.assume_as(SERVICE, role)
    }

    fn assume_for_jobs(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        self.assume_as(JOBS, role)
    }
}

impl RolesOf {
    fn assume_as(&self, service: &str, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        let now = self.environment.now().wall;
        let identity = self.standing.identity();
        let region = self.region.name();
        let assumed = identity.assume_for_service(service, role, SESSION, region, now);
        match assumed {
            Ok(call) => Ok(Box::new(call)),
            Err(refusal) => Err(RoleRefusal(refusal.to_string())),
        }
    }
}
