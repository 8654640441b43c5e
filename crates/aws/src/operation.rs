//! Operation tables: every operation of a service's published model, built or not.

/// One row of a service's operation table.
#[derive(Clone, Copy, Debug)]
pub struct Operation<H> {
    /// Its name in the published model: `PutItem`.
    pub name: &'static str,
    /// What carries it out; `None`: it isn't built and answers so by name.
    pub handler: Option<H>,
}

/// The row of that name.
pub fn find<'a, H>(table: &'a [Operation<H>], name: &str) -> Option<&'a Operation<H>> {
    table.iter().find(|row| row.name == name)
}
