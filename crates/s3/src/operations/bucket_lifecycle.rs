//! A bucket's lifecycle rules, between the document and `objects::lifecycle`. Rules that move
//! objects to another storage class are refused: there is one kind of storage here.

use objects::lifecycle::{
    And, Expiration, Filter, LifecycleConfiguration, LifecycleRule, NoncurrentExpiration,
    transitions_not_implemented,
};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// What the smallest object is that a transition moves: told, as there are none.
const SMALLEST_MOVED: &str = "all_storage_classes_128K";

/// `GetBucketLifecycleConfiguration`.
pub(crate) async fn get_bucket_lifecycle_configuration<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketLifecycleConfigurationInput,
) -> Outcome<dto::GetBucketLifecycleConfigurationOutput> {
    let Some(configuration) = &context.bucket()?.settings.lifecycle else {
        return Err(Fault::new(
            http::StatusCode::NOT_FOUND,
            "NoSuchLifecycleConfiguration",
            "The lifecycle configuration does not exist",
        ));
    };
    done(dto::GetBucketLifecycleConfigurationOutput {
        rules: Some(configuration.rules.iter().map(shown).collect()),
        transition_default_minimum_object_size: smallest_moved(),
    })
}

/// `PutBucketLifecycleConfiguration`.
pub(crate) async fn put_bucket_lifecycle_configuration<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketLifecycleConfigurationInput,
) -> Outcome<dto::PutBucketLifecycleConfigurationOutput> {
    let given = input.lifecycle_configuration.ok_or_else(Fault::malformed)?;
    let rules = given.rules.into_iter().map(taken);
    let rules = rules.collect::<Result<_, _>>()?;
    let environment = &context.objects.config().environment;
    let configuration = LifecycleConfiguration { rules }.accept(&**environment)?;
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.lifecycle = Some(configuration.clone());
            Ok(())
        });
    changed.await?;
    done(dto::PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: smallest_moved(),
    })
}

/// `DeleteBucketLifecycle`.
pub(crate) async fn delete_bucket_lifecycle<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketLifecycleInput,
) -> Outcome<dto::DeleteBucketLifecycleOutput> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.lifecycle = None;
            Ok(())
        });
    changed.await?;
    done(dto::DeleteBucketLifecycleOutput::default())
}

fn smallest_moved() -> Option<dto::TransitionDefaultMinimumObjectSize> {
    Some(dto::TransitionDefaultMinimumObjectSize::from_static(
        SMALLEST_MOVED,
    ))
}

fn taken(rule: dto::LifecycleRule) -> Result<LifecycleRule, Fault> {
    let moves = rule.transitions.is_some_and(|moves| !moves.is_empty());
    let moves_noncurrent = rule.noncurrent_version_transitions;
    if moves || moves_noncurrent.is_some_and(|moves| !moves.is_empty()) {
        return Err(transitions_not_implemented().into());
    }
    let enabled = match rule.status.as_str() {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(Fault::malformed()),
    };
    let noncurrent = rule.noncurrent_version_expiration;
    let abort = rule.abort_incomplete_multipart_upload;
    let abort = abort.map(|abort| abort.days_after_initiation.ok_or_else(Fault::malformed));
    Ok(LifecycleRule {
        id: rule.id.unwrap_or_default(),
        enabled,
        prefix: rule.prefix,
        filter: rule.filter.map(taken_filter).transpose()?,
        expiration: rule.expiration.map(taken_expiration).transpose()?,
        noncurrent_expiration: noncurrent.map(|given| NoncurrentExpiration {
            days: given.noncurrent_days.map(i64::from),
            newer_versions: given.newer_noncurrent_versions.map(i64::from),
        }),
        abort_after_days: abort.transpose()?.map(i64::from),
    })
}

fn taken_filter(filter: dto::LifecycleRuleFilter) -> Result<Filter, Fault> {
    let and = filter.and.map(|and| {
        let tags = and.tags.into_iter().flatten().map(taken_tag);
        Ok::<And, Fault>(And {
            prefix: and.prefix,
            tags: tags.collect::<Result<_, _>>()?,
            greater_than: and.object_size_greater_than,
            less_than: and.object_size_less_than,
        })
    });
    Ok(Filter {
        prefix: filter.prefix,
        tag: filter.tag.map(taken_tag).transpose()?,
        greater_than: filter.object_size_greater_than,
        less_than: filter.object_size_less_than,
        and: and.transpose()?,
    })
}

fn taken_tag(tag: dto::Tag) -> Result<(String, String), Fault> {
    let key = tag.key.ok_or_else(Fault::malformed)?;
    let value = tag.value.ok_or_else(Fault::malformed)?;
    Ok((key, value))
}

fn taken_expiration(expiration: dto::LifecycleExpiration) -> Result<Expiration, Fault> {
    let date = expiration.date.as_ref();
    let date = date.map(|date| values::from_time(date).ok_or_else(Fault::malformed));
    Ok(Expiration {
        date: date.transpose()?,
        days: expiration.days.map(i64::from),
        expired_object_delete_marker: expiration.expired_object_delete_marker,
    })
}

/// Numbers that were taken are of 32 bits.
fn narrow(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn shown(rule: &LifecycleRule) -> dto::LifecycleRule {
    let expiration = rule
        .expiration
        .as_ref()
        .map(|expiration| dto::LifecycleExpiration {
            date: expiration.date.map(values::time),
            days: expiration.days.map(narrow),
            expired_object_delete_marker: expiration.expired_object_delete_marker,
        });
    let noncurrent = rule.noncurrent_expiration.as_ref();
    let noncurrent = noncurrent.map(|given| dto::NoncurrentVersionExpiration {
        newer_noncurrent_versions: given.newer_versions.map(narrow),
        noncurrent_days: given.days.map(narrow),
    });
    let abort = rule
        .abort_after_days
        .map(|days| dto::AbortIncompleteMultipartUpload {
            days_after_initiation: Some(narrow(days)),
        });
    dto::LifecycleRule {
        abort_incomplete_multipart_upload: abort,
        expiration,
        filter: rule.filter.as_ref().map(shown_filter),
        id: Some(rule.id.clone()),
        noncurrent_version_expiration: noncurrent,
        noncurrent_version_transitions: None,
        prefix: rule.prefix.clone(),
        status: dto::ExpirationStatus::from_static(match rule.enabled {
            true => "Enabled",
            false => "Disabled",
        }),
        transitions: None,
    }
}

fn shown_filter(filter: &Filter) -> dto::LifecycleRuleFilter {
    let and = filter
        .and
        .as_ref()
        .map(|and| dto::LifecycleRuleAndOperator {
            object_size_greater_than: and.greater_than,
            object_size_less_than: and.less_than,
            prefix: and.prefix.clone(),
            tags: (!and.tags.is_empty()).then(|| and.tags.iter().map(shown_tag).collect()),
        });
    dto::LifecycleRuleFilter {
        and,
        object_size_greater_than: filter.greater_than,
        object_size_less_than: filter.less_than,
        prefix: filter.prefix.clone(),
        tag: filter.tag.as_ref().map(shown_tag),
    }
}

fn shown_tag((key, value): &(String, String)) -> dto::Tag {
    dto::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use types::Timestamp;

    use super::*;

    #[test]
    fn rules_are_shown_as_they_were_taken() {
        let rule = LifecycleRule {
            id: "one".to_owned(),
            enabled: true,
            prefix: None,
            filter: Some(Filter {
                and: Some(And {
                    prefix: Some("logs/".to_owned()),
                    tags: vec![("a".to_owned(), "b".to_owned())],
                    greater_than: Some(7),
                    less_than: Some(9),
                }),
                ..Filter::default()
            }),
            expiration: Some(Expiration {
                date: Some(Timestamp(1_795_392_000_000)),
                ..Expiration::default()
            }),
            noncurrent_expiration: Some(NoncurrentExpiration {
                days: Some(3),
                newer_versions: Some(2),
            }),
            abort_after_days: Some(1),
        };
        assert_eq!(taken(shown(&rule)).unwrap(), rule);
        let everything = LifecycleRule {
            filter: Some(Filter::default()),
            enabled: false,
            ..rule
        };
        assert_eq!(taken(shown(&everything)).unwrap(), everything);
    }

    #[test]
    fn what_moves_objects_is_refused_by_name() {
        let mut rule = shown(&LifecycleRule {
            enabled: true,
            ..LifecycleRule::default()
        });
        rule.transitions = Some(vec![dto::Transition::default()]);
        assert_eq!(taken(rule.clone()).unwrap_err().code, "NotImplemented");
        rule.transitions = None;
        rule.status = dto::ExpirationStatus::from_static("On");
        assert_eq!(taken(rule).unwrap_err().code, "MalformedXML");
    }
}
