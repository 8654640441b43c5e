//! The part of EC2's API that one Region has: takes a request whose signature was verified, and
//! carries its operation out on the Region's own configuration. It owns no socket and no clock.

use std::sync::Arc;

use async_lock::Mutex;
use aws::ServiceError;
use aws::access::Authorizer;
use aws::query::{self, EC2, Form};
use aws::xml::{self, XmlErrors};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response};
use types::{Configuration, ConfigurationEdit, ConfigurationView, Deployment, Environment, Region};

use crate::described::Members;
use crate::error::Ec2Error;
use crate::operation_table::{self, Row};
use crate::request::{Ec2Request, document};
use crate::surroundings::Surroundings;

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// Its Region.
    pub region: Region,
    /// All sites: which Regions there are.
    pub deployment: Deployment,
    /// The randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The Region's own configuration.
    pub configuration: Arc<dyn Configuration>,
    /// What else is in the Region.
    pub surroundings: Arc<dyn Surroundings>,
}

/// What an attempt of a change comes to: the edits that it asks for, and what it says beside them.
pub(crate) type Attempt<T> = Result<(Vec<ConfigurationEdit>, T), Ec2Error>;

/// EC2's part of one Region.
pub struct Service {
    pub(crate) config: ServiceConfig,
    /// Changes wait for each other here, rather than fail each other's proposals.
    changing: Mutex<()>,
}

impl Service {
    /// The service with that configuration.
    pub fn new(config: ServiceConfig) -> Service {
        Service {
            config,
            changing: Mutex::new(()),
        }
    }

    /// Every operation of EC2's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        operation_table::names().map(|name| (name, operation_table::find(name).is_some()))
    }

    /// Carries out the operation that a request asks for, if its caller may. Must be polled to its
    /// end: a change that was proposed may be made.
    pub async fn execute(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        let mut response = match self.serve(caller, parts, body).await {
            Ok((row, answer)) => Response::new(document(row, request_id, &answer)),
            Err(error) => xml::failure(XmlErrors::Listed, request_id, &error),
        };
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/xml;charset=UTF-8"),
        );
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        response
    }

    async fn serve(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<(&'static Row, Members), ServiceError> {
        let form = Form::of(&EC2, parts, body)?;
        let name = form.action()?;
        let known = operation_table::names().find(|known| *known == name);
        let known = known.filter(|_| form.version() == Some(EC2.version));
        let known = known.ok_or_else(|| query::unknown_operation(&form))?;
        let row = operation_table::find(known).ok_or_else(|| aws::rest::not_built(known))?;
        let view = self.config.configuration.view();
        let request = Ec2Request {
            service: self,
            row,
            members: form.members(),
            caller,
            view: &*view,
        };
        let answer = (row.handler)(&request).await?;
        Ok((row, answer))
    }

    /// Has the edits made that `attempt` asks for on a view, and gives what it said beside them.
    pub(crate) async fn change<T>(
        &self,
        attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<T>,
    ) -> Result<T, Ec2Error> {
        let _alone = self.changing.lock().await;
        let configuration = &*self.config.configuration;
        let changed = types::propose(configuration, Ec2Error::Unavailable, attempt).await;
        changed.map(|(outcome, _)| outcome)
    }

    /// A new id: the prefix, a dash and 17 hexadecimal digits.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.config.environment.random())
    }
}
