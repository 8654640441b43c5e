//! Global configuration as a service sees it: keys and values of one revision, changed all or
//! none. Who keeps it (the council, by a majority of sites) is of no concern to the service;
//! `region` and `edge` stand between.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// A proposal on its way: the revision that made it, or why it was not made.
pub type Proposal<'a> = Pin<Box<dyn Future<Output = Result<u64, ConfigurationError>> + Send + 'a>>;

/// What waits until a site has all that was decided before it asked; or says why it can't know.
pub type CatchUp<'a> = Pin<Box<dyn Future<Output = Result<(), ConfigurationError>> + Send + 'a>>;

/// An entry: the revision that set it, and its value.
pub type ConfigurationEntry<'a> = (u64, &'a Bytes);

/// The configuration as of one revision. Keys are `service/…`, in byte order.
pub trait ConfigurationView: Send + Sync {
    /// How often it has changed.
    fn revision(&self) -> u64;

    /// The value of that key, and the revision that set it.
    fn get(&self, key: &str) -> Option<(u64, Bytes)>;

    /// Visits the entries whose keys begin with `prefix`, in order: key, revision, value.
    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes));

    /// Visits what differs from revision `since` among keys that begin with `prefix`: removed
    /// ones first (`None`, some perhaps more than once), then those set since, in order, with
    /// their revision and value. It costs little more than what changed. False, having visited
    /// nothing: it can't tell (any more), so all must be read with [`ConfigurationView::visit`].
    fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        let _ = (prefix, since, visitor);
        false
    }
}

/// The global configuration, and how it is changed.
pub trait Configuration: Send + Sync + 'static {
    /// As this site knows it now; it stays readable when nobody else is heard.
    fn view(&self) -> Arc<dyn ConfigurationView>;

    /// Has the edits made, all or none. When it returns, this site's view has them.
    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_>;

    /// Returns when this site's view has all that was decided before the call. A site learns of
    /// what was decided elsewhere a moment after whoever decided it. Edits made of an older view
    /// conflict and harm nobody; what is refused by one may be refused wrongly. It changes nothing.
    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async move {
            match self.propose(vec![ConfigurationEdit::never_made()]).await {
                Ok(_) | Err(ConfigurationError::Conflict) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

/// What must hold of a key for an edit to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigurationExpected {
    /// Nothing.
    Any,
    /// It is not there.
    Absent,
    /// It was last set by this revision.
    Revision(u64),
}

/// A change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigurationEdit {
    /// The key.
    pub key: String,
    /// What must hold of it.
    pub expected: ConfigurationExpected,
    /// Its new value; `None` removes it.
    pub value: Option<Bytes>,
}

impl ConfigurationEdit {
    /// One that is decided on like any other and never made, for no revision is 0: whoever gets its
    /// answer has what was decided before.
    pub fn never_made() -> ConfigurationEdit {
        ConfigurationEdit {
            key: "types/never-made".to_owned(),
            expected: ConfigurationExpected::Revision(0),
            value: None,
        }
    }
}

/// Why a change was not made, or is not known to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A key was not as expected: somebody else changed it meanwhile. Read again and repeat.
    #[error("another change came first")]
    Conflict,
    /// This site hears no majority of the sites.
    #[error("no majority of the sites is heard")]
    NoMajority,
    /// Nothing was decided in time. It may yet be made, once.
    #[error("nothing was decided in time")]
    TimedOut,
    /// The configuration would hold more than it may.
    #[error("the configuration is full")]
    Full,
    /// The change alone is larger than one may be.
    #[error("the change is too large")]
    TooLarge,
    /// Too many changes are under way at this site.
    #[error("too many changes are under way")]
    Busy,
    /// The site is stopping.
    #[error("the site is stopping")]
    Stopped,
}
