//! Draining edges: which of them are given nothing new, how far each is, and bringing one back.
//! What is new goes to the next nearest by whoever holds the addresses; this ends no flow.
//!
//! First `causeway announce`, if it stands beside the edge, withdraws the addresses; then nothing
//! new comes to the edge; then it is waited for what it has.
//!
//! What an edge's directory says is written before it counts here: a disk that refuses leaves all
//! as it was, and one that hangs holds up drains, and no query for a name. So a command is carried
//! out to its end whoever still waits for it, and undraining mends a file that memory doesn't know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use runtime::AnycastMember;
use serde_json::Value;
use types::{Environment, Monotonic, Site, SiteName, Span};

use super::Supervisor;
use super::addresses::UNHEARD;
use super::execute::{STATUS_WAIT, to_json};
use super::slot::State;
use crate::control::{DrainState, DrainView, SiteReport};
use crate::drain::{self, By, Record};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::protocol::{FlowsHere, Question, SiteCommand};

/// The edges that are drained, or are being.
#[derive(Default)]
pub(super) struct Drains {
    of: BTreeMap<SiteName, Drain>,
    last: u64,
}

/// An edge's drain.
struct Drain {
    /// Which command's it is: the latest.
    number: u64,
    /// Also with nobody else there.
    forced: bool,
    phase: Phase,
    /// The flows that are left; none while that is unknown.
    left: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// What is new comes there still: it may be announced yet.
    Withdrawing,
    /// Nothing new comes there. It is waited for what it has until then.
    Draining(Monotonic),
    /// It isn't waited for any more.
    Drained,
}

/// What a drain has begun with.
struct Begun {
    number: u64,
    /// Nothing new comes there already.
    is_closed: bool,
    forced: bool,
}

impl Drains {
    /// What the edges' directories say.
    pub(super) fn kept(lab: &Lab) -> anyhow::Result<Drains> {
        let mut drains = Drains::default();
        for edge in lab.settings.edges() {
            let record = Record::read(&lab.site_directory(edge.name))?;
            if let Some(record) = record.filter(|record| record.by == By::Operator) {
                let kept = Drain {
                    number: 0,
                    forced: record.forced,
                    phase: Phase::Drained,
                    // It hasn't started yet.
                    left: Some(0),
                };
                drains.of.insert(edge.name, kept);
            }
        }
        Ok(drains)
    }

    /// Does nothing new come there?
    pub(super) fn is_closed(&self, edge: SiteName) -> bool {
        let phase = self.of.get(&edge).map(|drain| drain.phase);
        phase.is_some_and(|phase| phase != Phase::Withdrawing)
    }

    /// Is it drained, or being?
    fn has(&self, edge: SiteName) -> bool {
        self.of.contains_key(&edge)
    }

    /// Is it, also with nobody else there?
    fn is_forced(&self, edge: SiteName) -> bool {
        self.of.get(&edge).is_some_and(|drain| drain.forced)
    }

    fn is_drained(&self, edge: SiteName) -> bool {
        let drain = self.of.get(&edge);
        drain.is_some_and(|drain| drain.phase == Phase::Drained)
    }

    /// A command has an edge drained; it takes the place of those before.
    fn begin(&mut self, edge: SiteName, forced: bool) -> Begun {
        self.last += 1;
        let number = self.last;
        let drain = self.of.entry(edge).or_insert(Drain {
            number,
            forced,
            phase: Phase::Withdrawing,
            left: None,
        });
        drain.number = number;
        drain.forced |= forced;
        Begun {
            number,
            is_closed: drain.phase != Phase::Withdrawing,
            forced: drain.forced,
        }
    }

    /// That command's drain; none if another has taken its place, or it was ended.
    fn current(&mut self, edge: SiteName, number: u64) -> Option<&mut Drain> {
        self.of
            .get_mut(&edge)
            .filter(|drain| drain.number == number)
    }

    /// Nothing new comes there from now on, and it is waited until then; false if that command
    /// doesn't count any more.
    fn close(&mut self, edge: SiteName, number: u64, until: Monotonic) -> bool {
        let Some(drain) = self.current(edge, number) else {
            return false;
        };
        drain.phase = Phase::Draining(until);
        drain.left = None;
        true
    }

    /// So many flows are left, if that is known; false if it needn't be looked again.
    fn look(&mut self, edge: SiteName, number: u64, now: Monotonic, left: Option<u64>) -> bool {
        let Some(drain) = self.current(edge, number) else {
            return false;
        };
        drain.left = left.or(drain.left);
        let Phase::Draining(until) = drain.phase else {
            return false;
        };
        if left == Some(0) || now >= until {
            drain.phase = Phase::Drained;
            // What was known may be old: nobody says that it is still so.
            drain.left = left;
            return false;
        }
        true
    }

    fn view(&self, edge: SiteName, now: Monotonic) -> DrainView {
        let drain = self.of.get(&edge);
        let phase = drain.map(|drain| drain.phase);
        let remaining = match phase {
            Some(Phase::Draining(until)) if until > now => until - now,
            _ => Span::ZERO,
        };
        DrainView {
            edge,
            state: match phase {
                None => DrainState::Serving,
                Some(Phase::Withdrawing | Phase::Draining(_)) => DrainState::Draining,
                Some(Phase::Drained) => DrainState::Drained,
            },
            flows_left: drain.and_then(|drain| drain.left),
            remaining_milliseconds: remaining.0 / 1000,
        }
    }
}

impl Supervisor {
    /// Has nothing new come to an edge, and waits beside for what it has, for so many milliseconds
    /// at most.
    pub(super) async fn drain(
        self: &Arc<Self>,
        place: SiteName,
        milliseconds: u64,
        forced: bool,
    ) -> Result<Value, Failure> {
        let edge = self.edge(place)?;
        let name = edge.name;
        let longest = drain::LONGEST.as_millis() as u64;
        if !(1..=longest).contains(&milliseconds) {
            let failure = "flows may take from a millisecond to a day to end";
            return Err(Failure::wrong_use(failure));
        }
        let directory = self.lab.site_directory(name);
        let begun = self.begin_drain(edge, forced).await?;
        if !begun.is_closed {
            let is_withdrawn = drain::withdrawn(&directory, &*self.environment).await;
            if !is_withdrawn && !begun.forced {
                return Err(self.give_up_drain(edge, begun.number).await);
            }
            if !is_withdrawn {
                tracing::warn!("{name} is drained though its addresses are still announced");
            }
        }
        let until = self.environment.now().monotonic + Span::milliseconds(milliseconds);
        {
            // Who undrains it meanwhile does so before or after all of this.
            let _draining = self.draining.lock().await;
            let is_closed = self.drains().close(name, begun.number, until);
            if is_closed {
                self.addresses.drain(edge.id, true);
                tracing::warn!("{name} is given nothing new");
                runtime::spawn(Arc::clone(self).watch_drain(edge, begun.number));
            }
        }
        self.drained(name)
    }

    /// Notes it, on the disk and in memory, unless nobody would be left.
    async fn begin_drain(&self, edge: Site, forced: bool) -> Result<Begun, Failure> {
        // Looked at and begun in one turn: of the last two one is refused.
        let _draining = self.draining.lock().await;
        let members = match forced {
            true => Vec::new(),
            false => self.members()?,
        };
        let name = edge.name;
        let forced = {
            let drains = self.drains();
            let takes = |site: &&Site| self.takes_flows(site, &members) && !drains.has(site.name);
            let mut others = self.lab.settings.edges().filter(takes);
            let is_last = others.all(|site| site.name == name);
            if !drains.has(name) && !forced && is_last && self.takes_flows(&edge, &members) {
                let failure = format!("{name} is the last edge that takes new flows");
                return Err(Failure::wrong_use(failure)
                    .then("`causeway status` shows the edges; --force drains it all the same"));
            }
            forced || drains.is_forced(name)
        };
        let record = Record::new(By::Operator, forced);
        let directory = self.lab.site_directory(name);
        runtime::blocking(move || record.write(&directory)).await?;
        Ok(self.drains().begin(name, forced))
    }

    /// It is still announced: it goes on as it was.
    async fn give_up_drain(&self, edge: Site, number: u64) -> Failure {
        let name = edge.name;
        let _draining = self.draining.lock().await;
        let is_current = self.drains().current(name, number).is_some();
        if is_current {
            if let Err(failure) = self.end_drain(&edge).await {
                let next = format!("`causeway edge undrain {name}` tries it again");
                let failure = format!("the drain of {name} can't be given up: {failure}");
                return Failure::did_not_hold(failure).then(next);
            }
            self.drains().of.remove(&name);
        }
        let failure =
            format!("{name} goes on: `causeway announce` beside it hasn't withdrawn its addresses");
        Failure::did_not_hold(failure)
            .then("its log says why; --force drains the edge all the same")
    }

    /// Has an edge's directory say that the operator has it drained no longer; true if its process
    /// was asked to end: then it isn't to be announced before another has taken its place.
    async fn end_drain(&self, edge: &Site) -> Result<bool, Failure> {
        let members = self.members()?;
        let leaves = member_of(&members, edge).is_some_and(|member| member.leaving);
        let directory = self.lab.site_directory(edge.name);
        let written = runtime::blocking(move || match leaves {
            true => Record::new(By::Signal, false)
                .write(&directory)
                .map(|()| true),
            false => Record::undrain(&directory),
        });
        let is_noted = written.await?;
        // What a process noted that is gone is over when the next one starts.
        Ok(leaves || is_noted && self.slots[&edge.name].is_serving())
    }

    /// Looks how many flows are left until none is or the deadline has passed.
    async fn watch_drain(self: Arc<Self>, edge: Site, number: u64) {
        let name = edge.name;
        loop {
            let left = self.flows_left(&edge).await;
            let now = self.environment.now().monotonic;
            if !self.drains().look(name, number, now, left) {
                break;
            }
            self.environment.sleep_until(now + drain::EVERY).await;
        }
        let drains = self.drains();
        let is_current = drains.of.get(&name).is_some_and(|it| it.number == number);
        if is_current && drains.is_drained(name) {
            let left = drains.view(name, Monotonic(0)).flows_left;
            tracing::warn!(left, "{name} is drained");
        }
    }

    /// The flows that an edge has, those that are handed over and haven't come among them; none if
    /// it doesn't say.
    async fn flows_left(&self, edge: &Site) -> Option<u64> {
        let slot = &self.slots[&edge.name];
        match slot.state() {
            State::Running(running) if running.paused => return None,
            State::Running(_) => {}
            // What it had has ended with its process.
            State::Idle | State::Starting(_) | State::Killed | State::Crashed(_) | State::Left => {
                return Some(0);
            }
        }
        let question = Question::FlowsHere;
        let answer = slot.call(&SiteCommand::Ask { question }, STATUS_WAIT).await;
        let FlowsHere { here, taken } = serde_json::from_value(answer.ok()?).ok()?;
        let members = self.addresses.members()?;
        let member = member_of(&members, edge);
        let handed = member.map_or(0, |it| it.handed.saturating_sub(it.taken_back));
        Some(here + handed.saturating_sub(taken))
    }

    /// How far the drain of an edge is.
    pub(super) fn drained(&self, place: SiteName) -> Result<Value, Failure> {
        let edge = self.edge(place)?;
        let now = self.environment.now().monotonic;
        Ok(to_json(&self.drains().view(edge.name, now)))
    }

    /// Gives an edge what is new again.
    pub(super) async fn undrain(&self, place: SiteName) -> Result<Value, Failure> {
        let edge = self.edge(place)?;
        let name = edge.name;
        let _draining = self.draining.lock().await;
        // First: whoever announces it anew finds it open.
        self.addresses.drain(edge.id, false);
        // Also if none is known here: a disk that refused may have what it refused.
        let is_ending = match self.end_drain(&edge).await {
            Ok(is_ending) => is_ending,
            Err(failure) => {
                let is_closed = self.drains().is_closed(name);
                self.addresses.drain(edge.id, is_closed);
                return Err(failure);
            }
        };
        if self.drains().of.remove(&name).is_some() {
            tracing::warn!("{name} is given what is new again");
        }
        if is_ending {
            let failure = format!("{name} is ending: its process was asked to by a signal");
            let next = format!("`causeway fault start {name}` starts it again when it has ended");
            return Err(Failure::did_not_hold(failure).then(next));
        }
        self.drained(name)
    }

    /// The edges that are given nothing new.
    pub(super) fn closed_edges(&self) -> Result<BTreeSet<SiteName>, Failure> {
        let members = self.members()?;
        let edges = self.lab.settings.edges();
        let is_closed = |edge: &&Site| {
            let member = member_of(&members, edge);
            member.is_some_and(|member| member.draining)
        };
        Ok(edges.filter(is_closed).map(|edge| edge.name).collect())
    }

    /// How those are that stand behind the addresses.
    fn members(&self) -> Result<Vec<AnycastMember>, Failure> {
        self.addresses.members().ok_or_else(|| {
            Failure::did_not_hold(UNHEARD).then("try again; `causeway status` shows the edges")
        })
    }

    /// Do clients' queries go to that edge while it runs? They do until it is drained.
    pub(super) fn answers_names(&self, edge: SiteName) -> bool {
        !self.drains().is_drained(edge)
    }

    /// Notes in an edge's report that nothing new comes to it, which is nothing to be alarmed by.
    pub(super) fn note_drain(&self, report: &mut SiteReport) {
        let name = report.site;
        let now = self.environment.now().monotonic;
        let (word, why) = match self.drains().view(name, now).state {
            DrainState::Draining => (
                "draining",
                format!("it drains (`causeway edge drain {name}` waits for it)"),
            ),
            DrainState::Drained => (
                "drained",
                format!("it is drained; `causeway edge undrain {name}` brings it back"),
            ),
            DrainState::Serving if report.detail["flows"]["leaving"] == true => (
                "draining",
                "it drains and ends: its process was asked to by a signal".to_owned(),
            ),
            DrainState::Serving => return,
        };
        if report.state == "running" {
            report.state = word.to_owned();
        }
        report.note = Some(match report.note.take() {
            Some(note) => format!("{note}; {why}"),
            None => why,
        });
    }

    fn takes_flows(&self, edge: &Site, members: &[AnycastMember]) -> bool {
        let member = member_of(members, edge);
        let takes = member.is_some_and(|member| !member.silent && !member.draining);
        takes && self.slots[&edge.name].is_serving()
    }

    /// The edge of that name, or in that place.
    fn edge(&self, place: SiteName) -> Result<Site, Failure> {
        let Some(region) = place.region() else {
            return Ok(self.slot(place)?.site);
        };
        let edges = self.lab.settings.edges();
        let there: Vec<&Site> = edges.filter(|edge| edge.place == region).collect();
        if let [edge] = there[..] {
            return Ok(*edge);
        }
        let names: Vec<String> = there.iter().map(|edge| edge.name.to_string()).collect();
        let failure = match names.is_empty() {
            true => format!("no edge of this lab is in {place}"),
            false => format!("there are several edges in {place}: {}", names.join(", ")),
        };
        Err(Failure::wrong_use(failure).then("name the edge; `causeway status` lists them"))
    }

    fn drains(&self) -> MutexGuard<'_, Drains> {
        self.drains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn member_of<'a>(members: &'a [AnycastMember], edge: &Site) -> Option<&'a AnycastMember> {
    let number = u32::from(edge.id.0);
    members.iter().find(|member| member.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(5_000_000);

    fn edge() -> SiteName {
        "edge-2".parse().unwrap()
    }

    fn in_ms(milliseconds: u64) -> Monotonic {
        NOW + Span::milliseconds(milliseconds)
    }

    /// An edge that is being drained, with 1 s to go.
    fn draining() -> (Drains, u64) {
        let mut drains = Drains::default();
        let begun = drains.begin(edge(), false);
        assert!(!begun.is_closed && !drains.is_closed(edge()));
        assert!(drains.close(edge(), begun.number, in_ms(1000)));
        (drains, begun.number)
    }

    #[test]
    fn an_edge_is_drained_when_no_flow_is_left() {
        let (mut drains, number) = draining();
        assert!(drains.is_closed(edge()) && !drains.is_drained(edge()));
        assert!(drains.look(edge(), number, NOW, Some(3)));
        let view = drains.view(edge(), NOW);
        assert_eq!(view.state, DrainState::Draining);
        assert_eq!(
            (view.flows_left, view.remaining_milliseconds),
            (Some(3), 1000)
        );
        // It doesn't answer once: what was known counts until the deadline.
        assert!(drains.look(edge(), number, in_ms(100), None));
        assert_eq!(drains.view(edge(), NOW).flows_left, Some(3));
        assert!(!drains.look(edge(), number, in_ms(200), Some(0)));
        assert!(drains.is_drained(edge()));
        let view = drains.view(edge(), in_ms(200));
        assert_eq!((view.flows_left, view.remaining_milliseconds), (Some(0), 0));
    }

    #[test]
    fn at_the_deadline_it_is_drained_with_what_is_left() {
        for left in [Some(2), None] {
            let (mut drains, number) = draining();
            assert!(drains.look(edge(), number, in_ms(999), Some(5)));
            assert!(!drains.look(edge(), number, in_ms(1000), left));
            assert!(drains.is_drained(edge()));
            assert_eq!(drains.view(edge(), NOW).flows_left, left);
        }
    }

    #[test]
    fn the_latest_command_counts() {
        let (mut drains, first) = draining();
        let second = drains.begin(edge(), true);
        assert!(second.is_closed, "it isn't opened in between");
        assert!(second.forced);
        assert!(!drains.look(edge(), first, NOW, Some(0)));
        assert!(!drains.is_drained(edge()));
        assert!(drains.close(edge(), second.number, in_ms(9000)));
        assert!(drains.look(edge(), second.number, in_ms(8000), Some(1)));
        // Once forced it stays so; and one that was ended is nobody's.
        assert!(drains.begin(edge(), false).forced);
        drains.of.remove(&edge());
        assert!(!drains.close(edge(), second.number, NOW));
        assert_eq!(drains.view(edge(), NOW).state, DrainState::Serving);
    }
}
