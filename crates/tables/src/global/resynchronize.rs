//! A peer that lost its disk, or stands before what the log still holds, gets its tables anew:
//! each one's descriptor is announced again and a copy of every item begun. It is the first copy
//! once more, but nobody waits for it to become active.

use store::{Batch, Engine};
use types::SiteId;

use super::copy::{Progress, progress_key};
use crate::{Change, Phase, Tables, TablesError};

impl<E: Engine> Tables<E> {
    /// Announces every table shared with that peer, and begins to copy all their items to it.
    ///
    /// # Errors
    /// When storage fails; then nothing was begun.
    pub async fn resynchronize(&self, peer: SiteId) -> Result<(), TablesError> {
        let _alone = self.global.step.lock().await;
        let mut batch = Batch::new();
        let mut begun = Vec::new();
        for table in self.catalogue.all() {
            let Some(group) = table.group.as_ref().filter(|group| group.receives(peer)) else {
                continue;
            };
            batch.announce(Change::Table { table: table.id }.encode());
            let joined = group.entry(peer).map(|member| member.joined);
            if let (Some(joined), Phase::Active) = (joined, table.phase) {
                let anew = Progress::anew(joined);
                batch.put(
                    store::Space::Meta,
                    progress_key(table.id, peer),
                    anew.encode(),
                );
                begun.push(table.id);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.engine.commit(batch).await?;
        let mut state = self.global.lock();
        for table in begun {
            state.paces.remove(&(table, peer));
        }
        Ok(())
    }
}
