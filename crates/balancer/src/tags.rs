//! Tags of load balancers, listeners, rules and target groups: read from requests, found, and
//! shown.

use aws::query::Members;
use aws::xml::XmlWriter;
use types::ConfigurationView;

use crate::arn::Arn;
use crate::catalogue;
use crate::codec::CodecError;
use crate::error::{BalancerError, Refusal};
use crate::limits::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS};
use crate::model::{ListenerId, LoadBalancer, RuleId, Tags};
use crate::request::{failed, length, required};

/// What the keys of AWS's own tags begin with.
const RESERVED: &str = "aws:";

/// A request's tags, each by the rules.
pub(crate) fn read(members: &Members<'_>) -> Result<Tags, BalancerError> {
    let mut read = Tags::new();
    for tag in members.structures("Tags")? {
        let key = required(&tag, "Key")?;
        let value = tag.value("Value").unwrap_or("");
        check_key(key)?;
        length("Value", value, 0, MAX_TAG_VALUE)?;
        check_characters("value", value)?;
        if read.keys().any(|known| known.eq_ignore_ascii_case(key)) {
            return Err(repeated(key));
        }
        read.insert(key.to_owned(), value.to_owned());
    }
    if read.len() > MAX_TAGS {
        return Err(too_many());
    }
    Ok(read)
}

/// A key of a tag that is set or taken away.
pub(crate) fn check_key(key: &str) -> Result<(), BalancerError> {
    length("Key", key, 1, MAX_TAG_KEY)?;
    check_characters("key", key)?;
    let start = key.get(..RESERVED.len()).unwrap_or_default();
    if start.eq_ignore_ascii_case(RESERVED) {
        let text = format!("Tag keys that begin with {RESERVED} are reserved for system use");
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

/// The model's pattern of keys and values.
fn check_characters(at: &str, text: &str) -> Result<(), BalancerError> {
    let allowed = |character: char| {
        character.is_alphanumeric()
            || (character.is_whitespace() && !character.is_control())
            || "_.:/=+-@".contains(character)
    };
    if text.chars().all(allowed) {
        return Ok(());
    }
    let rule = "Member must satisfy regular expression pattern: \
                ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$";
    Err(failed(at, text, rule))
}

/// Adds tags to those that a resource has. The names of condition keys are compared without regard
/// to case, so there is one tag of a name, however it is spelled: else a policy would be asked
/// about one, and another kept.
pub(crate) fn add(held: &mut Tags, added: &Tags) -> Result<(), BalancerError> {
    for (key, value) in added {
        let is_other = |known: &String| known != key && known.eq_ignore_ascii_case(key);
        if held.keys().any(is_other) {
            return Err(repeated(key));
        }
        held.insert(key.clone(), value.clone());
    }
    if held.len() > MAX_TAGS {
        return Err(too_many());
    }
    Ok(())
}

/// The tags of what is named, if it is there.
pub(crate) fn of(view: &dyn ConfigurationView, arn: &Arn) -> Result<Option<Tags>, CodecError> {
    Ok(match arn {
        Arn::TargetGroup(arn) => catalogue::group(view, arn)?.map(|(_, group)| group.tags),
        Arn::LoadBalancer(arn) => {
            catalogue::balancer(view, arn)?.map(|(_, balancer)| balancer.tags)
        }
        Arn::Listener(arn) => {
            let found = catalogue::balancer(view, &arn.balancer)?;
            found.and_then(|(_, mut row)| of_listener(&mut row, &arn.listener).cloned())
        }
        Arn::Rule(arn) => {
            let found = catalogue::balancer(view, &arn.listener.balancer)?;
            let listener = &arn.listener.listener;
            found.and_then(|(_, mut row)| of_rule(&mut row, listener, &arn.rule).cloned())
        }
    })
}

/// The tags of a listener.
pub(crate) fn of_listener<'a>(
    balancer: &'a mut LoadBalancer,
    id: &ListenerId,
) -> Option<&'a mut Tags> {
    let mut listeners = balancer.listeners.iter_mut();
    let found = listeners.find(|listener| listener.id == *id);
    found.map(|listener| &mut listener.tags)
}

/// The tags of a rule, which may be its listener's default one.
pub(crate) fn of_rule<'a>(
    balancer: &'a mut LoadBalancer,
    listener: &ListenerId,
    id: &RuleId,
) -> Option<&'a mut Tags> {
    let mut listeners = balancer.listeners.iter_mut();
    let listener = listeners.find(|found| found.id == *listener)?;
    if listener.default_rule == *id {
        return Some(&mut listener.default_rule_tags);
    }
    let mut rules = listener.rules.iter_mut();
    rules.find(|rule| rule.id == *id).map(|rule| &mut rule.tags)
}

/// Writes `Tags`, in the order of their keys.
pub(crate) fn write(writer: &mut XmlWriter, tags: &Tags) {
    writer.open("Tags");
    for (key, value) in tags {
        writer
            .open("member")
            .value("Key", key)
            .value("Value", value)
            .close();
    }
    writer.close();
}

fn repeated(key: &str) -> BalancerError {
    let text = format!("Tag key was specified more than once: {key}");
    BalancerError::refused(Refusal::DuplicateTagKeys, text)
}

fn too_many() -> BalancerError {
    let text = format!("A resource can have at most {MAX_TAGS} tags");
    BalancerError::refused(Refusal::TooManyTags, text)
}
