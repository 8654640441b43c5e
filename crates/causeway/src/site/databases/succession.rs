//! How a reader's keeper sees its cluster's head, and which of the readers would take over from it
//! if it is dead. All their keepers are of this process, so nobody is asked. It decides nothing.

use databases::catalogue;
use databases::model::{Cluster, Instance, Lsn, ResourceId};
use databases::plan::{
    Candidate, ChiefSeen, Duty, FailureKind, Home, Life, SILENT, Settings, StepKind, Upstream,
    Wanted,
};
use runtime::postgres::{HomeState, Role};
use types::{ConfigurationView, Environment, Monotonic};

use super::Around;
use super::keeper::Keeper;
use super::servers::{Look, State};

impl State {
    /// Its server, which was told to follow that upstream, has answered. What it doesn't answer is
    /// remembered as it was, and nothing newer is made of it.
    pub(super) fn answered(&mut self, look: Look, upstream: Option<&Upstream>) {
        let said = &look.observation;
        let written = (said.role == Role::Primary).then_some(Lsn(said.written.0));
        self.life.answered(look.at, written);
        if let Some(upstream) = upstream.filter(|_| said.receiving) {
            self.followed = Some(upstream.source_id.clone());
        }
        self.look = Some(look);
    }

    /// What its server has said; `None`: it doesn't run, or has said nothing for too long to be
    /// counted on.
    fn lately(&self, now: Monotonic) -> Option<&Look> {
        self.look.as_ref().filter(|look| now < look.at + SILENT)
    }
}

impl Keeper {
    /// Of a reader of a cluster that is in no global cluster: its head. `None` too if nobody has
    /// looked at that yet, or the reader's own server runs and doesn't answer: it couldn't be
    /// promoted.
    pub(super) fn look_at_chief(&self, wanted: &Wanted) -> Option<ChiefSeen> {
        let Duty::Read(reading) = &wanted.duty else {
            return None;
        };
        let headship = wanted.instance.headship.as_ref()?;
        let id = &reading.following.upstream.source_id;
        let view = self.around.region.regional_view();
        let (_, cluster) = catalogue::cluster(&*view, &headship.cluster).ok()??;
        let (_, head) = catalogue::instance(&*view, id).ok()??;
        if reading.is_member || cluster.head.as_ref() != Some(id) {
            return None;
        }
        let now = self.now().monotonic;
        if self.running.is_some() && self.seen.state().lately(now).is_none() {
            return None;
        }
        let seen = self.around.servers.find(id)?;
        let is_zone_up = self.around.zones.is_up(head.zone.letter);
        let is_copy = matches!(seen.home.state(), HomeState::Whole { standby: true, .. });
        let state = seen.state();
        let observed = &state.standing.observed;
        let start = observed.failures.get(&StepKind::Start);
        // What all homes have in common is no reason to change to another.
        let is_own = |kind| matches!(kind, FailureKind::Damaged | FailureKind::Other);
        let start = start.filter(|failure| is_own(failure.kind));
        let is_known = state.is_looked_at || !is_zone_up;
        let life = state.life.clone();
        let chief = is_known.then(|| ChiefSeen {
            id: id.clone(),
            is_zone_up,
            home: observed.home,
            runs: observed.server.is_some() || state.standing.doing == Some(StepKind::Start),
            failed_starts: start.map_or(0, |failure| failure.attempts),
            is_primary_data: !is_copy,
            first: None,
        });
        drop(state);
        let chief = chief?;
        let first = self.around.first(&*view, &cluster, (chief.home, &life));
        Some(ChiefSeen { first, ..chief })
    }

    /// Is a server that would write for its cluster to do so no more, since a reader claims its
    /// role or has it? A server that is started is seen as one that runs before this is asked, and
    /// whoever takes over looks for such a one after the row says so: one of the two sees the
    /// other.
    pub(super) fn is_succeeded(&self, wanted: &Wanted, settings: &Settings) -> bool {
        let Some(headship) = &wanted.instance.headship else {
            return false;
        };
        if settings.upstream.is_some() {
            return false;
        }
        let view = self.around.region.regional_view();
        match catalogue::cluster(&*view, &headship.cluster) {
            Ok(Some((_, cluster))) => {
                let handover = cluster.handover.as_ref();
                let is_claimed = handover.is_some_and(|handover| handover.is_claimed);
                is_claimed || cluster.head.as_ref() != Some(&self.id)
            }
            // It is started when that can be told.
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

impl Around {
    /// The reader of a cluster that is to take over from a head with that home and that life.
    fn first(
        &self,
        view: &dyn ConfigurationView,
        cluster: &Cluster,
        (home, life): (Home, &Life),
    ) -> Option<ResourceId> {
        let head = cluster.head.as_ref()?;
        let readers = cluster.readers.iter().filter_map(|id| {
            let (_, reader) = catalogue::instance(view, id).ok()??;
            self.candidate(&reader, head)
        });
        Candidate::first(readers.collect(), home, life)
    }

    /// A reader as one that could take over from that head, if it can as things stand.
    fn candidate(&self, reader: &Instance, head: &ResourceId) -> Option<Candidate> {
        let headship = reader.headship.as_ref()?;
        if !self.zones.is_up(reader.zone.letter) || reader.deletion.is_some() {
            return None;
        }
        let seen = self.servers.find(&reader.resource_id)?;
        let state = seen.state();
        let said = &state.lately(self.environment.now().monotonic)?.observation;
        let is_standby = said.role == Role::Standby && !said.paused;
        let followed_it = state.followed.as_ref() == Some(head);
        let can = is_standby && headship.leads.is_none() && followed_it;
        can.then(|| Candidate {
            id: reader.resource_id.clone(),
            identifier: reader.arn.identifier.clone(),
            tier: headship.promotion_tier,
            received: Lsn(said.written.0),
        })
    }
}
