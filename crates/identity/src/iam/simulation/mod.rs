//! Simulations: which of some actions some policies allow on some resources. It asks `policy` what
//! a call would ask it, of policies and condition keys that the request gives, and does nothing.

mod asked;
mod evaluation;
mod keys;
mod source;

pub(crate) use asked::Asked;
pub(crate) use evaluation::{Evaluation, Verdict};
pub(crate) use source::{PolicySet, Source};
