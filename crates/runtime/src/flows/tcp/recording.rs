//! Records of TCP flows: when their windows end, and when they end themselves.

use super::Tcp;
use super::flow::{Open, Stage};
use super::way::Side;
use crate::flows::FlowKey;
use crate::flows::records::{Due, Moved, Recording, Totals, segments};
use crate::flows::worker::Context;

impl Tcp {
    /// Records a flow, if it is time; gives whether it was.
    pub(super) fn record(&mut self, number: u32, context: &Context<'_>) -> bool {
        let Some(flow) = self.flows.at(number) else {
            return false;
        };
        let Stage::Open(open) = &mut flow.stage else {
            return false;
        };
        match Due::of(open.recording.as_deref(), &flow.counters, context) {
            Due::Nothing => return false,
            Due::Forget => {
                finish(&flow.key, &flow.client, open, context);
                open.recording = None;
            }
            Due::Begin => {
                let totals = totals(&flow.client, open);
                let upstream = &flow.upstream.socket;
                open.recording = Some(Recording::begin(upstream, totals, context.now));
            }
            Due::Record => finish(&flow.key, &flow.client, open, context),
        }
        true
    }
}

/// A flow that is recorded has a window that ends now.
pub(super) fn finish(key: &FlowKey, client: &Side, open: &mut Open, context: &Context<'_>) {
    let Some(mut recording) = open.recording.take() else {
        return;
    };
    let totals = totals(client, open);
    let record = recording.record(*key, open.target, totals, context.now);
    context.steering.record(&record);
    open.recording = Some(recording);
}

/// Where its counts stand.
fn totals(client: &Side, open: &Open) -> Totals {
    let [came, left] = segments(&client.socket).unwrap_or_default();
    let (to_endpoint, to_client) = open.moved();
    [(came, to_endpoint), (left, to_client)].map(|(packets, bytes)| Moved { packets, bytes })
}
