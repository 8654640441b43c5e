//! Bugs that the simulation plants to prove that its checkers see them. No configuration file
//! and no command line reaches them.

/// A bug of the Region's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantedBug {
    /// The cursor is committed before the changes rather than with them: a crash in between
    /// loses changes for ever.
    CursorNotAtomic,
    /// What was read of the log is sent even if shipping has started again from somewhere else
    /// since: a message then says that it holds what it doesn't.
    StaleReadingSent,
}
