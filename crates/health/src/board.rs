//! What the verdicts of all sites' checkers amount to, as this site hears them. Only a checker
//! that is connected and was heard lately counts, so two sides of a partition may come to
//! different statuses: each believes whom it hears. It probes nothing and sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use types::{HealthCheck, HealthCheckId, Monotonic, SiteId, Span};

use crate::limits::{FRESHNESS, HEALTHY_ABOVE_PERCENT, MAX_CHECKS, MAX_SITES};
use crate::{Message, Observation, Report, Verdict, fingerprint};

/// How a check's status came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// The checkers whose verdicts count.
    pub counted: usize,
    /// Those of them that say healthy.
    pub healthy: usize,
    /// What decides.
    pub basis: Basis,
    /// The status is turned round.
    pub inverted: bool,
    /// The status, turned round if it is to be.
    pub status: bool,
}

/// What decides on a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// The verdicts of those that count.
    Verdicts,
    /// None counts: the status is the last that was known, perhaps before a restart.
    LastKnown,
    /// Nobody has ever said anything of it: taken for healthy.
    NoData,
    /// The check is disabled: taken for healthy.
    Disabled,
}

/// What a site's checker says of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteObservation {
    /// The checker's site.
    pub site: SiteId,
    /// Its verdict; `None` until its probes have agreed often enough.
    pub healthy: Option<bool>,
    /// What it saw.
    pub observation: Observation,
}

/// All sites' verdicts as this site knows them.
#[derive(Debug)]
pub(crate) struct Board {
    own: SiteId,
    checks: BTreeMap<HealthCheckId, Watched>,
    sites: BTreeMap<SiteId, Peer>,
    /// The last status that verdicts decided, before it is turned round.
    last_known: BTreeMap<HealthCheckId, bool>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    fingerprint: u64,
    inverted: bool,
    disabled: bool,
    status: bool,
}

#[derive(Debug, Default)]
struct Peer {
    connected: bool,
    heard: Option<Monotonic>,
    /// Instance and sequence of the newest message.
    newest: (u64, u64),
    verdicts: BTreeMap<HealthCheckId, Verdict>,
    /// It counted when last looked at.
    counts: bool,
}

/// What of a board's state has changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Checks with their new statuses.
    pub(crate) statuses: Vec<(HealthCheckId, bool)>,
    /// Checks that are gone.
    pub(crate) gone: Vec<HealthCheckId>,
    /// What is kept on disk is another now.
    pub(crate) kept: bool,
}

/// Whether a check is healthy of which so many checkers are heard and so many of them say so:
/// more than 18 % must (2 of 8, 3 of 16, 5 of 24). `None`: nobody is heard.
pub fn healthy_by(healthy: usize, counted: usize) -> Option<bool> {
    (counted > 0).then_some(healthy * 100 > counted * HEALTHY_ABOVE_PERCENT)
}

impl Board {
    pub(crate) fn new(own: SiteId, last_known: BTreeMap<HealthCheckId, bool>) -> Board {
        Board {
            own,
            checks: BTreeMap::new(),
            sites: BTreeMap::new(),
            last_known,
        }
    }

    /// These are the checks from now on. The status of each new one is among the changes.
    pub(crate) fn configure(&mut self, now: Monotonic, checks: &[HealthCheck]) -> Changes {
        let mut changes = Changes::default();
        let wanted: BTreeMap<&HealthCheckId, &HealthCheck> =
            checks.iter().map(|check| (&check.id, check)).collect();
        let gone = self.checks.keys().filter(|id| !wanted.contains_key(id));
        changes.gone = gone.cloned().collect();
        for id in &changes.gone {
            self.checks.remove(id);
            for peer in self.sites.values_mut() {
                peer.verdicts.remove(id);
            }
        }
        let before = self.last_known.len();
        self.last_known.retain(|id, _| wanted.contains_key(id));
        changes.kept = self.last_known.len() != before;
        for (id, check) in wanted {
            if check.disabled {
                // What was found before says nothing once it is enabled again.
                for peer in self.sites.values_mut() {
                    peer.verdicts.remove(id);
                }
            }
            let watched = Watched {
                fingerprint: fingerprint(check),
                inverted: check.inverted,
                disabled: check.disabled,
                status: false,
            };
            let known = self.checks.insert(id.clone(), watched);
            let tally = self.tally(now, id).expect("it was put there just now");
            let watched = self.checks.get_mut(id).expect("it was put there just now");
            watched.status = tally.status;
            if known.is_none_or(|known| known.status != tally.status) {
                changes.statuses.push((id.clone(), tally.status));
            }
            self.note(id, tally, &mut changes);
        }
        changes
    }

    /// The link with that site is there, or is not. When it comes, the site is heard again only
    /// by its next message.
    pub(crate) fn connected(&mut self, now: Monotonic, site: SiteId, connected: bool) -> Changes {
        if let Some(peer) = self.peer(site) {
            peer.connected = connected;
            peer.heard = peer.heard.filter(|_| connected);
        }
        self.look(now)
    }

    /// A message of that site's checker. Old ones are ignored: a link may repeat, also what a
    /// former life of the site has said. A life with a smaller number, of a site whose clock was
    /// set back, is believed once the other is silent.
    pub(crate) fn receive(&mut self, now: Monotonic, site: SiteId, message: Message) -> Changes {
        let checks = &self.checks;
        if site == self.own {
            return Changes::default();
        }
        let Some(peer) = self.sites.get_mut(&site) else {
            tracing::debug!(
                site = site.0,
                "a health report of a site that never connected"
            );
            return Changes::default();
        };
        let number = (message.instance, message.sequence);
        let another_life = peer.newest.0 != message.instance;
        let believed = another_life && !peer.is_heard(now);
        if number <= peer.newest && !believed {
            return Changes::default();
        }
        if another_life {
            peer.verdicts.clear();
        }
        peer.newest = number;
        peer.heard = Some(now);
        let Report(verdicts) = message.report.unwrap_or(Report(Vec::new()));
        let mut touched = BTreeSet::new();
        for (id, verdict) in verdicts {
            // A check that isn't known here yet may be the next that is configured.
            let known = checks.contains_key(&id) || peer.verdicts.contains_key(&id);
            if known || peer.verdicts.len() < MAX_CHECKS {
                touched.insert(id.clone());
                peer.verdicts.insert(id, verdict);
            }
        }
        let mut changes = self.look(now);
        match another_life {
            true => self.count_all(now, &mut changes),
            false => self.count(now, touched, &mut changes),
        }
        changes
    }

    /// What this site's own checker says of a check now; `None`: it isn't probed.
    pub(crate) fn own(
        &mut self,
        now: Monotonic,
        id: &HealthCheckId,
        verdict: Option<&Verdict>,
        changes: &mut Changes,
    ) {
        let peer = self.sites.entry(self.own).or_default();
        match verdict {
            Some(verdict) => peer.verdicts.insert(id.clone(), verdict.clone()),
            None => peer.verdicts.remove(id),
        };
        self.count(now, [id.clone()], changes);
    }

    /// Looks whose silence has lasted too long by now, and counts anew if anyone's has.
    pub(crate) fn look(&mut self, now: Monotonic) -> Changes {
        let mut changes = Changes::default();
        let mut another = false;
        for peer in self.sites.values_mut() {
            let counts = peer.is_heard(now);
            another |= counts != peer.counts;
            peer.counts = counts;
        }
        if another {
            self.count_all(now, &mut changes);
        }
        changes
    }

    /// This site was itself not running for that long: nobody else's silence then is counted.
    pub(crate) fn excuse(&mut self, asleep: Span) {
        for peer in self.sites.values_mut() {
            peer.heard = peer.heard.map(|heard| heard + asleep);
        }
    }

    /// When [`Board::look`] has something to do by itself.
    pub(crate) fn wake(&self) -> Option<Monotonic> {
        let counting = self.sites.values().filter(|peer| peer.counts);
        counting
            .filter_map(|peer| Some(peer.heard? + FRESHNESS + Span(1)))
            .min()
    }

    fn count_all(&mut self, now: Monotonic, changes: &mut Changes) {
        let all: Vec<HealthCheckId> = self.checks.keys().cloned().collect();
        self.count(now, all, changes);
    }

    fn count(
        &mut self,
        now: Monotonic,
        ids: impl IntoIterator<Item = HealthCheckId>,
        changes: &mut Changes,
    ) {
        for id in ids {
            let Some(tally) = self.tally(now, &id) else {
                continue;
            };
            self.note(&id, tally, changes);
            if let Some(watched) = self.checks.get_mut(&id)
                && watched.status != tally.status
            {
                watched.status = tally.status;
                changes.statuses.push((id, tally.status));
            }
        }
    }

    /// What verdicts decided is the last known status from now on.
    fn note(&mut self, id: &HealthCheckId, tally: Tally, changes: &mut Changes) {
        let decided = tally.status != tally.inverted;
        if tally.basis == Basis::Verdicts && self.last_known.get(id) != Some(&decided) {
            self.last_known.insert(id.clone(), decided);
            changes.kept = true;
        }
    }

    /// How that check's status comes about; `None` if it isn't configured.
    pub(crate) fn tally(&self, now: Monotonic, id: &HealthCheckId) -> Option<Tally> {
        let watched = self.checks.get(id)?;
        let mut counted = 0;
        let mut healthy = 0;
        for (site, peer) in &self.sites {
            let verdict = peer.verdicts.get(id);
            let verdict = verdict.filter(|verdict| verdict.fingerprint == watched.fingerprint);
            if let Some(says) = verdict.and_then(|verdict| verdict.healthy)
                && (*site == self.own || peer.is_heard(now))
            {
                counted += 1;
                healthy += usize::from(says);
            }
        }
        let (basis, status) = match (healthy_by(healthy, counted), self.last_known.get(id)) {
            _ if watched.disabled => (Basis::Disabled, true),
            (Some(status), _) => (Basis::Verdicts, status),
            (None, Some(status)) => (Basis::LastKnown, *status),
            (None, None) => (Basis::NoData, true),
        };
        Some(Tally {
            counted,
            healthy,
            basis,
            inverted: watched.inverted,
            status: status != watched.inverted,
        })
    }

    /// The status of that check, as it was last among the changes.
    pub(crate) fn status(&self, id: &HealthCheckId) -> Option<bool> {
        self.checks.get(id).map(|watched| watched.status)
    }

    /// What each checker that is heard says of that check, by `pick`.
    pub(crate) fn observations(
        &self,
        now: Monotonic,
        id: &HealthCheckId,
        pick: impl Fn(&Verdict) -> Option<&Observation>,
    ) -> Vec<SiteObservation> {
        let watched = self.checks.get(id).map(|watched| watched.fingerprint);
        let heard = self
            .sites
            .iter()
            .filter(|(site, peer)| **site == self.own || peer.is_heard(now));
        heard
            .filter_map(|(site, peer)| {
                let verdict = peer.verdicts.get(id)?;
                let observation = pick(verdict)?.clone();
                (Some(verdict.fingerprint) == watched).then_some(SiteObservation {
                    site: *site,
                    healthy: verdict.healthy,
                    observation,
                })
            })
            .collect()
    }

    /// The last known statuses, before they are turned round.
    pub(crate) fn last_known(&self) -> &BTreeMap<HealthCheckId, bool> {
        &self.last_known
    }

    fn peer(&mut self, site: SiteId) -> Option<&mut Peer> {
        let room = self.sites.len() < MAX_SITES || self.sites.contains_key(&site);
        (site != self.own && room).then(|| self.sites.entry(site).or_default())
    }
}

impl Peer {
    fn is_heard(&self, now: Monotonic) -> bool {
        let lately = |heard: Monotonic| now - heard <= FRESHNESS;
        self.connected && self.heard.is_some_and(lately)
    }
}

impl Changes {
    /// Adds what changed after.
    pub(crate) fn then(&mut self, later: Changes) {
        self.statuses.extend(later.statuses);
        self.gone.extend(later.gone);
        self.kept |= later.kept;
    }
}
