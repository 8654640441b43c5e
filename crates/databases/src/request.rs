//! One request while it is carried out: who calls, and what its form says, read by the kinds of
//! parameters that the API has and failed in the service's words. It looks nothing up.

use aws::access::{Access, Authorizer};
use aws::query::{Form, Members, RDS, Reply};
use aws::xml::XmlWriter;
use types::{AccountId, ConfigurationView, Region};

use crate::arn::{ClusterArn, GroupArn, InstanceArn, Kind, SnapshotArn};
use crate::error::{DatabasesError, Refusal};
use crate::limits::{MAX_FILTERS, MAX_PAGE, MIN_PAGE};
use crate::operation_table::Row;

/// Characters of a bad value that an error repeats.
const MAX_SHOWN: usize = 256;

/// The longest marker, in bytes.
const MAX_MARKER: usize = 512;

/// What an operation was asked.
#[derive(Clone, Copy)]
pub(crate) struct DatabasesRequest<'a> {
    row: &'static Row,
    form: &'a Form,
    caller: &'a dyn Authorizer,
    region: Region,
}

impl<'a> DatabasesRequest<'a> {
    pub(crate) fn new(
        row: &'static Row,
        form: &'a Form,
        caller: &'a dyn Authorizer,
        region: Region,
    ) -> DatabasesRequest<'a> {
        DatabasesRequest {
            row,
            form,
            caller,
            region,
        }
    }

    /// May the caller have it carried out?
    ///
    /// # Errors
    ///
    /// The caller may not, or the request doesn't say what it is about.
    pub(crate) fn authorize(&self, view: &dyn ConfigurationView) -> Result<(), DatabasesError> {
        let Access::Judged { action, resources } = self.row.access else {
            return Ok(());
        };
        let questions = resources(self, view, action)?;
        // A row that asks nothing would let everyone in.
        if questions.is_empty() {
            return Err(DatabasesError::value("The request is about nothing."));
        }
        for question in questions {
            self.caller.authorize(&question)?;
        }
        Ok(())
    }

    /// The caller's name.
    pub(crate) fn caller(&self) -> &str {
        self.caller.arn()
    }

    /// The caller's account, which is the one whose things it is about.
    pub(crate) fn account(&self) -> AccountId {
        self.caller.account()
    }

    /// The Region that it came to.
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    /// The request's parameters.
    pub(crate) fn members(&self) -> Members<'a> {
        self.form.members()
    }

    /// A parameter's text, if it has one.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.members().value(name).filter(|text| !text.is_empty())
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, DatabasesError> {
        required(&self.members(), name)
    }

    /// True or false, or nothing said.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, DatabasesError> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(DatabasesError::value(format!(
                "Invalid value '{}' for {name}. Must be true or false",
                shown(other)
            ))),
        }
    }

    /// A number within those bounds, both included.
    pub(crate) fn number(
        &self,
        name: &str,
        (least, most): (u32, u32),
    ) -> Result<Option<u32>, DatabasesError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            let text = shown(text);
            DatabasesError::value(format!(
                "Invalid value {text} for {name}. Must be between {least} and {most}"
            ))
        })
    }

    /// The name of an instance of the caller's, in this Region.
    pub(crate) fn instance_arn(&self, identifier: &str) -> InstanceArn {
        InstanceArn {
            region: self.region,
            account: self.account(),
            identifier: identifier.to_ascii_lowercase(),
        }
    }

    /// The name of a cluster of the caller's, in this Region.
    pub(crate) fn cluster_arn(&self, identifier: &str) -> ClusterArn {
        ClusterArn {
            region: self.region,
            account: self.account(),
            identifier: identifier.to_ascii_lowercase(),
        }
    }

    /// The name of a snapshot of the caller's, in this Region.
    pub(crate) fn snapshot_arn(&self, identifier: &str) -> SnapshotArn {
        SnapshotArn {
            region: self.region,
            account: self.account(),
            identifier: identifier.to_ascii_lowercase(),
        }
    }

    /// The name of a group of the caller's, in this Region.
    pub(crate) fn group_arn(&self, kind: Kind, name: &str) -> GroupArn {
        GroupArn {
            region: self.region,
            account: self.account(),
            kind,
            name: name.to_ascii_lowercase(),
        }
    }

    /// The first of those parameters that the request gives: what each of them means isn't built.
    /// One that says `false` asks for nothing.
    pub(crate) fn refuse_unbuilt(&self, names: &[&str]) -> Result<(), DatabasesError> {
        let members = self.members();
        for name in names {
            let value = self.text(name).filter(|value| *value != "false");
            let listed = || members.structure(name).is_some();
            if value.is_some() || listed() {
                return Err(DatabasesError::not_built(&format!("The parameter {name}")));
            }
        }
        Ok(())
    }

    /// An answer with a result, to be written.
    pub(crate) fn reply(&self) -> Reply {
        Reply::with_result(&RDS, self.row.name)
    }

    /// The answer of an operation that has no result.
    pub(crate) fn done(&self) -> Reply {
        Reply::empty(&RDS, self.row.name)
    }
}

/// A parameter that must be there.
pub(crate) fn required<'f>(of: &Members<'f>, name: &str) -> Result<&'f str, DatabasesError> {
    let found = of.value(name).filter(|text| !text.is_empty());
    found.ok_or_else(|| {
        let text = format!("The request must contain the parameter {name}.");
        DatabasesError::refused(Refusal::MissingParameter, text)
    })
}

/// A list of texts: `SubnetIds.SubnetIdentifier.1`, or with `member` as other services have it.
pub(crate) fn list<'f>(
    of: &Members<'f>,
    name: &str,
    item: &str,
) -> Result<Vec<&'f str>, DatabasesError> {
    let named = of.numbered(&format!("{name}.{item}"))?;
    match named.is_empty() {
        true => Ok(of.values(name)?),
        false => Ok(named),
    }
}

/// A list of structures: `Tags.Tag.1.Key`, or with `member` as other services have it.
pub(crate) fn list_of_structures<'f>(
    of: &Members<'f>,
    name: &str,
    item: &str,
) -> Result<Vec<Members<'f>>, DatabasesError> {
    let named = of.numbered_structures(&format!("{name}.{item}"))?;
    match named.is_empty() {
        true => Ok(of.structures(name)?),
        false => Ok(named),
    }
}

/// As much of a refused value as a refusal repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// What a request filters by: each name with the values of which one must be met.
pub(crate) struct Filters<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Filters<'a> {
    /// A request's filters, of which the operation knows these.
    pub(crate) fn of(
        request: &DatabasesRequest<'a>,
        known: &[&str],
    ) -> Result<Filters<'a>, DatabasesError> {
        let mut read = Vec::new();
        let given = list_of_structures(&request.members(), "Filters", "Filter")?;
        if given.len() > MAX_FILTERS {
            let text = format!("At most {MAX_FILTERS} filters can be specified");
            return Err(DatabasesError::value(text));
        }
        for filter in given {
            let name = required(&filter, "Name")?;
            if !known.contains(&name) {
                let text = format!("Unrecognized filter name: {}", shown(name));
                return Err(DatabasesError::value(text));
            }
            let values = list(&filter, "Values", "Value")?;
            if values.is_empty() || values.len() > MAX_FILTERS {
                let text = format!("Filter {name} has to have 1 to {MAX_FILTERS} values");
                return Err(DatabasesError::value(text));
            }
            read.push((name, values));
        }
        Ok(Filters(read))
    }

    /// Meets something every filter, having these values under their names?
    pub(crate) fn pass(&self, has: &[(&str, &str)]) -> bool {
        self.0.iter().all(|(name, values)| {
            let mut own = has.iter().filter(|(known, _)| known == name);
            own.any(|(_, value)| values.iter().any(|one| one.eq_ignore_ascii_case(value)))
        })
    }
}

/// Which page of a list is asked for.
pub(crate) struct Paging {
    most: usize,
    after: Option<String>,
}

impl Paging {
    /// The page that a request asks for by `MaxRecords` and `Marker`.
    pub(crate) fn of(request: &DatabasesRequest<'_>) -> Result<Paging, DatabasesError> {
        let most = request.number("MaxRecords", (MIN_PAGE, MAX_PAGE))?;
        let marker = request.text("Marker");
        let is_one = |marker: &str| {
            marker.len() <= MAX_MARKER && marker.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(marker) = marker.filter(|marker| !is_one(marker)) {
            let text = format!("Invalid marker: {}", shown(marker));
            return Err(DatabasesError::value(text));
        }
        Ok(Paging {
            most: usize::try_from(most.unwrap_or(MAX_PAGE)).unwrap_or(1),
            after: marker.map(str::to_owned),
        })
    }

    /// Writes the page, a list of that name with members of that name, and the marker of the next:
    /// of items that come with the keys that they are to be sorted by. A marker is the key of the
    /// last item of the page before, so that pages stay whole whatever is made or deleted between
    /// them.
    pub(crate) fn write<T>(
        &self,
        writer: &mut XmlWriter,
        (list, member): (&'static str, &'static str),
        mut items: Vec<(String, T)>,
        mut shape: impl FnMut(&mut XmlWriter, T),
    ) {
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(after) = &self.after {
            items.retain(|(key, _)| key > after);
        }
        let next = (items.len() > self.most).then(|| items[self.most - 1].0.clone());
        items.truncate(self.most);
        writer.open(list);
        for (_, item) in items {
            writer.open(member);
            shape(writer, item);
            writer.close();
        }
        writer.close();
        writer.optional("Marker", next);
    }
}
