//! STS: temporary credentials, and who somebody is. It stores nothing: a session is its token, so
//! every Region gives them out and knows them, heard by a majority or not.

mod access_key_info;
mod caller_identity;
mod error;
mod operation_table;

use aws::access::{Access, Authorizer, Question};
use aws::query::{self, Form, Reply, STS};
use aws::{ServiceError, find, json};
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::{Call, Service};
use error::StsError;

/// One request of STS while it is carried out.
struct Request<'a> {
    service: &'a Service,
    call: &'a Call,
    form: &'a Form,
}

/// What carries an operation out.
type Handler = fn(&Request<'_>) -> Result<Reply, StsError>;

/// What an action of STS is done to, where policies say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    /// Nothing in particular: `*`.
    Everything,
    /// The role of `RoleArn`: judged with the role's trust policy where the role is read.
    Role,
}

impl Service {
    /// Every operation of STS's model, and whether it is built.
    pub fn sts_operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = operation_table::OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    /// Carries out the operation of STS that a request asks for, if its caller may.
    pub async fn sts(
        &self,
        call: &Call,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        match self.serve_sts(call, parts, body) {
            Ok(reply) => reply.finish(request_id),
            Err(error) => query::failure(request_id, &error),
        }
    }

    fn serve_sts(&self, call: &Call, parts: &Parts, body: &Bytes) -> Result<Reply, ServiceError> {
        let form = Form::of(&STS, parts, body)?;
        let action = form.action()?;
        let row = find(operation_table::OPERATIONS, action)
            .filter(|_| form.version().is_none_or(|version| version == STS.version))
            .ok_or_else(|| query::unknown_operation(&form))?;
        let handler = row.handler.ok_or_else(|| json::not_built(row.name))?;
        if let Access::Judged {
            action,
            resources: Subject::Everything,
        } = row.access
        {
            let question = Question::new(action, "*", call.caller().account());
            call.authorize(&question).map_err(StsError::from)?;
        }
        let request = Request {
            service: self,
            call,
            form: &form,
        };
        Ok(handler(&request)?)
    }
}
