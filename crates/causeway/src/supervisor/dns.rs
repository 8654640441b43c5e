//! The lab's DNS: which edge a client's query goes to, and how far that is. The relay itself is
//! `runtime`'s; it plays the Internet in front of the edges, and answers nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use runtime::{CallError, ListenError, Relay, RelayLimits, RelayTarget};
use serde_json::{Value, json};
use types::{Geography, Place, Region, Site};

use super::Supervisor;
use super::execute::QUESTION_WAIT;
use crate::failure::Failure;
use crate::protocol::{ExplainQuestion, Question, SiteCommand};

impl Supervisor {
    /// Relays DNS from the lab's address to the edges, until dropped; none if it has no edge.
    pub fn relay_dns(self: &Arc<Self>) -> Result<Option<Relay>, ListenError> {
        let settings = &self.lab.settings;
        if !settings.has_edges() {
            return Ok(None);
        }
        let lab = Arc::clone(self);
        let choose = move |client: SocketAddr| lab.edge_for(client);
        Relay::start(settings.dns_address(), RelayLimits::MODEST, choose).map(Some)
    }

    /// Has the edge that a client's query would go to explain its answer.
    pub(super) async fn explain(&self, question: ExplainQuestion) -> Result<Value, Failure> {
        let place = place_of(question.client);
        let answers = |edge: &Site| self.answers_names(edge.name);
        let (edge, _) = self.living_edge(place, answers).ok_or_else(|| {
            let failure = match self.lab.settings.has_edges() {
                true => "no edge runs that could answer, or all are drained",
                false => "this lab has no edge, so nobody answers DNS",
            };
            Failure::did_not_hold(failure).then("`causeway status` shows the sites")
        })?;
        let question = Question::Explain(question);
        let command = SiteCommand::Ask { question };
        let answer = self.slots[&edge.name].call(&command, QUESTION_WAIT).await;
        let explanation = answer.map_err(|cause| match cause {
            CallError::Failed(why) => Failure::wrong_use(why),
            other => Failure::did_not_hold(format!("{}: {other}", edge.name)),
        })?;
        Ok(json!({
            "edge": edge.name,
            "explanation": explanation["explanation"],
            "lines": explanation["lines"],
        }))
    }

    /// The living edge that a client's query goes to.
    fn edge_for(&self, client: SocketAddr) -> Option<RelayTarget> {
        let answers = |edge: &Site| self.answers_names(edge.name);
        let (edge, delay) = self.living_edge(place_of(client.ip()), answers)?;
        Some(RelayTarget {
            address: self.lab.settings.edge_dns(&edge)?.relayed,
            one_way_delay: delay,
        })
    }

    /// The living edge nearest to that place of those that `serves` is true of, and the delay on
    /// the way there; the first one, next door, for whoever is in no place.
    pub(super) fn living_edge(
        &self,
        place: Option<Region>,
        serves: impl Fn(&Site) -> bool,
    ) -> Option<(Site, Duration)> {
        let edges = self.lab.settings.edges();
        let mut living = edges.filter(|site| self.slots[&site.name].is_serving() && serves(site));
        let Some(place) = place else {
            return living.next().map(|edge| (*edge, Duration::ZERO));
        };
        // The nearest by geography, also where delays are switched off.
        let far = |edge: &Site, scale| Geography { scale }.one_way_delay(place, edge.place);
        let nearest = living.min_by_key(|edge| far(edge, 1.0))?;
        let delay = far(nearest, self.lab.settings.delay_scale);
        Some((*nearest, Duration::from_micros(delay.0)))
    }
}

/// The place that a client is in, by its lab address.
pub(super) fn place_of(client: IpAddr) -> Option<Region> {
    match client {
        IpAddr::V4(address) => Place::of(address).map(|place| place.0),
        IpAddr::V6(_) => None,
    }
}
