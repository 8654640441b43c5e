//! Carrying out what the control API was asked for. Faults, conflicts and the verification are
//! files of their own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime::CallError;
use serde_json::{Value, json};
use types::{AvailabilityZone, Environment, SiteName};

use super::Supervisor;
use super::slot::{Slot, State};
use crate::control::{Command, SiteReport, StatusReport};
use crate::failure::Failure;
use crate::protocol::{LinkState, Question, SiteCommand};

/// How long a site may take to say how it is. One that is busier counts as silent.
pub(super) const STATUS_WAIT: Duration = Duration::from_secs(2);

/// How long a site may take to look something up in its data.
pub(super) const QUESTION_WAIT: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Carries out a command.
    pub async fn execute(self: &Arc<Self>, command: Command) -> Result<Value, Failure> {
        match command {
            Command::Status => Ok(to_json(&self.status().await)),
            Command::Operations => self.operations().await,
            Command::Down => {
                self.down.notify_one();
                Ok(Value::Null)
            }
            Command::Lag => self.lag().await,
            Command::Conflicts {
                table,
                after,
                limit,
            } => self.conflicts(table, after, limit).await,
            Command::Conflict { id } => self.conflict(&id).await,
            Command::Restore { id } => self.restore(&id).await,
            Command::LostObjects { limit } => self.lost_objects(limit).await,
            Command::Metrics => self.metrics().await,
            Command::Verify => self.verify().await,
            Command::Inject {
                fault,
                milliseconds,
            } => self.inject(fault, milliseconds).await,
            Command::Start { target } => self.start_again(target).await,
            Command::Resume { target } => self.resume(target).await,
            Command::Faults => Ok(to_json(&self.fault_views())),
            Command::Heal { id } => self.heal(id).await,
            Command::Explain(question) => self.explain(question).await,
            Command::ExplainFlow(question) => self.explain_flow(question).await,
            Command::Flows => Ok(self.flows().await),
            Command::Drain {
                edge,
                milliseconds,
                forced,
            } => {
                // What is on the disk and what is known here agree at its end alone: who asked for
                // it may have gone by then.
                let it = Arc::clone(self);
                let drain = async move { it.drain(edge, milliseconds, forced).await };
                runtime::to_its_end(drain).await
            }
            Command::Drained { edge } => self.drained(edge),
            Command::Undrain { edge } => {
                let it = Arc::clone(self);
                runtime::to_its_end(async move { it.undrain(edge).await }).await
            }
            Command::Balancers => Ok(self.balancers().await),
            Command::Databases => self.databases().await,
            Command::LostTransactions => self.lost_transactions().await,
            Command::ExplainRequest(question) => self.explain_request(question).await,
            Command::Identity { question } => self.identity(question).await,
            Command::Rotate => Ok(json!({ "sites": self.rotate().await })),
        }
    }

    async fn status(&self) -> StatusReport {
        let now = self.environment.now().monotonic;
        let asked = join_all(self.slots.values().map(|slot| self.report(slot))).await;
        let (mut sites, links): (Vec<SiteReport>, Vec<Vec<LinkState>>) = asked.into_iter().unzip();
        sites.sort_by_key(|site| site.id);
        StatusReport {
            data: self.lab.directory.display().to_string(),
            endpoint: self.lab.url(),
            dns: self
                .lab
                .settings
                .has_edges()
                .then(|| self.lab.settings.dns_address()),
            delay_scale: self.lab.settings.delay_scale,
            running_milliseconds: (now - self.begun).0 / 1000,
            entry: self.entry(),
            sites,
            links: links
                .into_iter()
                .flatten()
                .map(|link| self.link_report(link))
                .collect(),
            faults: self.fault_views(),
        }
    }

    async fn report(&self, slot: &Slot) -> (SiteReport, Vec<LinkState>) {
        let name = slot.site.name;
        let mut report = SiteReport {
            site: name,
            id: slot.site.id.0,
            state: "running".to_owned(),
            reason: None,
            note: None,
            process: None,
            api: name.region().map(|_| self.lab.api_address(slot.site.id)),
            dns: self
                .lab
                .settings
                .edge_dns(&slot.site)
                .map(|dns| dns.address),
            running_milliseconds: None,
            memory_bytes: None,
            certificate: None,
            apps: Vec::new(),
            zones_down: Vec::new(),
            clock_offset_milliseconds: self.faults().clock_offset(name),
            detail: Value::Null,
        };
        let state = slot.state();
        let running = match state {
            State::Running(running) => running,
            other => {
                (report.state, report.reason) = describe(&other);
                if let State::Left = other {
                    report.note = Some(format!(
                        "it ended as a signal asked it to; `causeway fault start {name}` starts it"
                    ));
                }
                self.note_drain(&mut report);
                return (report, Vec::new());
            }
        };
        let now = self.environment.now().monotonic;
        report.process = Some(running.child.id());
        report.running_milliseconds = Some((now - running.since).0 / 1000);
        report.memory_bytes = proportional_set_size(running.child.id());
        report.certificate = Some(running.certificate.clone());
        report.apps = running.apps.report();
        if let Some(region) = name.region() {
            let down = self.faults().zones_down(region);
            let down = down.into_iter();
            report.zones_down = down
                .map(|letter| AvailabilityZone { region, letter })
                .collect();
        }
        let not_renewed = running.not_renewed.as_ref();
        report.reason = not_renewed.map(|why| format!("it has no new certificate: {why}"));
        if running.paused {
            report.state = "paused".to_owned();
            self.note_drain(&mut report);
            return (report, Vec::new());
        }
        let question = Question::Status;
        let detail = slot.call(&SiteCommand::Ask { question }, STATUS_WAIT).await;
        match detail {
            Ok(detail) => report.detail = detail,
            Err(cause) => report.reason = Some(cause.to_string()),
        }
        self.note_drain(&mut report);
        let links = slot.call(&SiteCommand::Links, STATUS_WAIT).await;
        let links = links
            .ok()
            .and_then(|links| serde_json::from_value(links).ok());
        (report, links.unwrap_or_default())
    }

    /// How late each Region's changes are in each other: what waits, as their origin knows it,
    /// and how long they took, as measured where they arrive.
    async fn lag(&self) -> Result<Value, Failure> {
        let (answers, silent) = self.heard(&Question::Lag).await;
        if answers.is_empty() {
            return Err(no_answer());
        }
        let rows = |name: &str| -> Vec<Value> {
            let lists = answers
                .iter()
                .filter_map(|(_, answer)| answer[name].as_array());
            lists.flatten().cloned().collect()
        };
        let mut lag = rows("lag");
        for latency in rows("latencies") {
            let same =
                |row: &&mut Value| row["from"] == latency["from"] && row["to"] == latency["to"];
            match (lag.iter_mut().find(same), latency) {
                (Some(Value::Object(row)), Value::Object(latency)) => row.extend(latency),
                (_, latency) => lag.push(latency),
            }
        }
        for row in &mut lag {
            let site = |end: &str| row[end].as_str().and_then(|name| name.parse().ok());
            let connected = row["connected"] == true;
            if let (Some(from), Some(to)) = (site("from"), site("to")) {
                row["link"] = json!(self.link_word(from, to, connected));
            }
        }
        Ok(json!({ "lag": lag, "objects": rows("objects"), "silent": silent }))
    }

    /// The answers of the Regions that answered, and who didn't, and why.
    pub(super) async fn heard(&self, question: &Question) -> (Vec<(SiteName, Value)>, Vec<Value>) {
        let (mut heard, mut silent) = (Vec::new(), Vec::new());
        for (region, answer) in self.ask_regions(question, QUESTION_WAIT).await {
            match answer {
                Ok(answer) => heard.push((region, answer)),
                Err(cause) => silent.push(json!({ "region": region, "reason": cause.to_string() })),
            }
        }
        (heard, silent)
    }

    async fn operations(&self) -> Result<Value, Failure> {
        let answers = self.ask_regions(&Question::Operations, QUESTION_WAIT).await;
        let answered = answers.into_iter().find_map(|(_, answer)| answer.ok());
        answered.ok_or_else(no_answer)
    }

    /// Asks all Regions at once; answers in the order of their numbers.
    pub(super) async fn ask_regions(
        &self,
        question: &Question,
        wait: Duration,
    ) -> Vec<(SiteName, Result<Value, CallError>)> {
        let sites = self.lab.settings.sites.iter();
        let regions = sites.filter(|site| site.name.region().is_some());
        let asked = regions.map(|site| async move {
            let question = question.clone();
            let command = SiteCommand::Ask { question };
            let answer = self.slots[&site.name].call(&command, wait).await;
            (site.name, answer)
        });
        join_all(asked).await
    }
}

pub(super) fn no_answer() -> Failure {
    Failure::did_not_hold("no Region answered").then("`causeway status` shows how they are")
}

/// A state in a word, and how a process ended that did so by itself.
pub(super) fn describe(state: &State) -> (String, Option<String>) {
    match state {
        State::Idle => ("stopped".to_owned(), None),
        State::Starting(_) => ("starting".to_owned(), None),
        State::Running(_) => ("running".to_owned(), None),
        State::Killed => ("killed".to_owned(), None),
        State::Crashed(exit) => ("crashed".to_owned(), Some(exit.to_string())),
        State::Left => ("stopped".to_owned(), None),
    }
}

/// The process's proportional set size in bytes (proc_pid_smaps_rollup(5)).
fn proportional_set_size(process: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain values have a JSON form")
}
