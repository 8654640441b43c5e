//! How what only an old writer had is kept before its home goes: as a tail, and, where that doesn't
//! hold all of it, with the whole home beside it. It removes nothing.

use databases::plan::{Step, Wanted};
use runtime::postgres::Fork;
use types::Environment;

use super::keeper::Keeper;
use super::steps::{Failed, is_still_next, leave, postgres};
use super::tails::Kept;

/// Keeps what a home alone holds, or puts that aside.
pub(super) async fn keep(
    keeper: &Keeper,
    wanted: &Wanted,
    step: &Step,
    kept: &Kept<'_>,
) -> Result<(), Failed> {
    let Step::SetAside { upstream, .. } = step else {
        return keep_tail(keeper, wanted, kept).await;
    };
    leave(keeper, upstream).await?;
    match is_still_next(keeper, step)? {
        true => set_aside(keeper, wanted, kept).await,
        false => Ok(()),
    }
}

/// Keeps what a stopped home alone holds.
async fn keep_tail(keeper: &Keeper, wanted: &Wanted, kept: &Kept<'_>) -> Result<(), Failed> {
    let around = &keeper.around;
    let to = around.tails.prepare(postgres(keeper)?, kept)?;
    let _turn = around.takers.acquire().await;
    let following = wanted.duty.following();
    let fork = Fork {
        timeline: following.map_or(0, |following| following.timeline),
        lsn: runtime::postgres::Lsn(kept.from.0),
    };
    let home = &keeper.seen.home;
    let tail = postgres(keeper)?.keep_tail(home, fork, (&to, around.tail_limit));
    let tail = tail.await?;
    let unlisted = tail.unlisted.map_or(0, |unlisted| unlisted.count);
    tracing::warn!(instance = %wanted.instance.arn, base = kept.base, begin = %tail.begin,
        end = %tail.end, transactions = tail.listed + unlisted, unlisted, short = tail.is_short,
        "what only an old writer had is kept");
    let now = around.environment.now().wall;
    Ok(around.tails.finish((kept, &wanted.instance), &tail, now)?)
}

/// Puts a home that holds more than its tail into that tail's folder.
async fn set_aside(keeper: &Keeper, wanted: &Wanted, kept: &Kept<'_>) -> Result<(), Failed> {
    let around = &keeper.around;
    let place = around.tails.place_aside(kept)?;
    keeper.seen.home.set_aside(&place).await?;
    around.tails.is_aside(kept)?;
    tracing::warn!(instance = %wanted.instance.arn, place = %place.display(),
        "an old writer's data are kept aside, since its tail doesn't hold all");
    let service = around.region.database_service();
    let news = databases::ReplicationNews::SetAside;
    service.tell_of_replication(&keeper.id, news).await;
    Ok(())
}
