//! Flow logs: the record of a flow's window, field by field as the guide has it (Developer Guide,
//! "Configuring and using flow logs in AWS Global Accelerator"), and the files that records are
//! gathered in. It counts no packet, reads no clock, and writes into no bucket.

mod book;
mod record;

pub use book::{ClosedLog, FlowLogBook};
pub use record::{Direction, FlowLogPlace, FlowLogRecord, HEADER};
pub(crate) use record::{MAX_KEY, log_directory, log_key_bytes};
