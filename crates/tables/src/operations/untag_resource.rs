//! `UntagResource`.

use bytes::Bytes;
use serde::Deserialize;
use store::Engine;

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::condition_keys::ConditionKey;
use crate::request::Constraints;
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            arn: self.resource_arn.as_deref(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, _about: About<'_>) -> Option<Vec<String>> {
        match key {
            ConditionKey::TagKeys => self.tag_keys.clone(),
            _ => None,
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
        constraints.present("tagKeys", input.tag_keys.as_ref());
        constraints.check()?;
        let removed = input.tag_keys.unwrap_or_default();
        let arn = input.resource_arn.unwrap_or_default();
        tables
            .change_tags(allowed, &arn, |mut tags| {
                tags.retain(|key, _| !removed.contains(key));
                Ok(tags)
            })
            .await
    }
}
