//! May the caller? What each operation is done to, as names, with the condition keys that the
//! request has (Service Authorization Reference, "Actions, resources, and condition keys for Amazon
//! RDS"). A thing that isn't there is asked for by the name that the request gives it.

use aws::access::Question;
use types::ConfigurationView;

use crate::arn::{Arn, Kind};
use crate::catalogue;
use crate::error::DatabasesError;
use crate::model::{Instance, OptionGroup, ParameterGroup, SubnetGroup, Tags};
use crate::operations::{automated_backups, global_tags};
use crate::request::{DatabasesRequest, list, shown};
use crate::{shapes, tags};

/// What a row's action is done to, given the request; one question at least.
pub(crate) type Resources =
    fn(&DatabasesRequest<'_>, &dyn ConfigurationView, &'static str) -> Asked;

type Asked = Result<Vec<Question<'static>>, DatabasesError>;

/// Parameters that name a thing of a kind.
const NAMED: &[(&str, Kind)] = &[
    ("DBInstanceIdentifier", Kind::Instance),
    ("DBClusterIdentifier", Kind::Cluster),
    ("DBClusterEndpointIdentifier", Kind::ClusterEndpoint),
    ("DBSnapshotIdentifier", Kind::Snapshot),
    ("DBSubnetGroupName", Kind::SubnetGroup),
    ("DBParameterGroupName", Kind::ParameterGroup),
    ("DBClusterParameterGroupName", Kind::ClusterParameterGroup),
    ("OptionGroupName", Kind::OptionGroup),
];

/// Nothing in particular.
pub(crate) fn everything(
    request: &DatabasesRequest<'_>,
    _: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    Ok(vec![Question::new(action, "*", request.account())])
}

/// The instance that is named, or all of them; and whatever else the request names beside it.
pub(crate) fn instance(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::Instance)
}

/// The cluster that is named, or all of them; and whatever else the request names beside it.
pub(crate) fn cluster(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let mut questions = about(request, view, action, Kind::Cluster)?;
    if let Some(name) = request.text("GlobalClusterIdentifier") {
        questions.push(global(request, action, name));
    }
    Ok(questions)
}

/// The custom endpoint that is named, or all of them; and its cluster where that is named.
pub(crate) fn cluster_endpoint(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::ClusterEndpoint)
}

/// The global cluster that is named, or all of them, and the member that is named beside it.
pub(crate) fn global_cluster(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let name = request.text("GlobalClusterIdentifier").unwrap_or("*");
    let question = with_settings(request, with_tags(request, global(request, action, name))?);
    let mut questions = vec![question];
    for parameter in [
        "DbClusterIdentifier",
        "TargetDbClusterIdentifier",
        "SourceDBClusterIdentifier",
    ] {
        if let Some(name) = request.text(parameter) {
            questions.push(one(request, view, action, Kind::Cluster, name));
        }
    }
    let given = tags::given(&request.members())?;
    if action.contains(":Create") && !given.is_empty() {
        let mut tagging = questions[0].clone();
        tagging.action = "rds:AddTagsToResource".into();
        questions.push(tagging);
    }
    Ok(questions)
}

fn global(request: &DatabasesRequest<'_>, action: &'static str, name: &str) -> Question<'static> {
    let arn = shapes::global_arn(request.account(), &shown(name).to_ascii_lowercase());
    Question::new(action, arn, request.account())
}

/// The snapshot that is named, or all of them; and whatever else the request names beside it.
pub(crate) fn snapshot(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::Snapshot)
}

/// The subnet group that is named, or all of them.
pub(crate) fn subnet_group(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::SubnetGroup)
}

/// The parameter group that is named, or all of them.
pub(crate) fn parameter_group(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::ParameterGroup)
}

/// The parameter group of clusters that is named, or all of them.
pub(crate) fn cluster_parameter_group(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::ClusterParameterGroup)
}

/// The option group that is named, or all of them.
pub(crate) fn option_group(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    about(request, view, action, Kind::OptionGroup)
}

/// A replica that is to be made, and its source.
pub(crate) fn replica(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let mut questions = about(request, view, action, Kind::Instance)?;
    if let Some(source) = request.text("SourceDBInstanceIdentifier") {
        questions.push(one(request, view, action, Kind::Instance, source));
    }
    Ok(questions)
}

/// A copy of a snapshot that is to be made, and what it is made of.
pub(crate) fn copied_snapshot(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let mut questions = Vec::new();
    for (parameter, is_copy) in [
        ("TargetDBSnapshotIdentifier", true),
        ("SourceDBSnapshotIdentifier", false),
    ] {
        let name = request.text(parameter).unwrap_or("*");
        let question = one(request, view, action, Kind::Snapshot, name);
        questions.push(match is_copy {
            true => with_tags(request, question)?,
            false => question,
        });
    }
    let given = tags::given(&request.members())?;
    if !given.is_empty() {
        let mut tagging = questions[0].clone();
        tagging.action = "rds:AddTagsToResource".into();
        questions.push(tagging);
    }
    Ok(questions)
}

/// An instance that is to be made of another's backups, and the other, however it is named.
pub(crate) fn restored(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let own = ("TargetDBInstanceIdentifier", Kind::Instance);
    let mut questions = about_own(request, view, action, own)?;
    if let Some(source) = request.text("SourceDBInstanceIdentifier") {
        questions.push(one(request, view, action, Kind::Instance, source));
    }
    let parameters = ("SourceDbiResourceId", "SourceDBInstanceAutomatedBackupsArn");
    let is_given = |parameter| request.text(parameter).is_some();
    if is_given(parameters.0) || is_given(parameters.1) {
        questions.push(match automated_backups::named(view, request, parameters) {
            Ok(source) => of_instance(action, &source),
            // Whoever may restore nothing in particular isn't told that it isn't there.
            Err(_) => Question::new(action, "*", request.account()),
        });
    }
    Ok(questions)
}

/// The automated backups that a request names, as AWS names them; their tags are their instance's.
pub(crate) fn automated_backup(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let parameters = ("DbiResourceId", "DBInstanceAutomatedBackupsArn");
    let Ok(source) = automated_backups::named(view, request, parameters) else {
        return Ok(vec![Question::new(action, "*", request.account())]);
    };
    let own = Question::new(action, automated_backups::arn(&source), source.arn.account);
    Ok(vec![with_held_tags(own, Kind::Instance, source.tags)])
}

/// An instance as it is, or as it was when it was deleted: then its tags are those it had.
fn of_instance(action: &'static str, instance: &Instance) -> Question<'static> {
    let arn = Arn::from(&instance.arn);
    let question = Question::new(action, arn.to_string(), arn.account);
    with_held_tags(question, arn.kind, instance.tags.clone())
}

/// What has the tags that are set, taken away or listed.
pub(crate) fn tagged(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let name = request.text("ResourceName").unwrap_or("*");
    let question = match name.parse::<Arn>() {
        Ok(arn) => of_arn(view, action, &arn),
        // By the name as it is held: policies compare resources by case.
        Err(_) => match global_tags::named(request) {
            Ok(Some(name)) => global(request, action, name),
            _ => Question::new(action, shown(name), request.account()),
        },
    };
    Ok(vec![with_tags(request, question)?])
}

/// What a request names, first that of the operation's own kind; and the tagging of what is made.
fn about(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
    kind: Kind,
) -> Asked {
    let own = NAMED.iter().find(|(_, named)| *named == kind);
    about_own(
        request,
        view,
        action,
        *own.expect("every kind has a parameter"),
    )
}

/// As [`about`], with the parameter that names what the operation is done to.
fn about_own(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
    own: (&str, Kind),
) -> Asked {
    let others = NAMED.iter().copied().filter(|(_, named)| *named != own.1);
    let mut questions = Vec::new();
    for (parameter, kind) in std::iter::once(own).chain(others) {
        let is_own = questions.is_empty();
        let Some(name) = request.text(parameter).or(is_own.then_some("*")) else {
            continue;
        };
        let mut question = one(request, view, action, kind, name);
        if is_own {
            question = with_settings(request, with_tags(request, question)?);
        }
        questions.push(question);
    }
    let makes = action.contains(":Create") || action.contains(":Restore");
    let given = tags::given(&request.members())?;
    if makes && !given.is_empty() {
        let mut tagging = questions[0].clone();
        tagging.action = "rds:AddTagsToResource".into();
        questions.push(tagging);
    }
    Ok(questions)
}

/// What is named by a name of its own or by its ARN.
fn one(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
    kind: Kind,
    name: &str,
) -> Question<'static> {
    if let Ok(arn) = name.parse::<Arn>() {
        return of_arn(view, action, &arn);
    }
    let arn = Arn {
        region: request.region(),
        account: request.account(),
        kind,
        name: shown(name).to_ascii_lowercase(),
    };
    of_arn(view, action, &arn)
}

fn of_arn(view: &dyn ConfigurationView, action: &'static str, arn: &Arn) -> Question<'static> {
    let question = Question::new(action, arn.to_string(), arn.account);
    let tags = held_tags(view, arn).unwrap_or_default();
    with_held_tags(question, arn.kind, tags)
}

/// With the condition keys of the tags that a thing of that kind has.
fn with_held_tags(mut question: Question<'static>, kind: Kind, tags: Tags) -> Question<'static> {
    let prefix = match kind {
        Kind::Instance => "rds:db-tag",
        Kind::Cluster => "rds:cluster-tag",
        // It has no key of its own for tags.
        Kind::ClusterEndpoint => "aws:ResourceTag",
        Kind::Snapshot => "rds:snapshot-tag",
        Kind::SubnetGroup => "rds:subgrp-tag",
        Kind::ParameterGroup => "rds:pg-tag",
        Kind::ClusterParameterGroup => "rds:cluster-pg-tag",
        Kind::OptionGroup => "rds:og-tag",
    };
    for (key, value) in tags {
        for prefix in ["aws:ResourceTag", prefix] {
            question = question.key(format!("{prefix}/{key}"), value.clone());
        }
    }
    question
}

/// The tags of what is named, if it is there and can be read; another Region's is not.
fn held_tags(view: &dyn ConfigurationView, arn: &Arn) -> Option<Tags> {
    let group = || arn.clone().try_into().ok();
    match arn.kind {
        Kind::Instance => {
            let name = arn.clone().try_into().ok()?;
            let found = catalogue::instance_named(view, &name).ok()?;
            found.map(|(_, instance)| instance.tags)
        }
        Kind::Cluster => {
            let name = arn.clone().try_into().ok()?;
            let found = catalogue::cluster_named(view, &name).ok()?;
            found.map(|(_, cluster)| cluster.tags)
        }
        Kind::ClusterEndpoint => {
            let name = arn.clone().try_into().ok()?;
            let found = catalogue::endpoint_named(view, &name).ok()?;
            found.map(|(_, endpoint)| endpoint.tags)
        }
        Kind::Snapshot => {
            let name = arn.clone().try_into().ok()?;
            let found = catalogue::snapshot(view, &name).ok()?;
            found.map(|(_, snapshot)| snapshot.tags)
        }
        Kind::SubnetGroup => {
            let found = catalogue::group::<SubnetGroup>(view, &group()?).ok()?;
            found.map(|(_, group)| group.tags)
        }
        Kind::ParameterGroup | Kind::ClusterParameterGroup => {
            let found = catalogue::group::<ParameterGroup>(view, &group()?).ok()?;
            found.map(|(_, group)| group.tags)
        }
        Kind::OptionGroup => {
            let found = catalogue::group::<OptionGroup>(view, &group()?).ok()?;
            found.map(|(_, group)| group.tags)
        }
    }
}

/// With the condition keys of the tags that the request gives, or takes away.
fn with_tags(
    request: &DatabasesRequest<'_>,
    mut question: Question<'static>,
) -> Result<Question<'static>, DatabasesError> {
    let members = request.members();
    let mut keys = Vec::new();
    for tag in tags::given(&members)? {
        let (key, value) = (tag.value("Key").unwrap_or(""), tag.value("Value"));
        for prefix in ["aws:RequestTag", "rds:req-tag"] {
            question = question.key(format!("{prefix}/{key}"), value.unwrap_or(""));
        }
        keys.push(key.to_owned());
    }
    let taken = list(&members, "TagKeys", "member")?;
    keys.extend(taken.into_iter().map(str::to_owned));
    if !keys.is_empty() {
        question.keys.set("aws:TagKeys", keys);
    }
    Ok(question)
}

/// With the condition keys of what an instance is to be.
fn with_settings(
    request: &DatabasesRequest<'_>,
    mut question: Question<'static>,
) -> Question<'static> {
    for (parameter, key) in [
        ("DBInstanceClass", "rds:DatabaseClass"),
        ("Engine", "rds:DatabaseEngine"),
        ("DBName", "rds:DatabaseName"),
        ("AllocatedStorage", "rds:StorageSize"),
        ("MultiAZ", "rds:MultiAz"),
        ("StorageEncrypted", "rds:StorageEncrypted"),
        ("ManageMasterUserPassword", "rds:ManageMasterUserPassword"),
    ] {
        if let Some(value) = request.text(parameter) {
            question = question.key(key, shown(value));
        }
    }
    question
}
