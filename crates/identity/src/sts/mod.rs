//! STS: temporary credentials, and who somebody is. It stores nothing: a session is its token, so
//! every Region gives them out and knows them, heard by a majority or not.

mod access_key_info;
mod assume_role;
mod caller_identity;
mod error;
mod operation_table;
mod parameters;
mod session_policy;
mod session_token;
mod tags;

use aws::access::{Access, Authorizer, Question};
use aws::query::{self, Form, Members, Reply, STS};
use aws::xml::XmlWriter;
use aws::{ServiceError, find, rest};
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::model::Milliseconds;
use crate::session::{Content, KEY_BYTES, Session};
use crate::{Call, NONCE_BYTES, Service, iam};
use error::StsError;

/// One request of STS while it is carried out.
struct Request<'a> {
    service: &'a Service,
    call: &'a Call,
    form: &'a Form,
}

impl<'a> Request<'a> {
    fn members(&self) -> Members<'a> {
        self.form.members()
    }

    /// The wall clock, in whole seconds: sessions begin and end with one.
    fn now(&self) -> Milliseconds {
        self.service.now().0 / 1_000 * 1_000
    }
}

/// Makes the credentials of a session, and writes them.
fn issue(service: &Service, content: Content, writer: &mut XmlWriter) {
    let (id, secret) = Session::key(content.account, &service.random::<KEY_BYTES>());
    let expires = content.expires;
    let session = Session { content, secret };
    let nonce = service.random::<NONCE_BYTES>();
    let token = session.seal(&service.config.sealer, &id, &nonce);
    writer
        .open("Credentials")
        .value("AccessKeyId", &id)
        .value("SecretAccessKey", session.secret.expose())
        .value("SessionToken", token)
        .value("Expiration", iam::time(expires))
        .close();
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
            .filter(|_| form.version() == Some(STS.version))
            .ok_or_else(|| query::unknown_operation(&form))?;
        let handler = row.handler.ok_or_else(|| rest::not_built(row.name))?;
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
