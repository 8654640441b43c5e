//! (Written with the errors.)
