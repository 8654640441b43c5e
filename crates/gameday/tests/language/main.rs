//! The language of scenarios as a user meets it: the shipped files, every error, and rubbish.

mod accelerators;
mod errors;
mod global;
mod plans;
mod rubbish;
mod shipped;
