//! `DescribeDBParameters`, and what it has in common with that of clusters' groups.

use aws::query::Reply;
use aws::xml::XmlWriter;

use super::parameter_groups;
use crate::error::DatabasesError;
use crate::model::{Applied, ParameterGroup};
use crate::parameters::{self, Apply, Parameter};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;

/// `DescribeDBParameters`: every setting, or those that the group sets.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    list(request, "DBParameterGroupName", parameters::all(), |name| {
        parameter_groups::shown_group(service, &*service.view(), request, name)
    })
}

/// Those of the parameters that a request asks for, as the group that it names sets them.
pub(super) fn list(
    request: &DatabasesRequest<'_>,
    named: &str,
    all: impl Iterator<Item = &'static Parameter>,
    find: impl FnOnce(&str) -> Result<ParameterGroup, DatabasesError>,
) -> Result<Reply, DatabasesError> {
    let filters = Filters::of(request, &["parameter-name"])?;
    let paging = Paging::of(request)?;
    let name = request.required(named)?;
    let source = request.text("Source");
    if let Some(other) =
        source.filter(|source| !["user", "system", "engine-default"].contains(source))
    {
        let text = format!("Invalid source: {}", shown(other));
        return Err(DatabasesError::value(text));
    }
    let group = find(name)?;
    let is_asked = |parameter: &&Parameter| {
        source.is_none_or(|asked| asked == source_of(parameter, &group))
            && filters.pass(&[("parameter-name", &parameter.name)])
    };
    let asked = all.filter(is_asked);
    let keyed = asked.map(|parameter| (parameter.name.clone(), parameter));
    let mut reply = request.reply();
    let list = ("Parameters", "Parameter");
    paging.write(
        reply.writer(),
        list,
        keyed.collect(),
        |writer, parameter| write(writer, parameter, &group),
    );
    Ok(reply)
}

/// Who says what a setting is: the group, this program, or PostgreSQL.
fn source_of(parameter: &Parameter, group: &ParameterGroup) -> &'static str {
    match (
        group.parameters.contains_key(&parameter.name),
        parameter.is_modifiable,
    ) {
        (true, _) => "user",
        (false, false) => "system",
        (false, true) => "engine-default",
    }
}

fn write(writer: &mut XmlWriter, parameter: &Parameter, group: &ParameterGroup) {
    let set = group.parameters.get(&parameter.name);
    let default = match parameter.apply {
        Apply::Dynamic => Applied::Immediate,
        Apply::Static => Applied::PendingReboot,
    };
    writer
        .value("ParameterName", &parameter.name)
        .optional("ParameterValue", set.map(|(value, _)| value))
        .value("Description", parameter.description)
        .value("Source", source_of(parameter, group))
        .value("ApplyType", parameter.apply)
        .value("DataType", parameter.data_type)
        .optional("AllowedValues", parameter.allowed())
        .value("IsModifiable", parameter.is_modifiable)
        .value("ApplyMethod", set.map_or(default, |(_, applied)| *applied));
}
