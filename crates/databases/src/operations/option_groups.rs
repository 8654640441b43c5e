//! Option groups: to make, describe and delete them. PostgreSQL has no options to put into one.

use aws::query::Reply;
use types::ConfigurationView;

use super::{common, instances};
use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::engine::POSTGRES;
use crate::error::{DatabasesError, Refusal};
use crate::input::names;
use crate::limits::MAX_OPTION_GROUPS;
use crate::model::{OptionGroup, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::{keys, shapes, tags};

/// `CreateOptionGroup`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = names::long("OptionGroupName", request.required("OptionGroupName")?)?;
    instances::check_engine(request.required("EngineName")?)?;
    let engine = common::engine(service)?;
    let major = request.required("MajorEngineVersion")?;
    if major != engine.major() {
        let text = format!(
            "Cannot find major version {} for {POSTGRES}: installed here is {}",
            shown(major),
            engine.major()
        );
        return Err(DatabasesError::combination(text));
    }
    let description = request.required("OptionGroupDescription")?;
    let group = OptionGroup {
        arn: request.group_arn(Kind::OptionGroup, &name),
        description: names::description("OptionGroupDescription", description)?,
        major_version: major.to_owned(),
        tags: tags::read(&request.members())?,
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let key = keys::group(&group.arn);
        if view.get(&key).is_some() {
            let text = format!("An option group named {name} already exists.");
            let refusal = Refusal::OptionGroupAlreadyExists;
            return Err(DatabasesError::refused(refusal, text));
        }
        let held: Vec<Row<OptionGroup>> = catalogue::groups_of(view, request.account())?;
        if held.len() >= MAX_OPTION_GROUPS {
            let text = format!("Cannot create more than {MAX_OPTION_GROUPS} option groups");
            let refusal = Refusal::OptionGroupQuotaExceeded;
            return Err(DatabasesError::refused(refusal, text));
        }
        Ok((vec![catalogue::create(key, &group)], ()))
    });
    made.await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("OptionGroup");
    shapes::option_group(writer, &group);
    writer.close();
    Ok(reply)
}

/// The default group of the installed engine.
fn default(service: &Service, request: &DatabasesRequest<'_>) -> Option<OptionGroup> {
    let engine = service.config.engine.as_ref().ok()?;
    Some(OptionGroup {
        arn: request.group_arn(Kind::OptionGroup, &engine.default_option_group()),
        description: format!("Default option group for {POSTGRES} {}", engine.major()),
        major_version: engine.major().to_owned(),
        tags: Tags::new(),
    })
}

/// `DescribeOptionGroups`: all, the default one among them, or one.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let held: Vec<Row<OptionGroup>> = catalogue::groups_of(&*view, request.account())?;
    let mut found: Vec<OptionGroup> = held.into_iter().map(|(_, group)| group).collect();
    found.extend(default(service, request));
    if let Some(name) = request.text("OptionGroupName") {
        found.retain(|group| group.arn.name.eq_ignore_ascii_case(name));
        if found.is_empty() {
            return Err(common::no_option_group(name));
        }
    }
    let (engine, major) = (
        request.text("EngineName"),
        request.text("MajorEngineVersion"),
    );
    found.retain(|group| {
        let is_asked = |major: &str| major == group.major_version;
        engine.is_none_or(|name| name == POSTGRES) && major.is_none_or(is_asked)
    });
    let keyed = found
        .into_iter()
        .map(|group| (group.arn.name.clone(), group));
    let mut reply = request.reply();
    let list = ("OptionGroupsList", "OptionGroup");
    paging.write(reply.writer(), list, keyed.collect(), |writer, group| {
        shapes::option_group(writer, &group);
    });
    Ok(reply)
}

/// `DeleteOptionGroup`.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("OptionGroupName")?;
    let arn = request.group_arn(Kind::OptionGroup, name);
    let refuse = |text: String| {
        Err(DatabasesError::refused(
            Refusal::InvalidOptionGroupState,
            text,
        ))
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let Some((revision, group)) = catalogue::group::<OptionGroup>(view, &arn)? else {
            return match default(service, request).filter(|group| group.arn == arn) {
                Some(_) => refuse(format!("The option group {} can't be deleted.", arn.name)),
                None => Err(common::no_option_group(name)),
            };
        };
        let instances = catalogue::instances_of(view, request.account())?;
        let snapshots = catalogue::snapshots_of(view, request.account())?;
        let is_used = instances
            .iter()
            .any(|(_, it)| it.option_group == group.arn.name)
            || snapshots
                .iter()
                .any(|(_, it)| it.option_group == group.arn.name);
        if is_used {
            return refuse(format!(
                "The option group {} cannot be deleted because it is in use.",
                group.arn.name
            ));
        }
        Ok((
            vec![catalogue::remove(keys::group(&group.arn), revision)],
            (),
        ))
    });
    made.await?;
    Ok(request.done())
}
