//! Operation tables: every operation of a service's published model, built or not. A table only
//! names, says what each operation demands of its caller, and finds; it carries nothing out.

use crate::access::Access;

/// One row of a service's operation table.
#[derive(Clone, Copy, Debug)]
pub struct Operation<H, R> {
    /// Its name in the published model: `PutItem`.
    pub name: &'static str,
    /// What its caller must be allowed. `R` is how the service finds in a request what the action
    /// is done to; every row says it, so that no operation can be forgotten.
    pub access: Access<R>,
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
pub fn find<'a, H, R>(table: &'a [Operation<H, R>], name: &str) -> Option<&'a Operation<H, R>> {
    table.iter().find(|row| row.name == name)
}

/// Counts both kinds of rows.
pub fn count<H, R>(table: &[Operation<H, R>]) -> Count {
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
                access: Access::Judged {
                    action: "dynamodb:GetItem",
                    resources: (),
                },
                handler: Some(1),
            },
            Operation {
                name: "PutResourcePolicy",
                access: Access::Anyone,
                handler: None,
            },
        ];
        assert_eq!(find(&table, "GetItem").and_then(|row| row.handler), Some(1));
        assert!(find(&table, "getitem").is_none());
        assert_eq!(count(&table), Count { built: 1, total: 2 });
    }
}
