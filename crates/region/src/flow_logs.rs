//! Flow logs of accelerators, as the Region of their bucket takes them: it asks the bucket's policy
//! each time, and writes. What is of another Region's bucket is passed on to that one, once. It
//! gathers no record.

use std::sync::Arc;

use accelerator::{LogAnswer, LogBuckets, LogRefusal};
use aws::access::Question;
use bytes::Bytes;
use objects::{Bucket, BucketName, ObjectError, ObjectKey, Objects};
use steering::{LogOutcome, LogRequest, LogWanted, Steering};
use store::Engine;
use types::{AccountId, Deployment, Environment};

use crate::log_files;
use crate::region::Region;
use crate::standing::Standing;

/// Who delivers, as buckets' policies name it (Global Accelerator Developer Guide, "Amazon S3
/// bucket permissions for flow logs").
const PRINCIPAL: &str = "delivery.logs.amazonaws.com";

/// What the delivery gives the bucket's owner, as policies ask for it (the same).
const ACL: &str = "bucket-owner-full-control";

/// Requests that are carried out at a time.
pub(crate) const WORKERS: usize = 4;

/// Delivers logs into the buckets of a Region.
pub(crate) struct LogDelivery<E: Engine> {
    pub(crate) region: types::Region,
    pub(crate) deployment: Deployment,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) objects: Arc<Objects<E>>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) steering: Arc<Steering<E>>,
}

impl<E: Engine> LogDelivery<E> {
    /// Does what is asked, here or where the bucket is. `relayed`: it was passed on already. Poll
    /// it to its end.
    async fn carry_out(&self, request: LogRequest, relayed: bool) -> LogOutcome {
        let Ok(name) = request.bucket.parse::<BucketName>() else {
            return LogOutcome::NoBucket;
        };
        let entry = match self.objects.entry(&name) {
            Ok(Some((_, entry))) => entry,
            Ok(None) => return LogOutcome::NoBucket,
            Err(error) => return failed(&name, &error),
        };
        if entry.region == self.region {
            return self.carry_out_here(&name, request).await;
        }
        let home = self.deployment.id_of(entry.region);
        let Some(home) = home.filter(|_| !relayed) else {
            return LogOutcome::Unreachable;
        };
        let asked = self.steering.ask_log(home, true, request).await;
        asked.unwrap_or(LogOutcome::Unreachable)
    }

    async fn carry_out_here(&self, name: &BucketName, request: LogRequest) -> LogOutcome {
        let bucket = match self.objects.bucket(name) {
            Ok(bucket) => bucket,
            Err(ObjectError::NoSuchBucket) => return LogOutcome::NoBucket,
            Err(error) => return failed(name, &error),
        };
        let account = request.account;
        let may = |action: &str, resource: String| self.may(&bucket, account, action, resource);
        let arn = name.arn();
        match request.wanted {
            LogWanted::May { directory } => {
                // Any key of the directory stands for all: the policy is asked again of each.
                let writes = may("s3:PutObject", format!("{arn}/{directory}log"));
                match writes && may("s3:GetBucketAcl", arn) {
                    true => LogOutcome::Done,
                    false => LogOutcome::Denied,
                }
            }
            LogWanted::Put { key, file } => {
                if !may("s3:PutObject", format!("{arn}/{key}")) {
                    return LogOutcome::Denied;
                }
                self.put(&bucket, &key, file).await
            }
        }
    }

    /// Does the bucket's policy let the delivery do that for that account?
    fn may(&self, bucket: &Bucket, account: AccountId, action: &str, resource: String) -> bool {
        let question = Question {
            policy: bucket.settings.policy.as_deref(),
            ..Question::new(action, resource, bucket.entry.owner)
        };
        let source = format!("arn:aws:logs:us-west-2:{account}:delivery-source:globalaccelerator");
        let question = question
            .key("s3:x-amz-acl", ACL)
            .key("aws:SourceAccount", account.to_string())
            .key("aws:SourceArn", source);
        let now = self.environment.now().wall;
        let identity = self.standing.identity();
        identity.allows_service(PRINCIPAL, &question, now)
    }

    /// Puts the file, unless it is there: what wasn't answered in time is asked again.
    async fn put(&self, bucket: &Bucket, key: &str, file: Bytes) -> LogOutcome {
        let Ok(key) = key.parse::<ObjectKey>() else {
            return LogOutcome::Failed;
        };
        let length = file.len() as u64;
        let there = self.objects.find(bucket, &key, None).await;
        let there = there.is_ok_and(|found| found.object().is_some_and(|it| it.size == length));
        if there {
            return LogOutcome::Done;
        }
        match log_files::put(&self.objects, bucket, &key, file, PRINCIPAL).await {
            Ok(()) => LogOutcome::Done,
            Err(cause) => failed(&bucket.name, &cause),
        }
    }
}

fn failed(bucket: &BucketName, cause: &dyn std::fmt::Display) -> LogOutcome {
    tracing::warn!(%bucket, %cause, "a flow log isn't delivered");
    LogOutcome::Failed
}

impl<E: Engine> LogBuckets for LogDelivery<E> {
    fn may_deliver<'a>(
        &'a self,
        account: AccountId,
        bucket: &'a str,
        directory: &'a str,
    ) -> LogAnswer<'a> {
        let request = LogRequest {
            account,
            bucket: bucket.to_owned(),
            wanted: LogWanted::May {
                directory: directory.to_owned(),
            },
        };
        Box::pin(async move {
            match self.carry_out(request, false).await {
                LogOutcome::Done => Ok(()),
                LogOutcome::NoBucket => Err(LogRefusal::NoBucket),
                LogOutcome::Denied => Err(LogRefusal::Denied),
                LogOutcome::Unreachable | LogOutcome::Failed => Err(LogRefusal::Unreachable),
            }
        })
    }
}

impl<E: Engine> Region<E> {
    /// Carries out what edges and other Regions ask of flow logs, one after the other;
    /// [`WORKERS`] of these run.
    pub(crate) async fn deliver_flow_logs(self: Arc<Self>) {
        loop {
            let asked = self.steering.next_log().await;
            let request = asked.request.clone();
            let outcome = self.log_delivery.carry_out(request, asked.relayed).await;
            self.steering.answer_log(&asked, outcome);
        }
    }
}
