//! Events of buckets, posted to the addresses that the operator allowed. Nothing else is ever
//! called, no redirect is followed, and of an answer only its status is looked at.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use objects::notify::{PostError, Posting, TargetArn, Webhooks};

use crate::lab::{self, WebhookUrl};

/// How long a target may take to answer.
const POST_WAIT: Duration = Duration::from_secs(10);

/// Those of a site.
pub(super) struct AllowedWebhooks(pub(super) lab::Webhooks);

impl Webhooks for AllowedWebhooks {
    fn allows(&self, target: &TargetArn) -> bool {
        lab::address_of(&self.0, target).is_some()
    }

    fn post<'a>(&'a self, target: &'a TargetArn, body: Bytes) -> Posting<'a> {
        Box::pin(async move {
            let url = lab::address_of(&self.0, target);
            let url = url.ok_or_else(|| unreachable(&"no webhook is allowed for it"))?;
            let answer = post(url, body).await?;
            match answer {
                200..=299 => Ok(()),
                status => Err(PostError::Refused(status)),
            }
        })
    }
}

async fn post(url: &WebhookUrl, body: Bytes) -> Result<u16, PostError> {
    let request = Request::post(url.path())
        .header(HOST, url.authority())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "Causeway")
        .body(body);
    let request = request.map_err(|cause| unreachable(&cause))?;
    let (host, port) = (url.host(), url.port());
    let answer = runtime::request_host(host, port, request, POST_WAIT).await;
    let answer = answer.map_err(|cause| unreachable(&cause))?;
    Ok(answer.status().as_u16())
}

fn unreachable(cause: &dyn std::fmt::Display) -> PostError {
    PostError::Unreachable(cause.to_string())
}
