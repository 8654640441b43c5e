//! A failover that nobody asks for: a Region that follows decides it once the writer's Region has
//! been silent for as long as the global cluster's tag [`TAG`] says. Without the tag none is ever
//! decided. It loses what hadn't crossed, which is what the tag gives leave to.
//!
//! It is the same move as `FailoverGlobalCluster` with `AllowDataLoss` makes, so it is as safe as
//! that, whoever errs: what keeps two writers apart is the lease. What is judged here is only
//! whether it is worth it. Silent is a writer's Region whose lease wasn't renewed for the span, as
//! seen by one whose own renewals were decided all the while ([`Hearing`]): one that was cut off
//! itself, that just started, or that stood still, knows nothing of others and begins to count
//! anew. Which member takes over is asked of all of them: the one that has received most.

use types::{AccountId, ConfigurationView, Monotonic, Region, Span, Timestamp};

use crate::arn::ClusterArn;
use crate::catalogue::{self, Row};
use crate::codec::CodecError;
use crate::error::DatabasesError;
use crate::events::{self, Category, Telling};
use crate::keys;
use crate::lease::RENEW_EVERY;
use crate::model::{Decision, GlobalCluster, GlobalClusterId, Lsn, MoveKind, ResourceId, Tags};
use crate::progress::ProgressError;
use crate::request::shown;
use crate::service::Service;
use crate::silence::{LeaseRow, LeasesSeen};

/// The tag of a global cluster that gives leave, and says after how long: `2s` to `10m`.
pub const TAG: &str = "causeway:failover-after";

/// The shortest span: a lease is renewed every second.
const SHORTEST: Span = Span::seconds(2);

/// The longest span.
const LONGEST: Span = Span::seconds(600);

/// Between two of a Region's own renewals that were decided: after more, it knows nothing of what
/// others did meanwhile. An election of the council's leader that takes longer makes it count anew,
/// since it kept the writer from renewing as well.
const MOST_BETWEEN: Span = Span(RENEW_EVERY.0 + 500_000);

/// How much longer one waits that isn't the best choice: who is has that long to decide.
pub const WAIT_FOR_BETTER: Span = Span::seconds(1);

/// The span that tags say, if they give leave.
///
/// # Errors
///
/// The tag's value is no span of 2 s to 10 min.
pub(crate) fn span_of(tags: &Tags) -> Result<Option<Span>, DatabasesError> {
    let Some(value) = tags.get(TAG) else {
        return Ok(None);
    };
    let span = span(value).filter(|span| (SHORTEST..=LONGEST).contains(span));
    match span {
        Some(span) => Ok(Some(span)),
        None => Err(DatabasesError::value(format!(
            "The value of the tag {TAG} is a span of 2s to 10m: {}",
            shown(value)
        ))),
    }
}

/// A whole number of `ms`, `s` or `m`.
fn span(text: &str) -> Option<Span> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = is_number.then(|| digits.parse().ok())??;
    count.checked_mul(unit).map(Span)
}

/// For how long a Region's own renewals have been decided, one soon after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hearing {
    since: Monotonic,
    /// The revision that decided the first of them.
    from: u64,
    last: Option<Monotonic>,
}

impl Hearing {
    /// A renewal of its own was decided by that revision, as is known now.
    pub fn decided(&mut self, now: Monotonic, revision: u64) {
        if self.since(now).is_none() {
            (self.since, self.from) = (now, revision);
        }
        self.last = Some(now);
    }

    /// Since when it hears the council without a gap; `None`: it doesn't now.
    pub fn since(&self, now: Monotonic) -> Option<Monotonic> {
        let last = self.last?;
        (now - last <= MOST_BETWEEN).then_some(self.since)
    }

    /// The revision that was the first to be heard without a gap; `None`: it doesn't hear now.
    pub fn from(&self, now: Monotonic) -> Option<u64> {
        self.since(now).map(|_| self.from)
    }
}

/// What a Region knows of the others.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What it has seen of their leases.
    pub leases: &'a LeasesSeen,
    /// How it hears the council.
    pub hearing: Hearing,
    /// Now.
    pub now: Monotonic,
}

impl Known<'_> {
    /// Since when nothing was heard of a Region, while the council was; `None`: the council isn't
    /// heard now, or that Region never had a lease.
    pub fn silent_since(&self, region: Region) -> Option<Monotonic> {
        let hears = self.hearing.since(self.now)?;
        let seen = self.leases.of(region)?;
        Some(seen.at.max(hears))
    }
}

/// A failover that this Region may decide, as things stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undecided {
    /// Of which global cluster.
    pub global: GlobalClusterId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub identifier: String,
    /// The silent writer.
    pub from: ClusterArn,
    /// This Region's own member.
    pub to: ClusterArn,
    /// The head of that.
    pub head: ResourceId,
    /// The other members that could take over: their names, and their heads.
    pub others: Vec<(ClusterArn, ResourceId)>,
    /// The epoch that ends.
    pub epoch: u64,
    /// The writer's last renewal.
    pub renewal: LeaseRow,
    /// Since when it is known to be silent.
    pub since: Monotonic,
    /// Not before then.
    pub due: Monotonic,
}

/// The failovers that a Region may decide, each at its time, as things stand in that configuration
/// of the council's.
///
/// # Errors
///
/// A global cluster can't be read.
pub fn undecided(
    view: &dyn ConfigurationView,
    own: Region,
    known: Known<'_>,
) -> Result<Vec<Undecided>, CodecError> {
    let Some(hears) = known.hearing.since(known.now) else {
        return Ok(Vec::new());
    };
    let rows = catalogue::global_clusters(view)?;
    let found = rows
        .iter()
        .filter_map(|(_, row)| of_row(view, row, own, (known.leases, hears)));
    Ok(found.collect())
}

fn of_row(
    view: &dyn ConfigurationView,
    row: &GlobalCluster,
    own: Region,
    (leases, hears): (&LeasesSeen, Monotonic),
) -> Option<Undecided> {
    let span = span_of(&row.tags).ok().flatten()?;
    let from = row.writer.clone().filter(|from| from.region != own)?;
    row.writing_head()?;
    if row.moving.is_some() {
        return None;
    }
    // One that is still to be brought to the latest epoch can't take over.
    let ready = row.members.values().filter_map(|member| {
        let head = member.head.as_ref()?;
        let is_ready = head.epoch == row.epoch && member.arn != from;
        is_ready.then(|| (member.arn.clone(), head.resource_id.clone()))
    });
    let is_own = |(arn, _): &(ClusterArn, ResourceId)| arn.region == own;
    let (mine, others): (Vec<_>, Vec<_>) = ready.partition(is_own);
    let (to, head) = mine.into_iter().next()?;
    let renewal = LeaseRow::of(view, from.region)?;
    let seen = leases.of(from.region).filter(|seen| seen.row == renewal)?;
    // What came to nothing would come to nothing again; or somebody has taken it back.
    let tried = tried(view, &row.resource_id, &renewal).ok()?;
    if tried.contains(&to) {
        return None;
    }
    let since = seen.at.max(hears);
    Some(Undecided {
        global: row.resource_id.clone(),
        account: row.account,
        identifier: row.identifier.clone(),
        from,
        to,
        head,
        others: others
            .into_iter()
            .filter(|(arn, _)| arn.region != own)
            .collect(),
        epoch: row.epoch,
        renewal,
        since,
        due: since + span,
    })
}

/// The members that have decided since that renewal.
fn tried(
    view: &dyn ConfigurationView,
    id: &GlobalClusterId,
    renewal: &LeaseRow,
) -> Result<Vec<ClusterArn>, CodecError> {
    let last = catalogue::decision(view, id)?.map(|(_, decision)| decision);
    let last = last.filter(|decision| Some(decision.renewal) == renewal.number());
    Ok(last.map_or_else(Vec::new, |decision| decision.tried))
}

impl Undecided {
    /// Is another one the better choice? `answers` say how far those are that have answered: what
    /// they have received of the writer's log.
    pub fn is_for_another(&self, own: Lsn, answers: &[(ClusterArn, Lsn)]) -> bool {
        let rank = (own, std::cmp::Reverse(&self.to));
        let mut others = answers.iter();
        others.any(|(arn, received)| (*received, std::cmp::Reverse(arn)) > rank)
    }

    /// Not before then even by one that isn't the best choice.
    pub fn due_at_last(&self) -> Monotonic {
        self.due + WAIT_FOR_BETTER
    }
}

impl Service {
    /// Decides a failover, if all is as it was when that was weighed; false: it isn't. `silent` is
    /// for how long its writer has been.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: nothing was decided, or nobody can tell.
    pub async fn fail_over_unasked(
        &self,
        undecided: &Undecided,
        silent: Span,
    ) -> Result<bool, ProgressError> {
        let asked = self.now();
        let made = self.change_global(|view: &dyn ConfigurationView| {
            let Some((revision, mut row)) = still(view, undecided)? else {
                return Ok((Vec::new(), None));
            };
            let before = row.clone();
            let (from, to) = (undecided.from.clone(), undecided.to.clone());
            row.begin_move(MoveKind::Failover, (from, to), asked);
            let mut tried = tried(view, &row.resource_id, &undecided.renewal)?;
            tried.push(undecided.to.clone());
            let decision = Decision {
                number: row.moves,
                from: undecided.from.clone(),
                to: undecided.to.clone(),
                decided: asked,
                silent_milliseconds: silent.0 / 1_000,
                renewal: undecided.renewal.number().unwrap_or_default(),
                tried,
            };
            let key = keys::decision(&row.resource_id);
            let any = types::ConfigurationExpected::Any;
            // However long it takes to be decided: if the writer is heard meanwhile, nothing is.
            let silent = LeaseRow::of(view, undecided.from.region);
            let mut edits = vec![
                catalogue::replace(catalogue::global_key(&row), revision, &row),
                catalogue::edit(key, any, Some(crate::codec::encode(&decision))),
            ];
            edits.extend(silent.map(|row| row.unchanged(undecided.from.region)));
            Ok((edits, Some((before, row))))
        });
        let (changed, _) = made.await?;
        let Some((before, after)) = changed else {
            return Ok(false);
        };
        self.look_at(&undecided.head);
        self.tell_of_move((&before, &after), "").await;
        Ok(true)
    }

    /// Tells, in this Region's events, of failovers that any Region decided unasked, and that
    /// weren't told of here yet: each once, also by one that was dead at the time.
    ///
    /// # Errors
    ///
    /// [`ProgressError`]: it is to be tried again.
    pub async fn tell_of_decisions(&self) -> Result<(), ProgressError> {
        let global = self.global_view();
        let rows = catalogue::global_clusters(&*global).map_err(DatabasesError::from)?;
        for (_, row) in rows {
            let decision = catalogue::decision(&*global, &row.resource_id);
            let decision = decision.map_err(DatabasesError::from)?;
            let mut members = row.members.values();
            let own = members.find(|member| member.arn.region == self.config.region);
            let (Some((_, decision)), Some(own)) = (decision, own) else {
                continue;
            };
            let cluster = catalogue::cluster(&*self.view(), &own.resource_id);
            let cluster = cluster.map_err(DatabasesError::from)?;
            // What was decided before its cluster was there is no news of it.
            if cluster.is_some_and(|(_, cluster)| cluster.created <= decision.decided) {
                self.tell_of_decision(&row, &decision, &own.arn).await?;
            }
        }
        Ok(())
    }

    async fn tell_of_decision(
        &self,
        row: &GlobalCluster,
        decision: &Decision,
        own: &ClusterArn,
    ) -> Result<(), DatabasesError> {
        let key = keys::decision_told(&row.resource_id);
        let number = decision.number.to_string();
        let was_told = |view: &dyn ConfigurationView| {
            let told = view.get(&key);
            told.is_some_and(|(_, value)| value[..] == *number.as_bytes())
        };
        if was_told(&*self.view()) {
            return Ok(());
        }
        let now: Timestamp = self.now();
        let telling = || Telling::of_cluster(own, Category::GlobalFailover, decision.words());
        self.change(|view: &dyn ConfigurationView| {
            if was_told(view) {
                return Ok((Vec::new(), ()));
            }
            let any = types::ConfigurationExpected::Any;
            let value = Some(number.clone().into());
            let mut edits = vec![catalogue::edit(key.clone(), any, value)];
            edits.extend(events::edits(view, now, vec![telling()]));
            Ok((edits, ()))
        })
        .await
    }
}

/// The row, if it is as it was when its failover was weighed.
fn still(
    view: &dyn ConfigurationView,
    undecided: &Undecided,
) -> Result<Option<Row<GlobalCluster>>, DatabasesError> {
    let found = catalogue::global_cluster(view, undecided.account, &undecided.identifier)?;
    let renewal = LeaseRow::of(view, undecided.from.region);
    Ok(found.filter(|(_, row)| {
        let head = row.member(&undecided.to).and_then(|it| it.head.as_ref());
        row.resource_id == undecided.global
            && row.lets_write(&undecided.from)
            && row.epoch == undecided.epoch
            && span_of(&row.tags).is_ok_and(|span| span.is_some())
            && head.is_some_and(|head| head.resource_id == undecided.head)
            && renewal.as_ref() == Some(&undecided.renewal)
    }))
}

#[cfg(test)]
mod tests;
