//! What S3 refuses of a lifecycle configuration, in its words. It changes nothing.

use std::collections::BTreeSet;

use types::calendar::SECONDS_PER_DAY;

use super::{
    Expiration, Filter, LONGEST_ID, LifecycleConfiguration, LifecycleRule, MOST_NEWER_VERSIONS,
    MOST_RULES, NoncurrentExpiration,
};
use crate::ObjectError;
use crate::names::LONGEST_KEY;

/// Tags of a filter at most: those of an object (S3 User Guide, "Categorizing your storage using
/// tags").
const MOST_TAGS: usize = 10;

/// The longest key and value of a tag, in characters.
const LONGEST_TAG: (usize, usize) = (128, 256);

/// Milliseconds in a day.
const DAY: u64 = SECONDS_PER_DAY * 1000;

/// The greatest number of days, as S3's integers have 32 bits.
const MOST_DAYS: i64 = i32::MAX as i64;

pub(super) fn check(configuration: &LifecycleConfiguration) -> Result<(), ObjectError> {
    let rules = &configuration.rules;
    if rules.is_empty() {
        return Err(malformed());
    }
    if rules.len() > MOST_RULES {
        return Err(request(
            "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.",
        ));
    }
    let mut ids = BTreeSet::new();
    for rule in rules {
        check_form(rule, rules[0].filter.is_some())?;
        check_rule(rule)?;
        if !rule.id.is_empty() && !ids.insert(&rule.id) {
            return Err(argument(
                "Rule ID must be unique. Found same ID for more than one rule",
            ));
        }
    }
    check_overlap(rules)
}

/// Every rule has a filter, or every one a prefix, and none both.
fn check_form(rule: &LifecycleRule, filters: bool) -> Result<(), ObjectError> {
    match (&rule.prefix, &rule.filter, filters) {
        (Some(_), Some(_), _) | (None, None, _) => Err(malformed()),
        (Some(_), None, true) => Err(request(
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in \
             the Filter.",
        )),
        (None, Some(_), false) => Err(request("Filter element can only be used in Lifecycle V2.")),
        _ => Ok(()),
    }
}

fn check_rule(rule: &LifecycleRule) -> Result<(), ObjectError> {
    if rule.id.chars().count() > LONGEST_ID {
        return Err(argument("ID length should not exceed allowed limit of 255"));
    }
    if rule.key_prefix().len() > LONGEST_KEY {
        return Err(request("The maximum size of a prefix is 1024"));
    }
    if let Some(filter) = &rule.filter {
        check_filter(filter)?;
        check_tags(rule)?;
        check_sizes(rule)?;
    }
    if rule.expiration.is_none()
        && rule.noncurrent_expiration.is_none()
        && rule.abort_after_days.is_none()
    {
        return Err(request(
            "At least one action needs to be specified in a rule",
        ));
    }
    if let Some(expiration) = &rule.expiration {
        check_expiration(rule, expiration)?;
    }
    if let Some(noncurrent) = &rule.noncurrent_expiration {
        check_noncurrent(rule, noncurrent)?;
    }
    if let Some(days) = rule.abort_after_days {
        refuse_filter(rule, "AbortIncompleteMultipartUpload")?;
        check_days(
            days,
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive \
             integer",
        )?;
    }
    Ok(())
}

fn check_filter(filter: &Filter) -> Result<(), ObjectError> {
    let given = [
        filter.prefix.is_some(),
        filter.tag.is_some(),
        filter.greater_than.is_some(),
        filter.less_than.is_some(),
        filter.and.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err(malformed());
    }
    let Some(and) = &filter.and else {
        return Ok(());
    };
    let given = [
        and.prefix.is_some(),
        and.greater_than.is_some(),
        and.less_than.is_some(),
    ];
    let given = given.into_iter().filter(|given| *given).count() + and.tags.len();
    match given {
        0 | 1 => Err(malformed()),
        _ => Ok(()),
    }
}

fn check_tags(rule: &LifecycleRule) -> Result<(), ObjectError> {
    let mut keys = BTreeSet::new();
    for (key, value) in rule.tags() {
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        if !(1..=LONGEST_TAG.0).contains(&key_length) {
            return Err(refused(
                "InvalidTag",
                "The TagKey you have provided is invalid",
            ));
        }
        if value_length > LONGEST_TAG.1 {
            return Err(refused(
                "InvalidTag",
                "The TagValue you have provided is invalid",
            ));
        }
        if !keys.insert(key) {
            return Err(request("Duplicate Tag Keys are not allowed."));
        }
    }
    match keys.len() > MOST_TAGS {
        true => Err(refused(
            "BadRequest",
            "Object tags cannot be greater than 10",
        )),
        false => Ok(()),
    }
}

fn check_sizes(rule: &LifecycleRule) -> Result<(), ObjectError> {
    let (greater, less) = rule.sizes();
    if greater.is_some_and(|size| size < 0) {
        return Err(request(
            "'ObjectSizeGreaterThan' must be a non-negative integer",
        ));
    }
    if less.is_some_and(|size| size < 1) {
        return Err(request("'ObjectSizeLessThan' must be a positive integer"));
    }
    match (greater, less) {
        (Some(greater), Some(less)) if greater >= less => Err(request(
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        )),
        _ => Ok(()),
    }
}

fn check_expiration(rule: &LifecycleRule, expiration: &Expiration) -> Result<(), ObjectError> {
    let marker = expiration.expired_object_delete_marker;
    match (expiration.days, expiration.date, marker) {
        (Some(days), None, None) => {
            let text = "'Days' for Expiration action must be a positive integer";
            check_days(days, text)
        }
        (None, Some(date), None) if !date.0.is_multiple_of(DAY) => {
            Err(argument("'Date' must be at midnight GMT"))
        }
        (None, Some(_), None) => Ok(()),
        (None, None, Some(_)) => refuse_filter(rule, "ExpiredObjectDeleteMarker"),
        _ => Err(malformed()),
    }
}

fn check_noncurrent(
    rule: &LifecycleRule,
    noncurrent: &NoncurrentExpiration,
) -> Result<(), ObjectError> {
    let days = noncurrent.days.ok_or_else(malformed)?;
    check_days(
        days,
        "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
    )?;
    let Some(newer) = noncurrent.newer_versions else {
        return Ok(());
    };
    if rule.filter.is_none() {
        return Err(request(
            "NewerNoncurrentVersions element can only be used in Lifecycle V2.",
        ));
    }
    match newer {
        1..=MOST_NEWER_VERSIONS => Ok(()),
        _ => Err(argument(
            "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be an integer \
             between 1 and 100",
        )),
    }
}

fn check_days(days: i64, text: &'static str) -> Result<(), ObjectError> {
    match days {
        1..=MOST_DAYS => Ok(()),
        _ => Err(argument(text)),
    }
}

/// An action that isn't about objects goes with neither tags nor sizes.
fn refuse_filter(rule: &LifecycleRule, action: &str) -> Result<(), ObjectError> {
    if rule.tags().next().is_some() {
        let text = format!("{action} cannot be specified with Tags.");
        return Err(ObjectError::refused("InvalidRequest", text));
    }
    if rule.sizes() != (None, None) {
        let text = format!("{action} cannot be specified with Object Size.");
        return Err(ObjectError::refused("InvalidRequest", text));
    }
    Ok(())
}

/// Rules of the first form with the same action are about different keys. Sorted, a prefix that
/// another begins with stands directly before the first such.
fn check_overlap(rules: &[LifecycleRule]) -> Result<(), ObjectError> {
    type Action = fn(&LifecycleRule) -> bool;
    let actions: [(&str, Action); 3] = [
        ("Expiration", |rule| rule.expiration.is_some()),
        ("NoncurrentVersionExpiration", |rule| {
            rule.noncurrent_expiration.is_some()
        }),
        ("AbortIncompleteMultipartUpload", |rule| {
            rule.abort_after_days.is_some()
        }),
    ];
    for (action, has) in actions {
        let ours = rules.iter().filter(|rule| has(rule));
        let mut prefixes: Vec<&str> = ours.filter_map(|rule| rule.prefix.as_deref()).collect();
        prefixes.sort_unstable();
        let overlapping = prefixes
            .windows(2)
            .find(|pair| pair[1].starts_with(pair[0]));
        if let Some(pair) = overlapping {
            let text = format!(
                "Found overlapping prefixes '{}' and '{}' for same action type '{action}'",
                pair[0], pair[1]
            );
            return Err(ObjectError::refused("InvalidRequest", text));
        }
    }
    Ok(())
}

fn malformed() -> ObjectError {
    refused(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published \
         schema",
    )
}

fn request(text: &'static str) -> ObjectError {
    refused("InvalidRequest", text)
}

fn argument(text: &'static str) -> ObjectError {
    refused("InvalidArgument", text)
}

fn refused(code: &'static str, text: &'static str) -> ObjectError {
    ObjectError::refused(code, text)
}
