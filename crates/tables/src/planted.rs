//! Bugs planted on purpose, so that the simulation can show that its checkers find them.
//!
//! Nothing outside a test or the simulation may set one: the type can't be read from a
//! configuration file (it is not `Deserialize`, and has no `FromStr`), and `TablesConfig` is
//! built by code.

/// A bug to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantedBug {
    /// Of two versions with the same hybrid time, the one that was here first stays: replicas
    /// that met them in another order differ for ever.
    TieBreakDropped,
    /// Every state that replaces, or is refused for, one of another Region is called a
    /// conflict, whether or not its writer had seen the other: the ledger gets false rows.
    ConflictByTimestamp,
}
