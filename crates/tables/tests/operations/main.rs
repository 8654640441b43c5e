//! The operations of DynamoDB, JSON in and JSON out, over the memory engine.

mod batches;
mod control;
mod indexes;
mod items;
mod limits;
mod pages;
mod support;
