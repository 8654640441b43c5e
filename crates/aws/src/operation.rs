//! Operation tables: every operation of a service's published model, built or not. A table only
//! names and finds; it carries nothing out.

/// One row of a service's operation table.
#[derive(Clone, Copy, Debug)]
pub struct Operation<H> {
    /// Its name in the published model: `PutItem`.
    pub name: &'static str,
    /// What carries it out; `None`: it isn't built and answers so by name.
    pub handler: Option<H>,
}

/// How much of a service's published model is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// Operations that are carried out.
    pub built: usize,
    /// Operations in the model.
    pub total: usize,
}

/// The row of that name.
pub fn find<'a, H>(table: &'a [Operation<H>], name: &str) -> Option<&'a Operation<H>> {
    table.iter().find(|row| row.name == name)
}

/// Counts both kinds of rows.
pub fn count<H>(table: &[Operation<H>]) -> Count {
    Count {
        built: table.iter().filter(|row| row.handler.is_some()).count(),
        total: table.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_by_name_and_counts_both_kinds() {
        let table = [
            Operation {
                name: "GetItem",
                handler: Some(1),
            },
            Operation {
                name: "PutResourcePolicy",
                handler: None,
            },
        ];
        assert_eq!(find(&table, "GetItem").and_then(|row| row.handler), Some(1));
        assert!(find(&table, "getitem").is_none());
        assert_eq!(count(&table), Count { built: 1, total: 2 });
    }
}
