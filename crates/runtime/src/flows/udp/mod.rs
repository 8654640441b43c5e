//! A thread's UDP flows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Listening;
use super::limits::{Budget, FlowLimits};
use super::worker::Context;

/// Are they carried?
pub(super) const IS_CARRIED: bool = false;

/// The flows of a thread.
pub(super) struct Udp;

impl Udp {
    pub(super) fn new(_: FlowLimits, _: Arc<Budget>) -> Udp {
        Udp
    }
    pub(super) fn listen(&mut self, _: Arc<Listening>, _: &Context<'_>) {}
    pub(super) fn close(&mut self, _: u32, _: &Context<'_>) {}
    pub(super) fn client_datagrams(&mut self, _: u32, _: &Context<'_>) {}
    pub(super) fn endpoint_datagrams(&mut self, _: u32, _: &Context<'_>) {}
    pub(super) fn turn(&mut self, _: &Context<'_>) {}
    pub(super) fn wait(&self, _: Instant) -> Option<Duration> {
        None
    }
    pub(super) fn sweep(&mut self, _: &Context<'_>) {}
    pub(super) fn is_empty(&self) -> bool {
        true
    }
    pub(super) fn stop(&mut self, _: &Context<'_>) {}
}
