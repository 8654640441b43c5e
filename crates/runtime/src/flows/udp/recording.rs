//! Records of UDP flows: when their windows end, and when they end themselves or go elsewhere.

use super::Udp;
use super::flow::Flow;
use crate::flows::records::{Due, Recording};
use crate::flows::worker::Context;

impl Udp {
    /// Records a flow, if it is time; gives whether it was.
    pub(super) fn record(&mut self, number: u32, context: &Context<'_>) -> bool {
        let Some(flow) = self.flows.at(number) else {
            return false;
        };
        match Due::of(flow.recording.as_deref(), flow.door.counters(), context) {
            Due::Nothing => return false,
            Due::Forget => {
                finish(flow, context);
                flow.recording = None;
            }
            Due::Begin => begin(flow, context),
            Due::Record => finish(flow, context),
        }
        true
    }
}

/// A flow is recorded from now on, if flows at its door are.
pub(super) fn begin(flow: &mut Flow, context: &Context<'_>) {
    if flow.door.counters().is_recorded() {
        let totals = [flow.to_endpoint, flow.to_client];
        flow.recording = Some(Recording::begin(&flow.upstream, totals, context.now));
    }
}

/// A flow that is recorded has a window that ends now.
pub(super) fn finish(flow: &mut Flow, context: &Context<'_>) {
    let totals = [flow.to_endpoint, flow.to_client];
    if let Some(recording) = &mut flow.recording {
        let record = recording.record(flow.key, flow.target, totals, context.now);
        context.steering.record(&record);
    }
}
