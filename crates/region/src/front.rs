//! The front door: a request as bytes in, a response as bytes out. It finds the service, verifies
//! the signature, and hands the operation over; it decides nothing itself.

use std::sync::Arc;

use aws::access::Owner;
use aws::json::{self, DYNAMODB};
use aws::signature::{Expected, Rules, SignatureError};
use aws::xml::{self, XmlErrors};
use aws::{ServiceError, signature};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use identity::{Identity, Principal};
use store::Engine;

use crate::client::Client;
use crate::region::Region;

impl<E: Engine> Region<E> {
    /// Answers a request. Must be polled to its end: a write that was begun is carried out.
    pub async fn handle(&self, client: Client, request: Request<Bytes>) -> Response<Bytes> {
        let _ = client;
        let (parts, body) = request.into_parts();
        if parts.method == Method::GET && parts.uri.path() == "/" && !is_signed(&parts) {
            return self.healthy();
        }
        let request_id = self.request_id();
        if crate::route53::is_addressed(&parts) {
            return self.route(&parts, &body, &request_id).await;
        }
        if let Some(scope) = signature::scope_of(&parts)
            && scope.service != DYNAMODB.service
        {
            return service_not_built(&scope.service, &parts, &request_id);
        }
        match self.serve(&parts, &body).await {
            Ok(answer) => json::success(&DYNAMODB, &request_id, answer),
            Err(error) => json::failure(&DYNAMODB, &request_id, &error),
        }
    }

    async fn serve(&self, parts: &Parts, body: &Bytes) -> Result<Bytes, ServiceError> {
        if body.len() as u64 > DYNAMODB.request_limit.0 {
            return Err(json::request_too_large(&DYNAMODB));
        }
        let operation = json::operation(parts, &DYNAMODB)?;
        let caller = self.authenticate(parts, body)?;
        self.tables.execute(&caller, operation, body).await
    }

    /// Who calls? Everyone accepted so far is the account's root and may do everything.
    fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<Owner, ServiceError> {
        let expected = Expected {
            service: DYNAMODB.service,
            regions: &[self.name],
            rules: Rules::JSON,
        };
        Ok(self.admit(parts, body, &expected)?)
    }

    /// Who signed the request?
    pub(crate) fn admit(
        &self,
        parts: &Parts,
        body: &[u8],
        expected: &Expected<'_>,
    ) -> Result<Owner, SignatureError> {
        let identity = self.identity();
        let now = self.environment.now().wall;
        let verified = self
            .verifier
            .verify(parts, body, expected, now, &identity.keys(now))?;
        let caller = identity.caller(&verified, now)?;
        // Nobody but the root is judged by what nothing here evaluates yet.
        match caller.principal() {
            Principal::Root => Ok(Owner::new(caller.account(), self.name.name())),
            _ => Err(SignatureError::UnknownKey),
        }
    }

    /// The identity in effect.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.identity.read().expect("nothing panics inside").clone()
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

fn is_signed(parts: &Parts) -> bool {
    parts.headers.contains_key(http::header::AUTHORIZATION)
}

/// A service of AWS that no room of this house serves yet, in words that its clients can read.
fn service_not_built(service: &str, parts: &Parts, request_id: &str) -> Response<Bytes> {
    let error = json::not_built(&format!("The service '{service}'"));
    match XmlErrors::of(service, parts) {
        Some(shape) => xml::failure(shape, request_id, &error),
        None => json::failure(&DYNAMODB, request_id, &error),
    }
}
