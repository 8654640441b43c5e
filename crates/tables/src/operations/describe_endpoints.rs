//! `DescribeEndpoints`: the service's own name for its endpoint in this Region, as the service
//! answers. Clients that were given an endpoint (which is how they got here) don't ask.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::respond;
use crate::{Tables, TablesError};

/// How long clients may keep the answer; the service says a day.
const CACHE_MINUTES: u32 = 1440;

#[derive(Deserialize)]
pub(crate) struct Input {}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject::default()
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        _allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let address = format!("dynamodb.{}.amazonaws.com", tables.config.region);
        Ok(respond(&json!({
            "Endpoints": [{"Address": address, "CachePeriodInMinutes": CACHE_MINUTES}],
        })))
    }
}
