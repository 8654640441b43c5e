//! Standbys that their sources have no more of the log for, or that hold more than their sources
//! since these failed over: what was seen of it, and how such a one is given up. It decides on
//! none: when, is the plan's to say.

use std::sync::Arc;

use databases::model::ResourceId;
use databases::plan::{
    Behind, FailureKind, Step, StepKind, Upstream as Followed, Wanted, is_a_copy, may_be_left,
};
use databases::{ReplicationNews, catalogue};
use runtime::postgres::{Fork, Lsn, Stop};
use types::{Monotonic, Span};

use super::Around;
use super::keeper::Keeper;
use super::steps::{Failed, is_still_next, leave};

/// One that has followed for this long after it was copied anew did so for good.
const FOR_GOOD: Span = Span::seconds(4 * 3600);

/// What a keeper knows of it.
#[derive(Default)]
pub(super) struct Missing {
    /// How far it had got when its source first said so, and when that was.
    at: Option<(Lsn, Monotonic)>,
    /// How often it was given up for that, and when last.
    reseeds: u32,
    last: Option<Monotonic>,
    /// It was given up, and doesn't follow yet.
    is_awaited: bool,
}

impl Missing {
    /// As the plan sees it, of a server that has got as far as that.
    pub(super) fn seen(&mut self, written: Option<Lsn>) -> Option<Behind> {
        self.at
            .take_if(|(at, _)| written.is_none_or(|to| to != *at));
        let (_, since) = self.at?;
        Some(Behind {
            since,
            reseeds: self.reseeds,
            last: self.last,
        })
    }

    /// Its source says that its log begins there; gives whether that is news of one that has less.
    fn told(&mut self, oldest: Lsn, written: Lsn, now: Monotonic) -> bool {
        if written >= oldest {
            self.at = None;
            return false;
        }
        self.stands(written, now)
    }

    /// It can't follow its source any more, as far as it has got; gives whether that is news.
    fn stands(&mut self, written: Lsn, now: Monotonic) -> bool {
        let is_news = self.at.is_none();
        self.at.get_or_insert((written, now));
        is_news
    }

    fn given_up(&mut self, now: Monotonic) {
        if self.last.is_some_and(|last| now - last > FOR_GOOD) {
            self.reseeds = 0;
        }
        (self.at, self.last) = (None, Some(now));
        (self.reseeds, self.is_awaited) = (self.reseeds + 1, true);
    }
}

impl Keeper {
    /// Its source was asked, and says that its log begins there, if it knows.
    pub(super) async fn told_of_log(
        &mut self,
        wanted: &Wanted,
        oldest: Option<databases::model::Lsn>,
    ) {
        let said = self.running.as_ref().and_then(|it| it.said.as_ref());
        // One that still replays what it has may need nothing of what is gone.
        let said = said.filter(|said| said.starved);
        let Some(written) = said.map(|said| said.written) else {
            return;
        };
        let now = self.now().monotonic;
        if let Some(fork) = self.parted(wanted, written).await {
            if self.missing.stands(written, now) {
                tracing::warn!(instance = %self.id, timeline = fork.timeline, left = %fork.lsn,
                    %written, "it holds more than its source had when that failed over");
                self.tell_news(ReplicationNews::Parted).await;
            }
            return;
        }
        let Some(oldest) = oldest else { return };
        if self.missing.told(Lsn(oldest.0), written, now) {
            tracing::warn!(instance = %self.id, %oldest, %written,
                "its source has no more of the log that it needs");
            self.tell_news(ReplicationNews::Behind).await;
        }
    }

    /// Where its source, which failed over or was promoted within its Region, left what it has.
    async fn parted(&self, wanted: &Wanted, written: Lsn) -> Option<Fork> {
        if !may_be_left(wanted) {
            return None;
        }
        match self.seen.home.parted(written).await {
            Ok(parted) => parted,
            Err(cause) => {
                tracing::warn!(instance = %self.id, %cause, "a standby's timelines can't be read");
                None
            }
        }
    }

    /// A standby that was copied anew follows.
    pub(super) async fn follows_again(&mut self) {
        if std::mem::take(&mut self.missing.is_awaited) {
            self.tell_news(ReplicationNews::Resumed).await;
        }
    }

    async fn tell_news(&self, news: ReplicationNews) {
        let service = self.around.region.database_service();
        service.tell_of_replication(&self.id, news).await;
    }
}

/// A source of this Region that is being deleted gives no leave: what its replicas have may be all
/// there is soon.
pub(super) fn stays(around: &Around, source: &ResourceId) -> Result<(), Failed> {
    let view = around.region.regional_view();
    match catalogue::instance(&*view, source) {
        Ok(Some((_, instance))) if instance.deletion.is_some() => {
            let reason = "its source is being deleted";
            Err(Failed::new(FailureKind::Source, reason))
        }
        // What has no row of its own is a home.
        Ok(_) => Ok(()),
        Err(cause) => Err(Failed::new(FailureKind::Source, cause)),
    }
}

/// Removes a stopped home that is to be copied anew: once its source gives leave.
pub(super) async fn remove(
    keeper: &Keeper,
    step: &Step,
    followed: &Followed,
) -> Result<(), Failed> {
    leave(keeper, followed).await?;
    match is_still_next(keeper, step)? {
        true => Ok(keeper.seen.home.remove().await?),
        false => Ok(()),
    }
}

/// Gives a standby up, to be copied anew: once its source gives leave.
pub(super) async fn reseed(keeper: &mut Keeper, followed: &Followed) -> Result<(), Failed> {
    leave(keeper, followed).await?;
    if !is_still_next(keeper, &Step::Reseed(followed.clone()))? {
        return Ok(());
    }
    keeper.doors.end_sessions();
    let server = keeper.running.take().map(|running| running.server);
    if let Some(server) = server.and_then(Arc::into_inner) {
        server.stop(Stop::Immediate).await?;
    }
    // Nobody is told to promote what is stopped; whoever was told before gets what it has.
    keeper.seen.state().standing.observed.server = None;
    // It may have another role by now: a server takes a while to stop.
    let wanted = keeper.wanted()?;
    if !wanted.is_some_and(|wanted| is_a_copy(&wanted, followed)) {
        tracing::info!(instance = %keeper.id, "a standby that has another role by now is kept");
        return Ok(());
    }
    keeper.seen.home.remove().await?;
    let now = keeper.now().monotonic;
    keeper.missing.given_up(now);
    tracing::warn!(instance = %keeper.id, kind = ?StepKind::Reseed, "a standby is copied anew");
    keeper.tell_news(ReplicationNews::Reseeding).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_behind_from_the_first_word_of_its_source_until_it_gets_on() {
        let mut missing = Missing::default();
        assert_eq!(missing.seen(Some(Lsn(5))), None);
        assert!(
            !missing.told(Lsn(5), Lsn(5), Monotonic(1)),
            "it needs what is there"
        );
        assert!(missing.told(Lsn(6), Lsn(5), Monotonic(2)));
        assert!(!missing.told(Lsn(7), Lsn(5), Monotonic(3)), "it is no news");
        let behind = missing.seen(Some(Lsn(5))).unwrap();
        assert_eq!((behind.since, behind.reseeds), (Monotonic(2), 0));
        assert_eq!(missing.seen(Some(Lsn(6))), None, "it got on");
        assert!(missing.told(Lsn(7), Lsn(6), Monotonic(4)));
        assert_eq!(missing.seen(None), None, "no server runs");
    }

    #[test]
    fn one_that_holds_more_than_its_source_is_given_up_by_where_it_stands() {
        let mut missing = Missing::default();
        assert!(missing.stands(Lsn(5), Monotonic(2)));
        assert!(!missing.stands(Lsn(5), Monotonic(3)), "it is no news");
        assert_eq!(missing.seen(Some(Lsn(5))).unwrap().since, Monotonic(2));
        assert_eq!(missing.seen(Some(Lsn(6))), None, "it got on");
        assert!(missing.stands(Lsn(6), Monotonic(4)), "it is news again");
    }

    #[test]
    fn how_often_it_was_given_up_counts_until_it_has_followed_for_long() {
        let mut missing = Missing::default();
        let behind = |missing: &mut Missing| {
            missing.told(Lsn(7), Lsn(6), Monotonic(0));
            let behind = missing.seen(Some(Lsn(6))).unwrap();
            (behind.reseeds, behind.last)
        };
        let first = Monotonic(10);
        missing.given_up(first);
        assert_eq!(missing.seen(Some(Lsn(6))), None, "what it was is gone");
        assert_eq!(behind(&mut missing), (1, Some(first)));
        missing.given_up(first + Span::seconds(60));
        assert_eq!(behind(&mut missing).0, 2);
        missing.given_up(first + FOR_GOOD + FOR_GOOD);
        assert_eq!(behind(&mut missing).0, 1);
    }
}
