//! Global Accelerator: accelerators, listeners and endpoint groups as configuration, compiled into
//! decisions of where a new flow goes. It opens no socket, probes nothing, and moves no byte of a
//! flow.

pub mod keys;
pub mod model;
