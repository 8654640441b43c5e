//! S3 in a Region: its way in, the key of its bytes at rest, the roles that it acts as, what it
//! asks other Regions, and what goes on by itself: replication over the link, lifecycles, scrubs,
//! events. What any of it means is `objects`' and `s3`'s affair.

mod courier;
mod front;
mod key;
mod open;
mod peers;
mod roles;
mod status;
mod tasks;

pub(crate) use courier::ObjectsInbox;
pub use front::bucket_to_find;
pub(crate) use front::is_addressed;
use key::site_key;
pub(crate) use open::{Around, open};
pub(crate) use peers::{put_facts, take_facts};
pub use status::{
    ContentsVerified, EventStatus, LifecycleStatus, LostObject, LostObjects, ObjectsStatus, RuleLag,
};
