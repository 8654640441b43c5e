//! The operations of IAM, a family of them a file. Each reads what the request says, judges it on
//! the view, and has its change made; who may do it was asked before.

pub(super) mod users;
