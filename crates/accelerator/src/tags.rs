//! Tags of accelerators, listeners and endpoint groups: read from requests, found, and shown.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use types::ConfigurationView;

use crate::arn::Arn;
use crate::catalogue;
use crate::error::AcceleratorError;
use crate::limits::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS};
use crate::model::Accelerator;
use crate::request::{length, required};

/// The tags of one resource: value by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// What the keys of AWS's own tags begin with.
const RESERVED: &str = "aws:";

/// A `Tag` as it comes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

/// A request's tags as its caller is judged by them.
pub(crate) fn subject(tags: Option<&Vec<Tag>>) -> Vec<(&str, &str)> {
    fn text(text: Option<&String>) -> &str {
        text.map_or("", String::as_str)
    }
    let tags = tags.map_or(&[][..], Vec::as_slice).iter();
    tags.map(|tag| (text(tag.key.as_ref()), text(tag.value.as_ref())))
        .collect()
}

/// A request's tags, each by the rules.
pub(crate) fn read(tags: Vec<Tag>) -> Result<Tags, AcceleratorError> {
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    let mut read = Tags::new();
    for tag in tags {
        let key = required("tags.member.key", tag.key)?;
        let value = required("tags.member.value", tag.value)?;
        length("tags.member.key", &key, 1, MAX_TAG_KEY)?;
        length("tags.member.value", &value, 0, MAX_TAG_VALUE)?;
        check_key(&key)?;
        if read.keys().any(|known| is_same(known, &key)) {
            return Err(repeated(&key));
        }
        read.insert(key, value);
    }
    Ok(read)
}

/// A key of a tag that is set or removed: not one of AWS's own.
pub(crate) fn check_key(key: &str) -> Result<(), AcceleratorError> {
    let start = key.get(..RESERVED.len()).unwrap_or_default();
    if start.eq_ignore_ascii_case(RESERVED) {
        return Err(AcceleratorError::invalid(format!(
            "The key of a tag can't begin with {RESERVED}, as {key} does."
        )));
    }
    Ok(())
}

/// Adds tags to those that a resource has.
pub(crate) fn add(held: &mut Tags, added: &Tags) -> Result<(), AcceleratorError> {
    for (key, value) in added {
        let other = held.keys().any(|known| known != key && is_same(known, key));
        if other {
            return Err(repeated(key));
        }
        held.insert(key.clone(), value.clone());
    }
    if held.len() > MAX_TAGS {
        return Err(too_many());
    }
    Ok(())
}

/// The tags of what an ARN names.
///
/// # Errors
///
/// There is no such thing.
pub(crate) fn of(view: &dyn ConfigurationView, arn: &Arn) -> Result<Tags, AcceleratorError> {
    let found = catalogue::find(view, arn.accelerator())?;
    let (_, mut accelerator) = found.ok_or_else(|| missing(arn))?;
    Ok(std::mem::take(of_mut(&mut accelerator, arn)?))
}

/// The tags of what an ARN names, in its accelerator.
///
/// # Errors
///
/// There is no such thing.
pub(crate) fn of_mut<'a>(
    accelerator: &'a mut Accelerator,
    arn: &Arn,
) -> Result<&'a mut Tags, AcceleratorError> {
    match arn {
        Arn::Accelerator(_) => Ok(&mut accelerator.tags),
        Arn::Listener(listener) => Ok(&mut accelerator.find_listener(&listener.listener)?.tags),
        Arn::EndpointGroup(group) => {
            let found = accelerator.find_group(&group.listener.listener, &group.group)?;
            Ok(&mut found.tags)
        }
    }
}

/// What is said if there is nothing of that ARN.
pub(crate) fn missing(arn: &Arn) -> AcceleratorError {
    match arn {
        Arn::Accelerator(_) => AcceleratorError::NoAccelerator,
        Arn::Listener(_) => AcceleratorError::NoListener,
        Arn::EndpointGroup(_) => AcceleratorError::NoGroup,
    }
}

/// `Tags`, in the order of their keys.
pub(crate) fn shape(tags: &Tags) -> Value {
    let tags = tags.iter();
    tags.map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// The names of condition keys are compared without regard to case, so there is one tag of a name,
/// however it is spelled: else a policy would be asked about one, and another kept.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn repeated(key: &str) -> AcceleratorError {
    AcceleratorError::invalid(format!(
        "There is more than one tag of the key {key}. The keys of tags are told apart without \
         regard to case."
    ))
}

fn too_many() -> AcceleratorError {
    AcceleratorError::invalid(format!("A resource can't have more than {MAX_TAGS} tags."))
}
