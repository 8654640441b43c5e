//! Where a bucket's events go, between the document and `objects::notify`.

use objects::notify::{NotificationConfiguration, NotificationRule, TargetArn, TargetKind};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::operations::put;

/// `GetBucketNotificationConfiguration`: without one an empty document.
pub(crate) async fn get_bucket_notification_configuration<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketNotificationConfigurationInput,
) -> Outcome<dto::GetBucketNotificationConfigurationOutput> {
    let mut shown = dto::GetBucketNotificationConfigurationOutput::default();
    let configuration = context.bucket()?.settings.notification.as_ref();
    for rule in configuration.iter().flat_map(|one| &one.rules) {
        show(&mut shown, rule);
    }
    done(shown)
}

/// `PutBucketNotificationConfiguration`: an empty document ends notifications. Targets are told a
/// message by which their owners see that they are.
pub(crate) async fn put_bucket_notification_configuration<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketNotificationConfigurationInput,
) -> Outcome<dto::PutBucketNotificationConfigurationOutput> {
    let bucket = context.bucket()?;
    let given = input.notification_configuration;
    let random = || context.objects.config().environment.random();
    let configuration = taken(given, &random)?;
    configuration.check(bucket.entry.region)?;
    configuration.check_targets(&*context.objects.config().webhooks)?;
    let kept = (!configuration.rules.is_empty()).then_some(&configuration);
    let changed = context.objects.change_settings(bucket, |settings| {
        settings.notification = kept.cloned();
        Ok(())
    });
    changed.await?;
    let origin = put::origin(context);
    context
        .objects
        .tell_test(bucket, &configuration, &origin)
        .await?;
    done(dto::PutBucketNotificationConfigurationOutput::default())
}

/// One kind of target's rule, as the document has it.
type Given = (
    Option<String>,
    String,
    dto::EventList,
    Option<dto::NotificationConfigurationFilter>,
);

fn taken(
    given: dto::NotificationConfiguration,
    random: &dyn Fn() -> u64,
) -> Result<NotificationConfiguration, Fault> {
    if given.event_bridge_configuration.is_some() {
        return Err(Fault::not_built("A notification to EventBridge"));
    }
    let topics = given.topic_configurations.into_iter().flatten();
    let topics = topics.map(|one| {
        let rule: Given = (one.id, one.topic_arn, one.events, one.filter);
        ("Topic", TargetKind::Topic, rule)
    });
    let queues = given.queue_configurations.into_iter().flatten();
    let queues = queues.map(|one| {
        let rule: Given = (one.id, one.queue_arn, one.events, one.filter);
        ("Queue", TargetKind::Queue, rule)
    });
    let functions = given.lambda_function_configurations.into_iter().flatten();
    let functions = functions.map(|one| {
        let rule: Given = (one.id, one.lambda_function_arn, one.events, one.filter);
        ("CloudFunction", TargetKind::Function, rule)
    });
    let rules = topics.chain(queues).chain(functions);
    let rules = rules.map(|(name, kind, given)| taken_rule(name, kind, given, random));
    Ok(NotificationConfiguration {
        rules: rules.collect::<Result<_, _>>()?,
    })
}

fn taken_rule(
    name: &'static str,
    kind: TargetKind,
    (id, arn, events, filter): Given,
    random: &dyn Fn() -> u64,
) -> Result<NotificationRule, Fault> {
    let unreadable = || Fault::argument(name, &arn, "The ARN could not be parsed");
    let target: TargetArn = arn.parse().map_err(|_| unreadable())?;
    if target.kind() != kind {
        return Err(unreadable());
    }
    let events = events.iter().map(|event| {
        let name = event.as_ref();
        let parsed = name.parse();
        let text = "The event is not supported for notifications";
        parsed.map_err(|_| Fault::argument("Event", name, text))
    });
    let (prefix, suffix) = taken_filter(filter)?;
    let id = id.filter(|id| !id.is_empty());
    Ok(NotificationRule {
        id: id.unwrap_or_else(|| format!("{:016x}{:016x}", random(), random())),
        target,
        events: events.collect::<Result<_, _>>()?,
        prefix,
        suffix,
    })
}

fn taken_filter(
    filter: Option<dto::NotificationConfigurationFilter>,
) -> Result<(Option<String>, Option<String>), Fault> {
    let (mut prefix, mut suffix) = (None, None);
    let rules = filter.and_then(|filter| filter.key?.filter_rules);
    for rule in rules.into_iter().flatten() {
        let name = rule.name.as_ref().map_or("", |name| name.as_str());
        let value = rule.value.ok_or_else(Fault::malformed)?;
        let (place, twice) = match name.to_ascii_lowercase().as_str() {
            "prefix" => (
                &mut prefix,
                "Cannot specify more than one prefix rule in a filter.",
            ),
            "suffix" => (
                &mut suffix,
                "Cannot specify more than one suffix rule in a filter.",
            ),
            _ => {
                let text = "filter rule name must be either prefix or suffix";
                return Err(Fault::argument("FilterRule.Name", name, text));
            }
        };
        if place.replace(value).is_some() {
            return Err(Fault::argument("FilterRule.Name", name, twice));
        }
    }
    Ok((prefix, suffix))
}

fn show(shown: &mut dto::GetBucketNotificationConfigurationOutput, rule: &NotificationRule) {
    let events = rule.events.iter();
    let events = events.map(|event| dto::Event::from(event.to_string()));
    let events: dto::EventList = events.collect();
    let filter = shown_filter(rule);
    let (id, arn) = (Some(rule.id.clone()), rule.target.to_string());
    match rule.target.kind() {
        TargetKind::Topic => {
            let list = shown.topic_configurations.get_or_insert_default();
            list.push(dto::TopicConfiguration {
                events,
                filter,
                id,
                topic_arn: arn,
            });
        }
        TargetKind::Queue => {
            let list = shown.queue_configurations.get_or_insert_default();
            list.push(dto::QueueConfiguration {
                events,
                filter,
                id,
                queue_arn: arn,
            });
        }
        TargetKind::Function => {
            let list = shown.lambda_function_configurations.get_or_insert_default();
            list.push(dto::LambdaFunctionConfiguration {
                events,
                filter,
                id,
                lambda_function_arn: arn,
            });
        }
    }
}

fn shown_filter(rule: &NotificationRule) -> Option<dto::NotificationConfigurationFilter> {
    // As S3 tells them: with a capital.
    let named = [("Prefix", &rule.prefix), ("Suffix", &rule.suffix)];
    let rules = named.into_iter().filter_map(|(name, value)| {
        Some(dto::FilterRule {
            name: Some(dto::FilterRuleName::from_static(name)),
            value: Some(value.clone()?),
        })
    });
    let rules: Vec<dto::FilterRule> = rules.collect();
    (!rules.is_empty()).then_some(dto::NotificationConfigurationFilter {
        key: Some(dto::S3KeyFilter {
            filter_rules: Some(rules),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:orders";

    fn queue(arn: &str, names: &[(&'static str, &str)]) -> dto::NotificationConfiguration {
        let rules = names.iter().map(|(name, value)| dto::FilterRule {
            name: Some(dto::FilterRuleName::from_static(name)),
            value: Some((*value).to_owned()),
        });
        dto::NotificationConfiguration {
            queue_configurations: Some(vec![dto::QueueConfiguration {
                events: vec![dto::Event::from("s3:ObjectCreated:*".to_owned())],
                filter: Some(dto::NotificationConfigurationFilter {
                    key: Some(dto::S3KeyFilter {
                        filter_rules: Some(rules.collect()),
                    }),
                }),
                id: None,
                queue_arn: arn.to_owned(),
            }]),
            ..dto::NotificationConfiguration::default()
        }
    }

    #[test]
    fn rules_are_taken_and_shown() {
        let given = queue(QUEUE, &[("prefix", "in/"), ("Suffix", ".jpg")]);
        let configuration = taken(given, &|| 7).unwrap();
        let [rule] = &configuration.rules[..] else {
            panic!("one rule");
        };
        assert_eq!(rule.id.len(), 32);
        assert_eq!(rule.prefix.as_deref(), Some("in/"));
        assert_eq!(rule.suffix.as_deref(), Some(".jpg"));
        let mut shown = dto::GetBucketNotificationConfigurationOutput::default();
        show(&mut shown, rule);
        let queues = shown.queue_configurations.unwrap();
        assert_eq!(queues[0].queue_arn, QUEUE);
        assert_eq!(queues[0].events[0].as_ref(), "s3:ObjectCreated:*");
        assert!(shown.topic_configurations.is_none());
    }

    #[test]
    fn what_can_be_no_rule_is_refused() {
        let text = |given| taken(given, &|| 7).unwrap_err().message.into_owned();
        let topic = "arn:aws:sns:us-east-1:111122223333:t";
        assert_eq!(text(queue(topic, &[])), "The ARN could not be parsed");
        assert_eq!(
            text(queue(QUEUE, &[("infix", "x")])),
            "filter rule name must be either prefix or suffix"
        );
        assert_eq!(
            text(queue(QUEUE, &[("prefix", "x"), ("Prefix", "y")])),
            "Cannot specify more than one prefix rule in a filter."
        );
        let bridge = dto::NotificationConfiguration {
            event_bridge_configuration: Some(dto::EventBridgeConfiguration {}),
            ..dto::NotificationConfiguration::default()
        };
        let refused = taken(bridge, &|| 7).unwrap_err();
        assert_eq!(refused.code, "NotImplemented");
    }
}
