//! `TagResource`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::Engine;

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::condition_keys::ConditionKey;
use crate::request::Constraints;
use crate::{Tables, TablesError, limits};

/// The tags of a table: values by key.
type Tags = BTreeMap<String, String>;

/// `Tag`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            arn: self.resource_arn.as_deref(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, _about: About<'_>) -> Option<Vec<String>> {
        tag_values(self.tags.as_deref(), key)
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
        constraints.present("tags", input.tags.as_ref());
        constraints.check()?;
        let added = input.tags.unwrap_or_default();
        let arn = input.resource_arn.unwrap_or_default();
        tables
            .change_tags(allowed, &arn, |tags| judge_tags(tags, &added))
            .await
    }
}

/// A condition key of a request that gives these tags.
pub(crate) fn tag_values(tags: Option<&[Tag]>, key: &ConditionKey<'_>) -> Option<Vec<String>> {
    let tags = tags?;
    match key {
        ConditionKey::TagKeys => Some(tags.iter().filter_map(|tag| tag.key.clone()).collect()),
        ConditionKey::RequestTag(wanted) => {
            let is_it = |tag: &&Tag| {
                let key = tag.key.as_ref();
                key.is_some_and(|key| key.eq_ignore_ascii_case(wanted))
            };
            let given = tags.iter().find(is_it)?;
            Some(vec![given.value.clone().unwrap_or_default()])
        }
        _ => None,
    }
}

/// The tags with these added, or the first rule of tags that this breaks. The names of condition
/// keys are compared without regard to case, so there is one tag of a name, however it is spelled:
/// else a policy would be asked about one, and another kept.
pub(crate) fn judge_tags(mut tags: Tags, added: &[Tag]) -> Result<Tags, TablesError> {
    let mut constraints = Constraints::default();
    for (index, tag) in added.iter().enumerate() {
        let at = format!("tags.{}.member", index + 1);
        let (key_at, value_at) = (format!("{at}.key"), format!("{at}.value"));
        constraints.present(&key_at, tag.key.as_ref());
        constraints.present(&value_at, tag.value.as_ref());
        if let (Some(key), Some(value)) = (&tag.key, &tag.value) {
            constraints.length(&key_at, key, key.chars().count(), 1, 128);
            constraints.length(&value_at, value, value.chars().count(), 0, 256);
        }
    }
    constraints.check()?;
    refuse_repeated(&tags, added)?;
    tags.extend(
        added
            .iter()
            .filter_map(|tag| Some((tag.key.clone()?, tag.value.clone()?))),
    );
    if tags.len() > limits::TAGS {
        return Err(TablesError::invalid(format!(
            "Too many tags: a table has {} at most",
            limits::TAGS
        )));
    }
    Ok(tags)
}

/// Refuses a key that is given twice, or that differs from another one of the table in case alone.
fn refuse_repeated(tags: &Tags, added: &[Tag]) -> Result<(), TablesError> {
    let mut given = BTreeSet::new();
    for key in added.iter().filter_map(|tag| tag.key.as_ref()) {
        let is_other = |known: &&String| *known != key && known.eq_ignore_ascii_case(key);
        if !given.insert(key.to_ascii_lowercase()) || tags.keys().any(|known| is_other(&known)) {
            return Err(TablesError::invalid(format!(
                "Duplicate tag key: {key}. The keys of tags are told apart without regard to case"
            )));
        }
    }
    Ok(())
}

impl<E: Engine> Tables<E> {
    /// Replaces a table's tags by what `change` makes of them; answers with an empty body, as
    /// both tagging operations do.
    pub(crate) async fn change_tags(
        &self,
        allowed: &Allowed<'_>,
        arn: &str,
        change: impl FnOnce(Tags) -> Result<Tags, TablesError>,
    ) -> Result<Bytes, TablesError> {
        let mut catalogue = self.catalogue.change().await;
        let mut table = self.tagged_table(allowed, arn)?.as_ref().clone();
        table.tags = change(table.tags)?;
        let mut batch = store::Batch::new();
        catalogue.stage(&table, &mut batch);
        self.engine.commit(batch).await?;
        catalogue.publish(table);
        Ok(Bytes::new())
    }

    /// The table of an ARN.
    pub(crate) fn tagged_table(
        &self,
        allowed: &Allowed<'_>,
        arn: &str,
    ) -> Result<std::sync::Arc<crate::Table>, TablesError> {
        if !arn.starts_with("arn:aws:dynamodb:") || !arn.contains(":table/") {
            return Err(TablesError::Validation(format!(
                "Invalid TableArn: Invalid ResourceArn provided as input {arn}"
            )));
        }
        self.name_in_arn(arn)
            .and_then(|name| self.judged_table(allowed, &name))
            .ok_or_else(|| {
                // "ResourcArn": the service's own spelling.
                TablesError::NotFound(format!(
                    "Requested resource not found: ResourcArn: {arn} not found"
                ))
            })
    }
}
