//! Carrying out the steps of a game day at their times: faults over the lab's control API, under
//! leases that end with the load at the latest; changes of records; readings of the orders. A step
//! that can't be carried out is noted and ends nothing. Steps don't wait for each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use gameday::scenario::{Act, Fault as Broken};
use gameday::{Deed, EventKind, Plan};
use types::Span;

use super::accelerators;
use super::breaks;
use super::databases;
use super::deploy::{Deployed, Deployment};
use super::lab::TestLab;
use super::recorder::Recorder;
use super::tables;
use crate::control::{Command, FaultView};
use crate::failure::Failure;
use crate::faults::{Fault, FaultId};

/// How long after the end of the load a fault without a lease of its own ends by itself, should
/// nobody be there any more to heal it.
const LEASE_MARGIN: Span = Span::seconds(60);

/// The steps of a game day under way.
pub struct Steps<'a> {
    lab: &'a TestLab,
    plan: &'a Plan,
    deployment: &'a Deployment<'a>,
    made: &'a Deployed,
    recorder: &'a Recorder,
    injected: Mutex<BTreeMap<usize, Injected>>,
}

/// What came of a step that breaks something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Injected {
    /// The lab holds it under that number.
    Lab(FaultId),
    /// The application holds it itself.
    Application,
    /// It was ended, and doesn't come again.
    Healed,
}

impl<'a> Steps<'a> {
    /// The plan's steps.
    pub fn new(
        lab: &'a TestLab,
        plan: &'a Plan,
        deployment: &'a Deployment<'a>,
        made: &'a Deployed,
        recorder: &'a Recorder,
    ) -> Steps<'a> {
        Steps {
            lab,
            plan,
            deployment,
            made,
            recorder,
            injected: Mutex::default(),
        }
    }

    /// Carries out everything but the end, each at its time.
    pub async fn run(&self) {
        let moments = self.plan.timeline.iter().map(|moment| async {
            self.recorder.wait_until(moment.at).await;
            match moment.deed {
                Deed::Step(index) => self.carry_out(index).await,
                Deed::Scan => self.scan().await,
                Deed::End => {}
            }
        });
        join_all(moments).await;
    }

    /// Ends every fault that is still in force.
    pub async fn heal_all(&self) -> Result<(), Failure> {
        let at = self.recorder.elapsed();
        let broken = self.end_all();
        let heal = Command::Heal { id: None };
        let ended: Vec<FaultView> = self.lab.ask(&heal).await?;
        if !ended.is_empty() || !broken.is_empty() {
            self.recorder.healed(at);
        }
        for step in broken {
            self.mend(step).await?;
        }
        Ok(())
    }

    /// Nothing comes again; gives the steps whose faults applications hold.
    fn end_all(&self) -> Vec<usize> {
        let mut injected = self.injected();
        let held = injected
            .iter()
            .filter(|(_, it)| **it == Injected::Application);
        let held = held.map(|(step, _)| *step).collect();
        injected.values_mut().for_each(|it| *it = Injected::Healed);
        held
    }

    async fn carry_out(&self, index: usize) {
        let at = self.recorder.elapsed();
        let kind = match self.act(index).await {
            Ok(()) => EventKind::Step(index),
            Err(failure) => EventKind::StepFailed(index, failure.to_string()),
        };
        self.recorder.event(at, kind);
    }

    async fn act(&self, index: usize) -> Result<(), Failure> {
        let step = &self.plan.scenario.steps[index];
        match &step.act {
            Act::Fault { .. } => self.inject(index).await,
            Act::Start(target) => self.ending(&Command::Start { target: *target }).await,
            Act::Resume(target) => self.ending(&Command::Resume { target: *target }).await,
            Act::Heal { step: None } => self.heal_all().await,
            Act::Heal { step: Some(of) } => self.heal(*of).await,
            Act::Dial {
                accelerator,
                region,
                dial,
            } => {
                let made = self.made.accelerators.get(*accelerator);
                let group = made.and_then(|made| made.groups.get(region));
                let group = group.ok_or_else(|| Failure::did_not_hold("there is no such group"))?;
                Ok(accelerators::set_dial(&self.lab.api(), group, *dial).await?)
            }
            Act::MoveWriter(moved) => {
                let made = self.made.clusters.get(&moved.cluster);
                let made = made.ok_or_else(|| Failure::did_not_hold("there is no such cluster"))?;
                databases::move_writer(self.lab, made, moved, self.recorder).await
            }
            Act::ChangeRecords { through, changes } => {
                let api = match through {
                    Some(region) => self.lab.api_of(*region),
                    None => self.lab.api(),
                };
                let changed = self.deployment.change_records(&api, self.made, changes);
                changed.await.map(drop)
            }
            Act::Scan => {
                self.scan().await;
                Ok(())
            }
        }
    }

    /// Breaks what the step says, as often as it says.
    async fn inject(&self, index: usize) -> Result<(), Failure> {
        let step = &self.plan.scenario.steps[index];
        let Act::Fault {
            fault,
            lease,
            repeat,
        } = &step.act
        else {
            return Ok(());
        };
        let length = self.plan.scenario.measure.length.0;
        let rest = Span(length.saturating_sub(step.at.0) + LEASE_MARGIN.0);
        let lasting = lease.unwrap_or(rest);
        let times = repeat.map_or(1, |repeat| repeat.times);
        let every = repeat.map_or(Span::ZERO, |repeat| repeat.every);
        for time in 0..times {
            let at = Span(step.at.0 + every.0 * u64::from(time));
            self.recorder.wait_until(at).await;
            if self.injected().get(&index) == Some(&Injected::Healed) {
                return Ok(());
            }
            let injected = self.inject_once(index, fault, lasting).await?;
            self.injected().insert(index, injected);
        }
        if let Some(lasts) = step.act.lasts() {
            let ends = Span(step.at.0 + lasts.0);
            self.recorder.wait_until(ends).await;
            self.recorder.healed(ends);
        }
        Ok(())
    }

    async fn inject_once(
        &self,
        index: usize,
        fault: &Broken,
        lasting: Span,
    ) -> Result<Injected, Failure> {
        if let Broken::Errors { region, .. } = fault {
            let order = breaks::order(index, fault, lasting);
            let order = order.expect("it is one of errors");
            breaks::tell(&self.lab.instances(*region), &order).await?;
            return Ok(Injected::Application);
        }
        let command = Command::Inject {
            fault: as_injected(fault)?,
            milliseconds: (lasting.0 / 1000).max(1),
        };
        let view: FaultView = self.lab.ask(&command).await?;
        Ok(Injected::Lab(view.id))
    }

    /// Ends the fault of that step.
    async fn heal(&self, of: usize) -> Result<(), Failure> {
        let injected = self.injected().insert(of, Injected::Healed);
        match injected {
            Some(Injected::Lab(id)) => {
                let comes_again = matches!(
                    &self.plan.scenario.steps[of].act,
                    Act::Fault {
                        repeat: Some(_),
                        ..
                    }
                );
                let healed = self.ending(&Command::Heal { id: Some(id) }).await;
                // The last time may be over already; what counts is that there is no next.
                if comes_again { Ok(()) } else { healed }
            }
            Some(Injected::Application) => {
                let at = self.recorder.elapsed();
                self.mend(of).await?;
                self.recorder.healed(at);
                Ok(())
            }
            Some(Injected::Healed) => Ok(()),
            None => Err(Failure::did_not_hold("that fault was never in force")),
        }
    }

    /// Has the application end the errors of that step.
    async fn mend(&self, step: usize) -> Result<(), Failure> {
        let act = &self.plan.scenario.steps[step].act;
        let Act::Fault { fault, .. } = act else {
            return Ok(());
        };
        let (Broken::Errors { region, .. }, Some(order)) =
            (fault, breaks::order(step, fault, Span::ZERO))
        else {
            return Ok(());
        };
        breaks::tell(&self.lab.instances(*region), &order).await
    }

    fn injected(&self) -> MutexGuard<'_, BTreeMap<usize, Injected>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command that ends a fault. What waited behind it moves while the command is carried out.
    async fn ending(&self, command: &Command) -> Result<(), Failure> {
        let at = self.recorder.elapsed();
        self.lab.ask_for_value(command).await?;
        self.recorder.healed(at);
        Ok(())
    }

    /// Reads the orders wherever they can be read.
    async fn scan(&self) {
        let outage = self.plan.outage();
        let scan = tables::scan(self.lab, self.plan, self.made, self.recorder, outage).await;
        let Some(scan) = scan else { return };
        let at = scan.at;
        match timing(at, self.recorder.elapsed(), self.plan.fault_end()) {
            Timing::During => self.recorder.scan(scan),
            Timing::After => {}
            Timing::Across => {
                let note = "a reading of the orders was still under way when the fault ended, and \
                            does not say what would have been lost";
                let note = EventKind::Note(note.to_owned());
                self.recorder.event(self.recorder.elapsed(), note);
            }
        }
        self.recorder.event(at, EventKind::Scanned);
    }
}

/// When a reading was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timing {
    /// Before the fault ended, the whole of it.
    During,
    /// It was begun before, and ended after: it may have seen what had come back by then.
    Across,
    /// After the fault.
    After,
}

fn timing(began: Span, ended: Span, fault_end: Option<Span>) -> Timing {
    match fault_end {
        Some(end) if began >= end => Timing::After,
        Some(end) if ended >= end => Timing::Across,
        _ => Timing::During,
    }
}

/// The scenario's word for what is broken as the lab's.
fn as_injected(broken: &Broken) -> Result<Fault, Failure> {
    Ok(match broken {
        Broken::Kill(target) => Fault::Kill { target: *target },
        Broken::Pause(target) => Fault::Pause { target: *target },
        Broken::Errors { .. } => {
            return Err(Failure::wrong_use("errors are the application's own"));
        }
        Broken::Cut { pair, reset } => Fault::Cut {
            from: pair.from,
            to: pair.to,
            one_way: pair.one_way,
            reset: *reset,
        },
        Broken::Delay { pair, by } => Fault::Delay {
            from: pair.from,
            to: pair.to,
            one_way: pair.one_way,
            milliseconds: by.0 / 1000,
        },
        Broken::Rate {
            pair,
            bytes_per_second,
        } => Fault::Rate {
            from: pair.from,
            to: pair.to,
            one_way: pair.one_way,
            bytes: std::num::NonZeroU64::new(*bytes_per_second)
                .ok_or_else(|| Failure::wrong_use("a rate is at least a byte a second"))?,
        },
        Broken::Clock { site, milliseconds } => Fault::Clock {
            site: *site,
            milliseconds: *milliseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_counts_if_it_was_over_before_the_fault_was() {
        let [before, end, after] = [19, 20, 21].map(Span::seconds);
        assert_eq!(timing(before, before, Some(end)), Timing::During);
        assert_eq!(timing(before, end, Some(end)), Timing::Across);
        assert_eq!(timing(before, after, Some(end)), Timing::Across);
        assert_eq!(timing(end, after, Some(end)), Timing::After);
        assert_eq!(timing(before, after, None), Timing::During);
    }
}
