//! The password of the master user: set on a primary, and written down as set once nobody can take
//! over without it. Its verifier is forgotten with that.

use super::next::Wanted;
use super::observed::{Observed, ServerSeen};
use super::pair;
use super::step::{Record, Step};

/// What is to be done so that a primary has the password of its master user.
pub(super) fn master(wanted: &Wanted, observed: &Observed, server: &ServerSeen) -> Option<Step> {
    let master = &wanted.instance.master;
    let number = master.asked;
    if master.applied >= number {
        return None;
    }
    if server.master_set == Some(number) {
        // A standby or a reader that takes over is to have it.
        let is_carried = pair::is_even(wanted, observed) && have_readers(wanted, observed);
        return is_carried.then_some(Step::Record(Record::MasterSet { number }));
    }
    let verifier = master.verifier.clone()?;
    Some(Step::SetMaster {
        master: master.username.clone(),
        verifier,
        number,
    })
}

/// Have the readers that may take over from a cluster's head its master user's password, that was
/// set on it? Once it is written down that it is set nobody sets it again. One that isn't connected
/// may take over as well, for as long as what it lacks is new.
fn have_readers(wanted: &Wanted, observed: &Observed) -> bool {
    let seen = &observed.head;
    let have = seen.readers_have.zip(seen.master_at);
    let is_carried = have.is_some_and(|(have, at)| have >= at);
    wanted.readers.is_empty() || is_carried || !seen.readers_may_lack
}
