//! `UntagResource`.

use bytes::Bytes;
use serde::Deserialize;
use store::Engine;

use crate::request::{Constraints, parse};
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

/// Carries it out.
pub(crate) async fn execute<E: Engine>(
    tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let input: Input = parse(body)?;
    let mut constraints = Constraints::default();
    constraints.present("resourceArn", input.resource_arn.as_ref());
    constraints.present("tagKeys", input.tag_keys.as_ref());
    constraints.check()?;
    let removed = input.tag_keys.unwrap_or_default();
    let arn = input.resource_arn.unwrap_or_default();
    tables
        .change_tags(&arn, |mut tags| {
            tags.retain(|key, _| !removed.contains(key));
            Ok(tags)
        })
        .await
}
