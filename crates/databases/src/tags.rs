//! Tags of RDS's resources: read from requests, added, and shown.

use aws::query::Members;
use aws::xml::XmlWriter;

use crate::error::DatabasesError;
use crate::limits::{MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS};
use crate::model::Tags;
use crate::request::{list_of_structures, required};

/// What the keys of AWS's own tags begin with.
const RESERVED: &str = "aws:";

/// A request's tags as they are given. More than any resource can have are refused at once: each
/// is compared with the others, and by policies.
pub(crate) fn given<'f>(members: &Members<'f>) -> Result<Vec<Members<'f>>, DatabasesError> {
    let given = list_of_structures(members, "Tags", "Tag")?;
    check_count(given.len())?;
    Ok(given)
}

/// A request's tags, each by the rules.
pub(crate) fn read(members: &Members<'_>) -> Result<Tags, DatabasesError> {
    let mut read = Tags::new();
    for tag in given(members)? {
        let key = required(&tag, "Key")?;
        let value = tag.value("Value").unwrap_or("");
        check_key(key)?;
        if value.chars().count() > MAX_TAG_VALUE || !value.chars().all(is_allowed) {
            let text = "Tag values are of at most 256 letters, digits, spaces and _.:/=+-@";
            return Err(DatabasesError::value(text));
        }
        if read.keys().any(|known| known.eq_ignore_ascii_case(key)) {
            let text = format!("Duplicate tag keys found: {key}");
            return Err(DatabasesError::value(text));
        }
        read.insert(key.to_owned(), value.to_owned());
    }
    Ok(read)
}

/// A key of a tag that is set.
fn check_key(key: &str) -> Result<(), DatabasesError> {
    if !(1..=MAX_TAG_KEY).contains(&key.chars().count()) || !key.chars().all(is_allowed) {
        let text = "Tag keys are of 1 to 128 letters, digits, spaces and _.:/=+-@";
        return Err(DatabasesError::value(text));
    }
    let start = key.get(..RESERVED.len()).unwrap_or_default();
    if start.eq_ignore_ascii_case(RESERVED) {
        let text = format!("Tag keys that begin with {RESERVED} are reserved for system use");
        return Err(DatabasesError::value(text));
    }
    Ok(())
}

/// The model's pattern of keys and values.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || "_.:/=+-@".contains(character)
}

fn check_count(count: usize) -> Result<(), DatabasesError> {
    if count > MAX_TAGS {
        let text = format!("A resource can have at most {MAX_TAGS} tags");
        return Err(DatabasesError::value(text));
    }
    Ok(())
}

/// Adds tags to those that a resource has. The names of condition keys are compared without regard
/// to case, so there is one tag of a name, however it is spelled: else a policy would be asked
/// about one, and another kept.
pub(crate) fn add(held: &mut Tags, added: &Tags) -> Result<(), DatabasesError> {
    for (key, value) in added {
        let is_other = |known: &String| known != key && known.eq_ignore_ascii_case(key);
        if held.keys().any(is_other) {
            let text = format!("Duplicate tag keys found: {key}");
            return Err(DatabasesError::value(text));
        }
        held.insert(key.clone(), value.clone());
    }
    check_count(held.len())
}

/// Writes `TagList`, in the order of the keys.
pub(crate) fn write(writer: &mut XmlWriter, tags: &Tags) {
    writer.open("TagList");
    for (key, value) in tags {
        writer
            .open("Tag")
            .value("Key", key)
            .value("Value", value)
            .close();
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use aws::query::Form;

    use super::*;

    #[test]
    fn more_tags_than_there_can_be_are_refused_before_any_is_looked_at() {
        let form = |count: usize| {
            let tags = (1..=count).map(|number| format!("Tags.Tag.{number}.Key=aws:{number}"));
            Form::parse(tags.collect::<Vec<_>>().join("&").as_bytes()).unwrap()
        };
        let said = |count| read(&form(count).members()).unwrap_err().to_string();
        assert!(said(MAX_TAGS).contains("reserved"), "{}", said(MAX_TAGS));
        assert!(
            said(MAX_TAGS + 1).contains("at most 50 tags"),
            "{}",
            said(MAX_TAGS + 1)
        );
    }
}
