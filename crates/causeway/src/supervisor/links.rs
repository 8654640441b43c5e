//! How the links of a lab are, put together from what their ends say, which sites run, and which
//! faults are in force.

use futures_util::future::join_all;
use link::Shape;
use types::{Environment, SiteName, Span};

use super::Supervisor;
use super::execute::STATUS_WAIT;
use crate::control::{LinkReport, LinkWord};
use crate::protocol::{LinkState, SiteCommand};

/// How long after each other the ends of links are asked that have yet to connect.
const LOOK_AGAIN: Span = Span::milliseconds(10);

impl Supervisor {
    /// Waits until every link is connected, for so long at most; gives the directions that are
    /// not.
    pub async fn await_links(&self, wait: Span) -> Vec<(SiteName, SiteName)> {
        let deadline = self.environment.now().monotonic + wait;
        loop {
            let unconnected = self.unconnected().await;
            let now = self.environment.now().monotonic;
            if unconnected.is_empty() || now >= deadline {
                return unconnected;
            }
            self.environment.sleep_until(now + LOOK_AGAIN).await;
        }
    }

    async fn unconnected(&self) -> Vec<(SiteName, SiteName)> {
        let asked = self.slots.values();
        let asked = asked.map(|slot| slot.call(&SiteCommand::Links, STATUS_WAIT));
        let answers = join_all(asked).await.into_iter().filter_map(Result::ok);
        let states = answers.filter_map(|links| serde_json::from_value(links).ok());
        let states = states.flat_map(|links: Vec<LinkState>| links);
        let unconnected = states.filter(|link| !link.connected);
        unconnected.map(|link| (link.from, link.to)).collect()
    }

    /// What an end said of a link, and what that means.
    pub(super) fn link_report(&self, link: LinkState) -> LinkReport {
        let state = self.link_word(link.from, link.to, link.connected);
        LinkReport { state, link }
    }

    /// Whether anything passes from one site to the other, and if not, why.
    pub(super) fn link_word(&self, from: SiteName, to: SiteName, connected: bool) -> LinkWord {
        let (cut, cut_back) = {
            let faults = self.faults();
            let is_cut = |from, to| faults.shape(from, to, Shape::default()).cut.is_some();
            (is_cut(from, to), is_cut(to, from))
        };
        let serves = |site| self.slots.get(&site).is_some_and(|slot| slot.is_serving());
        match (cut, connected) {
            (true, _) => LinkWord::Cut,
            (false, true) => LinkWord::Up,
            (false, false) if serves(from) && serves(to) && !cut_back => LinkWord::Connecting,
            (false, false) => LinkWord::Down,
        }
    }
}
