//! IAM's API: takes a request whose caller is known, asks whether the caller may, and carries its
//! operation out on the global configuration. What isn't understood is refused, and nothing done.

mod change;
mod description;
mod documents;
mod error;
mod holder;
mod ids;
mod limits;
mod lookup;
mod managed;
mod operation_table;
mod operations;
mod paging;
mod parameters;
mod policy_shapes;
mod questions;
mod request;
mod role_shapes;
mod service_linked;
mod shapes;
mod simulation;
mod tags;
mod trust;

use aws::ServiceError;
use aws::access::Authorizer;
use aws::query::{self, Form, IAM, Reply};
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::Service;
pub(crate) use error::IamError;
pub(crate) use ids::time;
pub(crate) use parameters::{check_length, constraint};
use request::IamRequest;

impl Service {
    /// Every operation of IAM's model, and whether it is built.
    pub fn iam_operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = operation_table::OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    /// Carries out the operation of IAM that a request asks for, if its caller may. Must be polled
    /// to its end: a change that was proposed may be made.
    pub async fn iam(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        match self.serve_iam(caller, parts, body).await {
            Ok(reply) => reply.finish(request_id),
            Err(error) => query::failure(request_id, &error),
        }
    }

    async fn serve_iam(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Reply, ServiceError> {
        let form = Form::of(&IAM, parts, body)?;
        let name = form.action()?;
        let row = aws::find(operation_table::OPERATIONS, name);
        let row = row.filter(|_| form.version() == Some(IAM.version));
        let row = row.ok_or_else(|| query::unknown_operation(&form))?;
        let handler = row.handler.ok_or_else(|| aws::rest::not_built(row.name))?;
        let view = self.view();
        let request = IamRequest::new(row, &form, caller, &*view);
        request.authorize()?;
        Ok(handler(self, &request).await?)
    }
}
