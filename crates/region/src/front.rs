//! The front door: a request as bytes in, a response as bytes out. It finds the service by the
//! signature's scope, verifies the signature, and hands the operation over with the judge of its
//! caller; it decides nothing itself. Every service takes such a judge, and only [`Region::admit`]
//! makes one: no operation is reached without a verified caller.

use std::pin::pin;
use std::sync::LazyLock;

use aws::json::{self, DYNAMODB, GLOBAL_ACCELERATOR};
use aws::query::{self, EC2, ELASTIC_LOAD_BALANCING, IAM, QueryService, RDS, STS};
use aws::signature::{Expected, Rules, SignatureError};
use aws::xml::{self, XmlErrors};
use aws::{ServiceError, rest, signature};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use identity::{Call, RequestContext};
use store::Engine;
use types::{Deployment, Span, Timestamp};

use crate::client::Client;
use crate::region::Region;
use crate::{accelerator, balancers, databases, network, route53};

/// The Regions that signatures for services without a home may name: any. AWS takes us-east-1
/// alone for most of them (AWS General Reference, "Service endpoints and quotas"), which SDKs know
/// of AWS's own endpoints; told another one, as by `AWS_ENDPOINT_URL`, they name the Region that
/// they work in.
static ANYWHERE: LazyLock<Vec<types::Region>> = LazyLock::new(|| types::Region::all().collect());

/// The Regions that signatures for STS may name at that Region: it, and those that the deployment
/// doesn't have, as some clients name us-east-1 wherever they work. Another Region of the
/// deployment is to be asked itself.
pub(crate) fn session_scopes(here: types::Region, deployment: &Deployment) -> Vec<types::Region> {
    let is_other = |region: &types::Region| {
        let mut regions = deployment.regions();
        *region != here && !regions.any(|(_, named)| named == *region)
    };
    // Its own first: it is the one that a refusal names.
    let others = types::Region::all().filter(is_other);
    std::iter::once(here).chain(others).collect()
}

/// The Region that conditions on `aws:RequestedRegion` see of such a service (IAM User Guide, "AWS
/// global condition context keys").
const GLOBAL_REGION: &str = "us-east-1";

/// How long the answer to a change of IAM waits for it to hold here. To adopt one takes
/// milliseconds; an answer that is held back says nothing of a change that was made. Ours.
const ADOPTION_WAIT: Span = Span::seconds(2);

/// The header that names an operation of a service that speaks JSON.
const TARGET: &str = "x-amz-target";

/// Which service a request is for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Addressee {
    Tables,
    Routing,
    Accelerators,
    LoadBalancing,
    Network,
    Databases,
    Iam,
    Sts,
    Objects,
    /// One that no room of this house serves.
    Other(String),
}

impl Addressee {
    /// By the scope of the signature; of a request that isn't signed, by its form, so that it is
    /// refused in words that its sender can read.
    fn of(parts: &Parts) -> Addressee {
        if let Some(scope) = signature::scope_of(parts) {
            return match scope.service.as_str() {
                "dynamodb" => Addressee::Tables,
                route53::SERVICE => Addressee::Routing,
                accelerator::SERVICE => Addressee::Accelerators,
                balancers::SERVICE => Addressee::LoadBalancing,
                network::SERVICE => Addressee::Network,
                databases::SERVICE => Addressee::Databases,
                "iam" => Addressee::Iam,
                "sts" => Addressee::Sts,
                "s3" => Addressee::Objects,
                _ => Addressee::Other(scope.service),
            };
        }
        let content_type = parts.headers.get(CONTENT_TYPE);
        let is_form = content_type.is_some_and(|value| {
            let value = value.as_bytes();
            value.starts_with(b"application/x-www-form-urlencoded")
        });
        match parts.uri.path() {
            _ if parts.headers.contains_key(TARGET) => {
                match json::operation(parts, &GLOBAL_ACCELERATOR).is_ok() {
                    true => Addressee::Accelerators,
                    false => Addressee::Tables,
                }
            }
            path if path.starts_with(route53::PATHS) => Addressee::Routing,
            // Whoever puts an object may send it as a form.
            "/" if is_form => Addressee::Sts,
            _ if crate::objects::is_addressed(parts) => Addressee::Objects,
            _ if parts.uri.query().is_some() => Addressee::Sts,
            _ => Addressee::Tables,
        }
    }
}

impl<E: Engine> Region<E> {
    /// Answers a request from that client. Must be polled to its end: a write that was begun is
    /// carried out.
    pub async fn handle(&self, client: Client, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if is_health_check(&parts) {
            return self.healthy();
        }
        let request_id = self.request_id();
        let letter = Letter {
            client,
            parts: &parts,
            body: &body,
            request_id: &request_id,
        };
        match Addressee::of(&parts) {
            Addressee::Tables => match self.serve_tables(&letter).await {
                Ok(answer) => json::success(&DYNAMODB, &request_id, answer),
                Err(error) => json::failure(&DYNAMODB, &request_id, &error),
            },
            Addressee::Routing => self.serve_routing(&letter).await,
            Addressee::Accelerators => match self.serve_accelerators(&letter).await {
                Ok(answer) => json::success(&GLOBAL_ACCELERATOR, &request_id, answer),
                Err(error) => json::failure(&GLOBAL_ACCELERATOR, &request_id, &error),
            },
            Addressee::LoadBalancing => self.serve_regional(&letter, &ELASTIC_LOAD_BALANCING).await,
            Addressee::Network => self.serve_regional(&letter, &EC2).await,
            Addressee::Databases => self.serve_regional(&letter, &RDS).await,
            Addressee::Iam => self.serve_identity(&letter, &IAM).await,
            Addressee::Sts => self.serve_identity(&letter, &STS).await,
            Addressee::Objects => {
                let request = Request::from_parts(parts, body);
                // Boxed, so that it doesn't make every other request's future as large.
                Box::pin(self.handle_whole(client, request)).await
            }
            Addressee::Other(service) => service_not_built(&service, &parts, &request_id),
        }
    }

    async fn serve_tables(&self, letter: &Letter<'_>) -> Result<Bytes, ServiceError> {
        let Letter { parts, body, .. } = *letter;
        if body.len() as u64 > DYNAMODB.request_limit.0 {
            return Err(json::request_too_large(&DYNAMODB));
        }
        let operation = json::operation(parts, &DYNAMODB)?;
        let expected = Expected {
            service: DYNAMODB.service,
            regions: &[self.name],
            rules: Rules::JSON,
        };
        let call = self.admit(letter, &expected, self.name.name())?;
        self.tables.execute(&call, operation, body).await
    }

    async fn serve_accelerators(&self, letter: &Letter<'_>) -> Result<Bytes, ServiceError> {
        let Letter { parts, body, .. } = *letter;
        if body.len() as u64 > GLOBAL_ACCELERATOR.request_limit.0 {
            return Err(json::request_too_large(&GLOBAL_ACCELERATOR));
        }
        let operation = json::operation(parts, &GLOBAL_ACCELERATOR)?;
        let expected = Expected {
            service: accelerator::SERVICE,
            regions: &ANYWHERE,
            rules: Rules::JSON,
        };
        let call = self.admit(letter, &expected, accelerator::REGION)?;
        self.accelerators.execute(&call, operation, body).await
    }

    async fn serve_routing(&self, letter: &Letter<'_>) -> Response<Bytes> {
        let expected = Expected {
            service: route53::SERVICE,
            regions: &ANYWHERE,
            rules: Rules::REST,
        };
        let Letter {
            parts,
            body,
            request_id,
            ..
        } = *letter;
        match self.admit(letter, &expected, GLOBAL_REGION) {
            Ok(call) => self.routing.execute(&call, parts, body, request_id).await,
            Err(refused) => rest::failure(request_id, &refused.in_xml()),
        }
    }

    /// Elastic Load Balancing, EC2 and RDS, whose settings are their Region's alone.
    async fn serve_regional(&self, letter: &Letter<'_>, service: &QueryService) -> Response<Bytes> {
        let expected = Expected {
            service: service.service,
            regions: &[self.name],
            rules: Rules::QUERY,
        };
        let Letter {
            parts,
            body,
            request_id,
            ..
        } = *letter;
        let is_network = *service == EC2;
        match self.admit(letter, &expected, self.name.name()) {
            Ok(call) if is_network => {
                self.own
                    .network
                    .execute(&call, parts, body, request_id)
                    .await
            }
            Ok(call) if *service == RDS => {
                let databases = &self.own.databases.service;
                databases.execute(&call, parts, body, request_id).await
            }
            Ok(call) => {
                let answer = self
                    .own
                    .load_balancing
                    .execute(&call, parts, body, request_id);
                answer.await
            }
            Err(refused) if is_network => {
                xml::failure(XmlErrors::Listed, request_id, &refused.in_xml())
            }
            Err(refused) => query::failure(request_id, &refused.in_xml()),
        }
    }

    /// IAM and STS.
    async fn serve_identity(&self, letter: &Letter<'_>, service: &QueryService) -> Response<Bytes> {
        let is_iam = *service == IAM;
        let expected = Expected {
            service: service.service,
            regions: match is_iam {
                true => &ANYWHERE,
                false => &self.session_scopes,
            },
            rules: Rules::QUERY,
        };
        let region = match is_iam {
            true => GLOBAL_REGION,
            false => self.name.name(),
        };
        let Letter {
            parts,
            body,
            request_id,
            ..
        } = *letter;
        match self.admit(letter, &expected, region) {
            Ok(call) if is_iam => {
                let before = self.council.settings().revision();
                let answer = self.directory.iam(&call, parts, body, request_id).await;
                // Whoever was told of a key may use it here at once.
                let after = self.council.settings().revision();
                if after != before {
                    let end = self.environment.now().monotonic + ADOPTION_WAIT;
                    let end = self.environment.sleep_until(end);
                    let adopted = pin!(self.standing.adopted(after));
                    futures_util::future::select(adopted, end).await;
                }
                answer
            }
            Ok(call) => self.directory.sts(&call, parts, body, request_id).await,
            Err(refused) => query::failure(request_id, &refused.in_xml()),
        }
    }

    /// Who signed the request, and what is known of it: the judge of whatever it asks for. There
    /// is no other way to one.
    fn admit(
        &self,
        letter: &Letter<'_>,
        expected: &Expected<'_>,
        region: &str,
    ) -> Result<Call, SignatureError> {
        let identity = self.identity();
        let now = self.environment.now().wall;
        let keys = identity.keys(now);
        let Letter { parts, body, .. } = *letter;
        let verified = self.verifier.verify(parts, body, expected, now, &keys)?;
        let caller = identity.caller(&verified, now)?;
        let context = context(letter.client, parts, region, now);
        Ok(Call::new(identity, caller, context))
    }

    fn healthy(&self) -> Response<Bytes> {
        let body = format!("healthy: dynamodb.{}.amazonaws.com ", self.name);
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::OK;
        response
    }

    fn request_id(&self) -> String {
        let mut random = [0; json::REQUEST_ID_BYTES];
        for chunk in random.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.environment.random().to_be_bytes());
        }
        json::request_id(random)
    }
}

/// A request on its way to its service.
#[derive(Clone, Copy)]
struct Letter<'a> {
    client: Client,
    parts: &'a Parts,
    body: &'a Bytes,
    request_id: &'a str,
}

/// What is known of a request beside who made it.
pub(crate) fn context(
    client: Client,
    parts: &Parts,
    region: &str,
    now: Timestamp,
) -> RequestContext {
    RequestContext {
        source_ip: Some(client.address),
        secure_transport: client.is_secure,
        user_agent: header(parts, &USER_AGENT),
        referer: header(parts, &REFERER),
        region: region.to_owned(),
        now,
    }
}

/// Is the request with that head for S3?
pub(crate) fn is_for_objects(parts: &Parts) -> bool {
    // DynamoDB's are the most, and needn't be looked at twice.
    !parts.headers.contains_key(TARGET)
        && Addressee::of(parts) == Addressee::Objects
        && !is_health_check(parts)
}

/// The text of a header; of several, or of one that is no text, none.
fn header(parts: &Parts, name: &HeaderName) -> Option<String> {
    let mut values = parts.headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::to_owned)
}

/// What DynamoDB's endpoints answer without a signature: `GET /` alone.
fn is_health_check(parts: &Parts) -> bool {
    parts.method == Method::GET
        && parts.uri.path() == "/"
        && parts.uri.query().is_none()
        && !parts.headers.contains_key(AUTHORIZATION)
}

/// A service of AWS that no room of this house serves yet, in words that its clients can read.
fn service_not_built(service: &str, parts: &Parts, request_id: &str) -> Response<Bytes> {
    let error = json::not_built(&format!("The service '{service}'"));
    match XmlErrors::of(service, parts) {
        Some(shape) => xml::failure(shape, request_id, &error),
        None => json::failure(&DYNAMODB, request_id, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressee(request: http::request::Builder) -> Addressee {
        Addressee::of(&request.body(()).unwrap().into_parts().0)
    }

    fn signed(service: &str) -> Addressee {
        let credential = format!("AKIA/20260101/us-east-1/{service}/aws4_request");
        let header = format!("AWS4-HMAC-SHA256 Credential={credential}, Signature=0");
        addressee(Request::post("/").header("authorization", header))
    }

    #[test]
    fn a_signed_request_goes_where_its_scope_says() {
        assert_eq!(signed("dynamodb"), Addressee::Tables);
        assert_eq!(signed("route53"), Addressee::Routing);
        assert_eq!(signed("globalaccelerator"), Addressee::Accelerators);
        assert_eq!(signed("iam"), Addressee::Iam);
        assert_eq!(signed("sts"), Addressee::Sts);
        assert_eq!(signed("s3"), Addressee::Objects);
        assert_eq!(signed("elasticloadbalancing"), Addressee::LoadBalancing);
        assert_eq!(signed("ec2"), Addressee::Network);
        assert_eq!(signed("rds"), Addressee::Databases);
        assert_eq!(signed("sqs"), Addressee::Other("sqs".to_owned()));
        let query = "/?X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fsts%2Faws4_request";
        assert_eq!(addressee(Request::get(query)), Addressee::Sts);
    }

    #[test]
    fn sts_is_asked_in_its_own_region_s_name_or_one_that_the_deployment_lacks() {
        let site = |id, name: &str| types::Site {
            id: types::SiteId(id),
            name: types::SiteName::Region(name.parse().unwrap()),
            place: name.parse().unwrap(),
        };
        let sites = vec![site(1, "us-east-1"), site(2, "eu-west-1")];
        let here = "eu-west-1".parse().unwrap();
        let scopes = session_scopes(here, &Deployment { sites });
        assert_eq!(scopes[0], here);
        assert!(!scopes.contains(&"us-east-1".parse().unwrap()));
        assert!(scopes.contains(&"sa-east-1".parse().unwrap()));
        assert_eq!(scopes.len(), types::Region::all().count() - 1);
    }

    #[test]
    fn an_unsigned_request_is_refused_by_the_service_whose_form_it_has() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let form = Request::post("/").header("content-type", form);
        assert_eq!(addressee(form), Addressee::Sts);
        assert_eq!(addressee(Request::get("/?Action=A")), Addressee::Sts);
        let zones = Request::get("/2013-04-01/hostedzone");
        assert_eq!(addressee(zones), Addressee::Routing);
        assert_eq!(addressee(Request::post("/")), Addressee::Tables);
        assert_eq!(addressee(Request::get("/bucket/key")), Addressee::Objects);
        let put = "application/x-www-form-urlencoded";
        let put = Request::put("/bucket/key").header("content-type", put);
        assert_eq!(addressee(put), Addressee::Objects);
        let hosted = Request::get("/").header("host", "bucket.s3.localhost");
        assert_eq!(addressee(hosted), Addressee::Objects);
        let target = Request::post("/x").header("x-amz-target", "DynamoDB_20120810.PutItem");
        assert_eq!(addressee(target), Addressee::Tables);
        let target = "GlobalAccelerator_V20180706.ListAccelerators";
        let target = Request::post("/").header("x-amz-target", target);
        assert_eq!(addressee(target), Addressee::Accelerators);
    }

    #[test]
    fn only_a_bare_get_asks_for_health() {
        let is_check = |request: http::request::Builder| {
            is_health_check(&request.body(()).unwrap().into_parts().0)
        };
        assert!(is_check(Request::get("/")));
        assert!(!is_check(Request::get("/?X-Amz-Algorithm=a")));
        assert!(!is_check(Request::post("/")));
        assert!(!is_check(Request::get("/").header("authorization", "a")));
    }

    #[test]
    fn a_header_is_told_if_it_is_one_text() {
        let of = |request: http::request::Builder| {
            header(&request.body(()).unwrap().into_parts().0, &REFERER)
        };
        assert_eq!(of(Request::get("/")), None);
        assert_eq!(
            of(Request::get("/").header("referer", "a")).as_deref(),
            Some("a")
        );
        let twice = Request::get("/")
            .header("referer", "a")
            .header("referer", "b");
        assert_eq!(of(twice), None);
    }
}
