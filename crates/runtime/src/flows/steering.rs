//! Asking who steers. A panic of it costs the one choice or note, and is counted; an endpoint that
//! is the flow's own listener is none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::counters::ThreadCounters;
use super::{FlowEvent, FlowKey, FlowRecord, Steer, Target, Tried};

/// Who steers, as a thread asks it.
pub(super) struct Steering {
    steer: Arc<dyn Steer>,
    counters: Arc<ThreadCounters>,
}

impl Steering {
    pub(super) fn new(steer: Arc<dyn Steer>, counters: Arc<ThreadCounters>) -> Steering {
        Steering { steer, counters }
    }

    /// Where a flow goes; none if there is nowhere, or the choice was lost.
    pub(super) fn steer(&self, flow: &FlowKey, tried: &Tried) -> Option<Target> {
        let asked = catch_unwind(AssertUnwindSafe(|| self.steer.steer(flow, tried)));
        let target = asked.unwrap_or_else(|_| {
            self.lost();
            None
        });
        // A flow to where it comes from would be carried in a circle until there is no room left.
        target.filter(|target| {
            let is_circle = target.endpoint == flow.to;
            if is_circle {
                tracing::error!(address = %flow.to, "the endpoint of a flow is its own listener");
            }
            !is_circle
        })
    }

    /// Tells what happened to a flow.
    pub(super) fn note(&self, token: u32, event: FlowEvent) {
        if catch_unwind(AssertUnwindSafe(|| self.steer.note(token, event))).is_err() {
            self.lost();
        }
    }

    /// Tells what a flow moved in a window.
    pub(super) fn record(&self, record: &FlowRecord) {
        if catch_unwind(AssertUnwindSafe(|| self.steer.record(record))).is_err() {
            self.lost();
        }
    }

    fn lost(&self) {
        tracing::error!("steering a flow panicked");
        self.counters.lost.add(1);
    }
}
