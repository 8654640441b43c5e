//! Consumed capacity, by the documented rules ("DynamoDB read and write operations"): a write
//! unit for each KB begun of the larger of the item before and after; half a read unit for each
//! 4 KB begun, a whole one for strongly consistent reads. Counted, never enforced.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::request::Constraints;
use crate::table::{Index, IndexKind, IndexProjection, Table};
use crate::write::Written;
use crate::{Item, item_size, value_size};

/// Bytes that a write unit covers.
const WRITE_UNIT: usize = 1024;
/// Bytes that a read unit covers.
const READ_UNIT: usize = 4096;

/// What a request wants to know of its capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    None,
    Total,
    Indexes,
}

/// What one table's part of a request consumed.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Consumed {
    table: f64,
    indexes: BTreeMap<String, (bool, f64)>,
}

impl Wanted {
    pub(crate) fn constrain(text: Option<&str>, constraints: &mut Constraints) {
        constraints.one_of(
            "returnConsumedCapacity",
            text,
            &["INDEXES", "TOTAL", "NONE"],
        );
    }

    pub(crate) fn of(text: Option<&str>) -> Wanted {
        match text {
            Some("TOTAL") => Wanted::Total,
            Some("INDEXES") => Wanted::Indexes,
            _ => Wanted::None,
        }
    }
}

impl Consumed {
    /// A read of that many bytes in all from the table or an index.
    pub(crate) fn read(index: Option<&Index>, bytes: usize, consistent: bool) -> Consumed {
        let mut consumed = Consumed::default();
        consumed.add_read(index, bytes, consistent);
        consumed
    }

    pub(crate) fn add_read(&mut self, index: Option<&Index>, bytes: usize, consistent: bool) {
        let units = bytes.div_ceil(READ_UNIT).max(1) as f64;
        let units = if consistent { units } else { units / 2.0 };
        match index {
            None => self.table += units,
            Some(index) => self.add_index(index, units),
        }
    }

    /// `ConsumedCapacity` of one write, if it is wanted.
    pub(crate) fn describe_write(
        table: &Table,
        written: &Written,
        wanted: Wanted,
    ) -> Option<Value> {
        if wanted == Wanted::None {
            return None;
        }
        let mut consumed = Consumed::default();
        consumed.add_write(table, written);
        consumed.describe(table, wanted)
    }

    pub(crate) fn add_write(&mut self, table: &Table, written: &Written) {
        let size = |item: &Option<Item>| item.as_ref().map_or(0, item_size);
        self.table += write_units(size(&written.old).max(size(&written.new)));
        for index in &table.indexes {
            let units = index_units(table, index, written);
            if units > 0.0 {
                self.add_index(index, units);
            }
        }
    }

    fn add_index(&mut self, index: &Index, units: f64) {
        let global = index.kind == IndexKind::Global;
        let entry = self.indexes.entry(index.name.clone());
        entry.or_insert((global, 0.0)).1 += units;
    }

    /// `ConsumedCapacity`, if it is wanted.
    pub(crate) fn describe(&self, table: &Table, wanted: Wanted) -> Option<Value> {
        let total = self.table + self.indexes.values().map(|(_, units)| units).sum::<f64>();
        let mut shown = json!({"TableName": table.name, "CapacityUnits": total});
        match wanted {
            Wanted::None => return None,
            Wanted::Total => {}
            Wanted::Indexes => {
                shown["Table"] = json!({"CapacityUnits": self.table});
                for (name, global) in [
                    ("GlobalSecondaryIndexes", true),
                    ("LocalSecondaryIndexes", false),
                ] {
                    let indexes = self.indexes.iter().filter(|(_, (kind, _))| *kind == global);
                    let indexes: Map<String, Value> = indexes
                        .map(|(name, (_, units))| (name.clone(), json!({"CapacityUnits": units})))
                        .collect();
                    if !indexes.is_empty() {
                        shown[name] = Value::Object(indexes);
                    }
                }
            }
        }
        Some(shown)
    }
}

fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(WRITE_UNIT).max(1) as f64
}

/// An entry that appears, disappears or changes costs its size; one whose key changes costs
/// both its removal and its insertion.
fn index_units(table: &Table, index: &Index, written: &Written) -> f64 {
    let entry = |item: &Option<Item>| {
        let item = item.as_ref()?;
        let key = crate::primary_key::entry_key(table, index, item)?;
        Some((key, project(table, index, item)))
    };
    let cost = |entry: &Item| write_units(item_size(entry));
    match (entry(&written.old), entry(&written.new)) {
        (None, None) => 0.0,
        (Some((_, old)), None) => cost(&old),
        (None, Some((_, new))) => cost(&new),
        (Some((before, old)), Some((after, new))) if before != after => cost(&old) + cost(&new),
        (Some((_, old)), Some((_, new))) if old == new => 0.0,
        (Some((_, old)), Some((_, new))) => cost(&old).max(cost(&new)),
    }
}

/// What an index shows of an item.
pub(crate) fn project(table: &Table, index: &Index, item: &Item) -> Item {
    let shown = item.iter().filter(|(name, _)| index.shows(table, name));
    shown
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The size of what an index shows of an item, in bytes.
pub(crate) fn projected_size(table: &Table, index: &Index, item: &Item) -> usize {
    if index.projection == IndexProjection::All {
        return item_size(item);
    }
    let shown = item.iter().filter(|(name, _)| index.shows(table, name));
    shown
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}
