//! `ListTagsOfResource`. Its token is the last key of the page before.

use std::ops::Bound;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use super::tag_resource::Tag;
use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::{Constraints, respond};
use crate::{Tables, TablesError, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
    next_token: Option<String>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            arn: self.resource_arn.as_deref(),
            ..Subject::default()
        }
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let input = self;
        let mut constraints = Constraints::default();
        constraints.present("resourceArn", input.resource_arn.as_ref());
        constraints.check()?;
        let table = tables.tagged_table(allowed, &input.resource_arn.unwrap_or_default())?;
        let after = input.next_token.as_deref();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = table.tags.range::<str, _>((after, Bound::Unbounded));
        let page = rest
            .by_ref()
            .take(limits::LIST_TAGS)
            .map(|(key, value)| Tag {
                key: Some(key.clone()),
                value: Some(value.clone()),
            });
        let page: Vec<Tag> = page.collect();
        let mut response = json!({"Tags": page});
        if let (Some(last), true) = (page.last(), rest.next().is_some()) {
            response["NextToken"] = json!(last.key);
        }
        Ok(respond(&response))
    }
}
