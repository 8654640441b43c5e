//! `ListTagsOfResource`. Its token is the last key of the page before.

use std::ops::Bound;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use super::tag_resource::Tag;
use crate::request::{Constraints, parse, respond};
use crate::{Tables, TablesError, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource_arn: Option<String>,
    next_token: Option<String>,
}

/// Carries it out.
pub(crate) async fn execute<E: Engine>(
    tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let input: Input = parse(body)?;
    let mut constraints = Constraints::default();
    constraints.present("resourceArn", input.resource_arn.as_ref());
    constraints.check()?;
    let table = tables.tagged_table(&input.resource_arn.unwrap_or_default())?;
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
