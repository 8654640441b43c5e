//! Batch replication as S3 Control has it: jobs are made, told of and stopped, and their only
//! operation is `S3ReplicateObject`. A request is one of S3 Control if it names an account and its
//! path has that API's version; whatever else that API has is refused by name.

mod read;
mod write;

use aws::access::{Authorizer, Question};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use objects::Objects;
use objects::replication::{JobId, JobStatus};
use store::Engine;
use types::AccountId;

use crate::answer;
use crate::body::Payload;
use crate::digest::Digests;
use crate::error::Fault;
use crate::operations::bucket_replication::role_account;
use crate::query::Query;
use crate::service::Body;

/// What paths of S3 Control begin with (service model `s3control`).
const PATH: &str = "/v20180820/";

/// Names the account that a request is for.
const ACCOUNT: &str = "x-amz-account-id";

/// As whom jobs act.
const PASSED_TO: &str = "batchoperations.s3.amazonaws.com";

/// The statuses of the jobs that are asked for, one a parameter.
const STATUSES: &str = "jobStatuses";

/// Jobs in one answer, at most (service model, `MaxResults`).
const MAX_RESULTS: usize = 1_000;

/// A request and its caller's judge; none: nobody signed it.
pub(crate) struct Asked<'a> {
    judge: Option<&'a dyn Authorizer>,
    parts: &'a Parts,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(judge: Option<&'a dyn Authorizer>, parts: &'a Parts) -> Asked<'a> {
        Asked { judge, parts }
    }
}

/// What is asked for.
enum Wish {
    Create,
    List,
    Describe(JobId),
    Update(JobId),
}

impl Wish {
    /// The action that its caller must be allowed, and the job that it is about.
    fn asks(&self) -> (&'static str, Option<JobId>) {
        match self {
            Wish::Create => ("s3:CreateJob", None),
            Wish::List => ("s3:ListJobs", None),
            Wish::Describe(id) => ("s3:DescribeJob", Some(*id)),
            Wish::Update(id) => ("s3:UpdateJobStatus", Some(*id)),
        }
    }
}

/// Is it a request of S3 Control?
pub(crate) fn is_control(parts: &Parts) -> bool {
    parts.uri.path().starts_with(PATH) && parts.headers.contains_key(ACCOUNT)
}

/// Answers a request of S3 Control.
///
/// # Errors
///
/// The API's own, and S3's of a body that isn't what was signed.
pub(crate) async fn answer<E: Engine>(
    objects: &Objects<E>,
    asked: Asked<'_>,
    payload: Payload,
) -> Result<Response<Body>, Fault> {
    let judge = asked.judge.ok_or_else(|| Fault::denied("Access Denied"))?;
    let named = asked.parts.headers.get(ACCOUNT);
    let named = named.and_then(|value| value.to_str().ok());
    let named = named.and_then(|text| text.parse::<AccountId>().ok());
    if named != Some(judge.account()) {
        return Err(Fault::denied("Access Denied"));
    }
    let (query, _) = Query::with_list(asked.parts, Some(STATUSES))?;
    let wish = wish(asked.parts)?;
    let (action, about) = wish.asks();
    may(objects, judge, action, about)?;
    // Nobody's document is held who may not have one read.
    let digests = Digests::of(&asked.parts.headers)?;
    let document = payload.document(&digests).await?;
    let body = match wish {
        Wish::Create => create(objects, judge, &document).await?,
        Wish::List => list(objects, judge.account(), &query).await?,
        Wish::Describe(id) => {
            let job = objects.job(judge.account(), id).await.map_err(not_found)?;
            write::describe(&job, arn(objects, judge, id))
        }
        Wish::Update(id) => update(objects, judge.account(), id, &query).await?,
    };
    let mut response = Response::new(answer::full(body));
    let xml = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, xml);
    Ok(response)
}

fn wish(parts: &Parts) -> Result<Wish, Fault> {
    let path = parts.uri.path().strip_prefix(PATH).unwrap_or_default();
    let steps: Vec<&str> = path.split('/').collect();
    let id = |text: &str| text.parse::<JobId>().map_err(|_| no_such_job());
    match (&parts.method, &steps[..]) {
        (&Method::POST, ["jobs"]) => Ok(Wish::Create),
        (&Method::GET, ["jobs"]) => Ok(Wish::List),
        (&Method::GET, ["jobs", job]) => Ok(Wish::Describe(id(job)?)),
        (&Method::POST, ["jobs", job, "status"]) => Ok(Wish::Update(id(job)?)),
        (method, _) => Err(Fault::not_built(&format!(
            "The operation of S3 Control at {method} {PATH}{path}"
        ))),
    }
}

async fn create<E: Engine>(
    objects: &Objects<E>,
    judge: &dyn Authorizer,
    document: &Bytes,
) -> Result<Bytes, Fault> {
    let mut new = read::job(document)?;
    // A role is its own account's to pass: not the caller's, if that is another.
    let account = role_account(&new.role)
        .ok_or_else(|| Fault::bad("InvalidRequest", "The job's RoleArn is no role's"))?;
    let question = Question::new("iam:PassRole", new.role.clone(), account);
    let question = question.key("iam:PassedToService", PASSED_TO);
    judge.authorize(&question)?;
    let bucket = objects.job_source(&new).await?;
    if bucket.entry.owner != judge.account() {
        return Err(Fault::denied("Access Denied"));
    }
    new.bucket = Some(bucket.name);
    let job = objects.create_job(new).await?;
    Ok(write::created(&job))
}

async fn list<E: Engine>(
    objects: &Objects<E>,
    account: AccountId,
    query: &Query,
) -> Result<Bytes, Fault> {
    let most = match query.get("maxResults") {
        None => MAX_RESULTS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|most| (1..=MAX_RESULTS).contains(most))
            .ok_or_else(|| Fault::bad("InvalidRequest", "MaxResults is out of its range"))?,
    };
    let wanted: Vec<&str> = query.all(STATUSES).collect();
    let after =
        match query.get("nextToken") {
            None => None,
            Some(token) => Some(token.parse::<JobId>().map_err(|_| {
                Fault::bad("InvalidNextToken", "The token is none that was given out")
            })?),
        };
    let mut jobs = objects.jobs(account).await?;
    // Newest first, as S3 has them.
    jobs.reverse();
    let start = match after {
        None => 0,
        Some(id) => jobs
            .iter()
            .position(|job| job.id == id)
            .map_or(0, |at| at + 1),
    };
    let of_status = |status: JobStatus| {
        let name = format!("{status:?}");
        wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name)
    };
    let chosen = jobs[start..].iter().filter(|job| of_status(job.status));
    let mut chosen: Vec<_> = chosen.take(most + 1).collect();
    let more = chosen.len() > most;
    chosen.truncate(most);
    let next = chosen.last().filter(|_| more).map(|job| job.id);
    Ok(write::list(&chosen, next))
}

async fn update<E: Engine>(
    objects: &Objects<E>,
    account: AccountId,
    id: JobId,
    query: &Query,
) -> Result<Bytes, Fault> {
    let job = match query.get("requestedJobStatus") {
        Some("Cancelled") => objects.cancel_job(account, id).await,
        Some("Ready") => objects.confirm_job(account, id).await,
        _ => {
            return Err(Fault::bad(
                "BadRequestException",
                "A job can become Ready or Cancelled",
            ));
        }
    };
    Ok(write::updated(&job.map_err(not_found)?))
}

fn may<E: Engine>(
    objects: &Objects<E>,
    judge: &dyn Authorizer,
    action: &'static str,
    id: Option<JobId>,
) -> Result<(), Fault> {
    let resource = id.map_or_else(|| "*".to_owned(), |id| arn(objects, judge, id));
    let question = Question::new(action, resource, judge.account());
    Ok(judge.authorize(&question)?)
}

fn arn<E: Engine>(objects: &Objects<E>, judge: &dyn Authorizer, id: JobId) -> String {
    let region = objects.config().region;
    format!("arn:aws:s3:{region}:{}:job/{id}", judge.account())
}

fn no_such_job() -> Fault {
    Fault::new(
        http::StatusCode::NOT_FOUND,
        "NoSuchJob",
        "The specified job does not exist.",
    )
}

fn not_found(error: objects::ObjectError) -> Fault {
    match error.code().0 {
        "NoSuchJob" => no_such_job(),
        _ => error.into(),
    }
}
