//! What `Query` and `Scan` share: what is selected of the items they read, and their response.

use serde::Serialize;
use serde_json::Value;
use store::Engine;

use crate::capacity::{Consumed, Wanted, project};
use crate::parameters::{Shown, holds};
use crate::read::{Extent, Source};
use crate::request::Constraints;
use crate::table::{IndexProjection, Table};
use crate::{Condition, Item, Tables, TablesError};

/// `Select`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Select {
    AllAttributes,
    AllProjected,
    Specific,
    Count,
}

/// What is selected of the items that are read.
pub(crate) struct Selection {
    select: Select,
    shown: Shown,
    pub(crate) filter: Option<Condition>,
}

/// A response's body.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output {
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Value>,
}

/// `Select` must be a word of its set.
pub(crate) fn constrain_select(select: Option<&str>, constraints: &mut Constraints) {
    constraints.one_of(
        "select",
        select,
        &[
            "SPECIFIC_ATTRIBUTES",
            "COUNT",
            "ALL_ATTRIBUTES",
            "ALL_PROJECTED_ATTRIBUTES",
        ],
    );
}

impl Selection {
    /// What the parameters say together.
    pub(crate) fn judge(
        select: Option<&str>,
        shown: Shown,
        filter: Option<Condition>,
        has_index: bool,
    ) -> Result<Selection, TablesError> {
        let parameter = shown.parameter;
        let refuse = |what: &str| match parameter {
            None => Ok(()),
            Some(parameter) => Err(TablesError::Validation(format!(
                "Cannot specify the {parameter} when choosing to get {what}"
            ))),
        };
        let select = match select {
            Some("COUNT") => {
                refuse("only the Count")?;
                Select::Count
            }
            Some("ALL_ATTRIBUTES") => {
                refuse("ALL_ATTRIBUTES")?;
                Select::AllAttributes
            }
            Some("ALL_PROJECTED_ATTRIBUTES") => {
                refuse("ALL_PROJECTED_ATTRIBUTES")?;
                if !has_index {
                    return Err(TablesError::validation(
                        "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an \
                         IndexName",
                    ));
                }
                Select::AllProjected
            }
            Some(_) if parameter.is_none() => {
                return Err(TablesError::validation(
                    "Must specify the AttributesToGet or ProjectionExpression when choosing to \
                     get SPECIFIC_ATTRIBUTES",
                ));
            }
            _ if parameter.is_some() => Select::Specific,
            _ if has_index => Select::AllProjected,
            _ => Select::AllAttributes,
        };
        Ok(Selection {
            select,
            shown,
            filter,
        })
    }

    /// Can the source show what is selected?
    pub(crate) fn check(&self, source: Source<'_>, consistent: bool) -> Result<(), TablesError> {
        let Some(index) = source.index.filter(|_| source.is_global_index()) else {
            return Ok(());
        };
        if consistent {
            return Err(TablesError::validation(
                "Consistent reads are not supported on global secondary indexes",
            ));
        }
        if self.select == Select::AllAttributes && index.projection != IndexProjection::All {
            return Err(TablesError::invalid(format!(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index {} \
                 because its projection type is not ALL",
                index.name
            )));
        }
        let asked = self.shown.asked();
        let hidden = asked.iter().filter(|name| !index.shows(source.table, name));
        let hidden: Vec<&str> = hidden.copied().collect();
        if !hidden.is_empty() {
            return Err(TablesError::invalid(format!(
                "Global secondary index {} does not project [{}]",
                index.name,
                hidden.join(", ")
            )));
        }
        Ok(())
    }

    /// The part of an item that filter and response see: from a local index everything can be
    /// fetched, if it is asked for.
    fn visible(&self, source: Source<'_>, item: Item) -> Item {
        match source.index {
            Some(index)
                if index.projection != IndexProjection::All
                    && (source.is_global_index() || self.select == Select::AllProjected) =>
            {
                project(source.table, index, &item)
            }
            _ => item,
        }
    }
}

impl<E: Engine> Tables<E> {
    /// Reads the page and selects from it.
    pub(crate) async fn select_page(
        &self,
        table: &Table,
        source: Source<'_>,
        extent: Extent,
        selection: &Selection,
        (capacity, consistent): (Wanted, bool),
    ) -> Result<Output, TablesError> {
        let mut items = Vec::new();
        let mut count = 0;
        let end = self
            .read_page(source, extent, |item| {
                let item = selection.visible(source, item);
                if holds(selection.filter.as_ref(), Some(&item)) {
                    count += 1;
                    if selection.select != Select::Count {
                        items.push(selection.shown.of(item));
                    }
                }
                Ok(())
            })
            .await?;
        let consumed = Consumed::read(source.index, end.bytes, consistent);
        Ok(Output {
            count,
            scanned_count: end.scanned,
            items: (selection.select != Select::Count).then_some(items),
            last_evaluated_key: end.last,
            consumed_capacity: consumed.describe(table, capacity),
        })
    }
}
