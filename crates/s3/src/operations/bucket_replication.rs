//! A bucket's replication configuration, between the document and `objects::rules`. Whoever sets
//! one hands its role on to S3, so he must be allowed to pass it.

use aws::access::Question;
use objects::rules::{self, DeleteMarkers, Filter, ReplicationConfiguration, Rule, Status};
use objects::rules::{Destination, Metrics, ReplicaEncryption, ReplicationTime, SourceSelection};
use s3s::dto;
use store::Engine;
use types::AccountId;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;

/// To whom the role is passed.
const PASSED_TO: &str = "s3.amazonaws.com";

/// `GetBucketReplication`.
pub(crate) async fn get_bucket_replication<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketReplicationInput,
) -> Outcome<dto::GetBucketReplicationOutput> {
    let configuration = context.bucket()?.settings.replication.as_ref();
    let configuration = configuration.ok_or_else(rules::not_configured)?;
    done(dto::GetBucketReplicationOutput {
        replication_configuration: Some(dto::ReplicationConfiguration {
            role: configuration.role.clone(),
            rules: configuration.rules.iter().map(shown).collect(),
        }),
    })
}

/// `PutBucketReplication`.
pub(crate) async fn put_bucket_replication<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketReplicationInput,
) -> Outcome<dto::PutBucketReplicationOutput> {
    let bucket = context.bucket()?;
    let given = input.replication_configuration;
    let taken = given.rules.into_iter().map(taken);
    let configuration = ReplicationConfiguration {
        role: given.role,
        rules: taken.collect::<Result<_, _>>()?,
    };
    may_pass(context, &configuration.role)?;
    let checked = context
        .objects
        .check_replication(bucket, configuration)
        .await?;
    let changed = context.objects.change_settings(bucket, |settings| {
        if settings.versioning != objects::Versioning::Enabled {
            return Err(types::ConfigurationError::Conflict.into());
        }
        settings.replication = Some(checked.clone());
        Ok(())
    });
    changed.await?;
    done(dto::PutBucketReplicationOutput::default())
}

/// `DeleteBucketReplication`.
pub(crate) async fn delete_bucket_replication<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketReplicationInput,
) -> Outcome<dto::DeleteBucketReplicationOutput> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.replication = None;
            Ok(())
        });
    changed.await?;
    done(dto::DeleteBucketReplicationOutput::default())
}

/// May the caller have S3 act as that role? What isn't one's ARN is refused where the
/// configuration is checked.
fn may_pass<E: Engine>(context: &Context<E>, role: &str) -> Result<(), Fault> {
    let Some(account) = role_account(role) else {
        return Ok(());
    };
    let question = Question::new("iam:PassRole", role, account);
    let question = question.key("iam:PassedToService", PASSED_TO);
    let associated = context.bucket()?.name.arn();
    let question = question.key("iam:AssociatedResourceArn", associated);
    Ok(context.judge().authorize(&question)?)
}

/// The account of `arn:aws:iam::ACCOUNT:role/…`.
pub(crate) fn role_account(role: &str) -> Option<AccountId> {
    let rest = role.strip_prefix("arn:aws:iam::")?;
    let (account, path) = rest.split_once(':')?;
    path.strip_prefix("role/")?;
    account.parse().ok()
}

fn status(text: &str) -> Result<Status, Fault> {
    match text {
        "Enabled" => Ok(Status::Enabled),
        "Disabled" => Ok(Status::Disabled),
        _ => Err(rules::malformed().into()),
    }
}

fn taken(rule: dto::ReplicationRule) -> Result<Rule, Fault> {
    let delete_markers = rule.delete_marker_replication.map(|given| {
        let given = given.status.as_ref().map(|given| status(given.as_str()));
        Ok::<_, Fault>(DeleteMarkers {
            status: given.transpose()?,
        })
    });
    let selection = rule.source_selection_criteria.map(|given| {
        let kms = given.sse_kms_encrypted_objects;
        let kms = kms.map(|given| status(given.status.as_str()));
        let replicas = given.replica_modifications;
        let replicas = replicas.map(|given| status(given.status.as_str()));
        Ok::<_, Fault>(SourceSelection {
            kms_objects: kms.transpose()?,
            replica_modifications: replicas.transpose()?,
        })
    });
    let existing = rule.existing_object_replication;
    let existing = existing.map(|given| status(given.status.as_str()));
    Ok(Rule {
        id: rule.id,
        priority: rule.priority,
        prefix: rule.prefix,
        filter: rule.filter.map(taken_filter).transpose()?,
        status: status(rule.status.as_str())?,
        source_selection: selection.transpose()?,
        existing_objects: existing.transpose()?,
        delete_markers: delete_markers.transpose()?,
        destination: taken_destination(rule.destination)?,
    })
}

/// Exactly one of its members, or none: everything.
fn taken_filter(filter: dto::ReplicationRuleFilter) -> Result<Filter, Fault> {
    match (filter.prefix, filter.tag, filter.and) {
        (None, None, None) => Ok(Filter::All),
        (Some(prefix), None, None) => Ok(Filter::Prefix(prefix)),
        (None, Some(tag), None) => Ok(Filter::Tag(taken_tag(tag)?)),
        (None, None, Some(and)) => {
            let tags = and.tags.into_iter().flatten().map(taken_tag);
            Ok(Filter::And {
                prefix: and.prefix,
                tags: tags.collect::<Result<_, _>>()?,
            })
        }
        _ => Err(rules::malformed().into()),
    }
}

fn taken_tag(tag: dto::Tag) -> Result<rules::Tag, Fault> {
    let malformed = || Fault::from(rules::malformed());
    Ok(rules::Tag {
        key: tag.key.ok_or_else(malformed)?,
        value: tag.value.ok_or_else(malformed)?,
    })
}

fn taken_destination(given: dto::Destination) -> Result<Destination, Fault> {
    let translation = given.access_control_translation;
    let owner_override = match translation.as_ref().map(|given| given.owner.as_str()) {
        None => false,
        Some("Destination") => true,
        Some(_) => return Err(rules::malformed().into()),
    };
    let time = given.replication_time.map(|given| {
        let minutes = given.time.minutes;
        status(given.status.as_str()).map(|status| ReplicationTime {
            status: Some(status),
            minutes,
        })
    });
    let metrics = given.metrics.map(|given| {
        let minutes = given
            .event_threshold
            .and_then(|threshold| threshold.minutes);
        status(given.status.as_str()).map(|status| Metrics {
            status: Some(status),
            minutes,
        })
    });
    let class = given.storage_class.as_ref();
    Ok(Destination {
        bucket: given.bucket,
        account: given.account,
        storage_class: class.map(|class| class.as_str().to_owned()),
        owner_override,
        encryption: given
            .encryption_configuration
            .map(|given| ReplicaEncryption {
                kms_key: given.replica_kms_key_id,
            }),
        replication_time: time.transpose()?,
        metrics: metrics.transpose()?,
    })
}

fn text(status: Status) -> &'static str {
    match status {
        Status::Enabled => "Enabled",
        Status::Disabled => "Disabled",
    }
}

fn shown(rule: &Rule) -> dto::ReplicationRule {
    let delete_markers = rule.delete_markers.as_ref();
    let delete_markers = delete_markers.map(|markers| dto::DeleteMarkerReplication {
        status: markers
            .status
            .map(|status| dto::DeleteMarkerReplicationStatus::from_static(text(status))),
    });
    let selection = rule.source_selection.as_ref();
    let selection = selection.map(|selection| dto::SourceSelectionCriteria {
        replica_modifications: selection.replica_modifications.map(|status| {
            dto::ReplicaModifications {
                status: dto::ReplicaModificationsStatus::from_static(text(status)),
            }
        }),
        sse_kms_encrypted_objects: selection.kms_objects.map(|status| {
            dto::SseKmsEncryptedObjects {
                status: dto::SseKmsEncryptedObjectsStatus::from_static(text(status)),
            }
        }),
    });
    let existing = rule
        .existing_objects
        .map(|status| dto::ExistingObjectReplication {
            status: dto::ExistingObjectReplicationStatus::from_static(text(status)),
        });
    dto::ReplicationRule {
        delete_marker_replication: delete_markers,
        destination: shown_destination(&rule.destination),
        existing_object_replication: existing,
        filter: rule.filter.as_ref().map(shown_filter),
        id: rule.id.clone(),
        prefix: rule.prefix.clone(),
        priority: rule.priority,
        source_selection_criteria: selection,
        status: dto::ReplicationRuleStatus::from_static(text(rule.status)),
    }
}

fn shown_filter(filter: &Filter) -> dto::ReplicationRuleFilter {
    let mut shown = dto::ReplicationRuleFilter::default();
    match filter {
        Filter::All => {}
        Filter::Prefix(prefix) => shown.prefix = Some(prefix.clone()),
        Filter::Tag(tag) => shown.tag = Some(shown_tag(tag)),
        Filter::And { prefix, tags } => {
            shown.and = Some(dto::ReplicationRuleAndOperator {
                prefix: prefix.clone(),
                tags: (!tags.is_empty()).then(|| tags.iter().map(shown_tag).collect()),
            });
        }
    }
    shown
}

fn shown_tag(tag: &rules::Tag) -> dto::Tag {
    dto::Tag {
        key: Some(tag.key.clone()),
        value: Some(tag.value.clone()),
    }
}

fn shown_destination(destination: &Destination) -> dto::Destination {
    let minutes = |minutes| dto::ReplicationTimeValue {
        minutes: Some(minutes),
    };
    let enabled = |status: Option<Status>| text(status.unwrap_or(Status::Disabled));
    let time = destination.replication_time.as_ref();
    let time = time.map(|time| dto::ReplicationTime {
        status: dto::ReplicationTimeStatus::from_static(enabled(time.status)),
        time: time.minutes.map_or_else(Default::default, minutes),
    });
    let metrics = destination.metrics.as_ref().map(|metrics| dto::Metrics {
        event_threshold: metrics.minutes.map(minutes),
        status: dto::MetricsStatus::from_static(enabled(metrics.status)),
    });
    let encryption = destination.encryption.as_ref();
    let class = destination.storage_class.clone();
    let translation = destination
        .owner_override
        .then(|| dto::AccessControlTranslation {
            owner: dto::OwnerOverride::from_static("Destination"),
        });
    dto::Destination {
        access_control_translation: translation,
        account: destination.account.clone(),
        bucket: destination.bucket.clone(),
        encryption_configuration: encryption.map(|encryption| dto::EncryptionConfiguration {
            replica_kms_key_id: encryption.kms_key.clone(),
        }),
        metrics,
        replication_time: time,
        storage_class: class.map(dto::StorageClass::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(filter: Option<Filter>) -> Rule {
        Rule {
            id: Some("one".to_owned()),
            priority: Some(7),
            prefix: None,
            filter,
            status: Status::Enabled,
            source_selection: Some(SourceSelection {
                kms_objects: Some(Status::Disabled),
                replica_modifications: Some(Status::Enabled),
            }),
            existing_objects: Some(Status::Enabled),
            delete_markers: Some(DeleteMarkers {
                status: Some(Status::Disabled),
            }),
            destination: Destination {
                bucket: "arn:aws:s3:::there".to_owned(),
                account: Some("111122223333".to_owned()),
                storage_class: Some("STANDARD_IA".to_owned()),
                owner_override: true,
                encryption: Some(ReplicaEncryption {
                    kms_key: Some("k".to_owned()),
                }),
                replication_time: Some(ReplicationTime {
                    status: Some(Status::Enabled),
                    minutes: Some(15),
                }),
                metrics: Some(Metrics {
                    status: Some(Status::Enabled),
                    minutes: Some(15),
                }),
            },
        }
    }

    #[test]
    fn rules_are_shown_as_they_were_taken() {
        let tag = rules::Tag {
            key: "a".to_owned(),
            value: "b".to_owned(),
        };
        for filter in [
            None,
            Some(Filter::All),
            Some(Filter::Prefix("p".to_owned())),
            Some(Filter::Tag(tag.clone())),
            Some(Filter::And {
                prefix: Some("p".to_owned()),
                tags: vec![tag],
            }),
        ] {
            let rule = rule(filter);
            assert_eq!(taken(shown(&rule)).unwrap(), rule);
        }
    }

    #[test]
    fn what_the_schema_forbids_is_malformed() {
        let mut given = shown(&rule(Some(Filter::Prefix("p".to_owned()))));
        given.status = dto::ReplicationRuleStatus::from_static("On");
        assert_eq!(taken(given).unwrap_err().code, "MalformedXML");
        let mut given = shown(&rule(Some(Filter::Prefix("p".to_owned()))));
        let filter = given.filter.as_mut().unwrap();
        filter.and = Some(dto::ReplicationRuleAndOperator::default());
        assert_eq!(taken(given).unwrap_err().code, "MalformedXML");
    }

    #[test]
    fn a_role_s_account_is_in_its_arn() {
        let account = role_account("arn:aws:iam::111122223333:role/path/r");
        assert_eq!(account, Some(AccountId::LAB));
        for text in [
            "",
            "arn:aws:iam::1:role/r",
            "arn:aws:iam::111122223333:user/u",
        ] {
            assert_eq!(role_account(text), None);
        }
    }
}
