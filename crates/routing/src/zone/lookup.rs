//! Finding a name in its zone, as RFC 1034, section 4.3.2 and RFC 4592 have it: from the apex
//! down, label by label, until a name is not there. The cost depends on the labels asked for
//! and found, never on how many names the zone has.

use super::{CompiledZone, NONE};
use crate::dns::QueryName;
use crate::dns::query_name::extend_hash;

/// What a name turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// It exists: this node, which may have nothing but names below it.
    Exact(u32),
    /// It doesn't, but the wildcard of its closest encloser stands for it.
    Wildcard(u32),
    /// It lies at or below a delegation: the node of the cut, and which label of the name the
    /// cut's begins with.
    Delegated(u32, usize),
    /// It doesn't exist.
    Nothing,
}

impl CompiledZone {
    /// Finds a name of the zone. `apex` is the label with which the zone's name begins in it,
    /// `hash` the zone's hash. With `at_cut`, a cut itself is taken for the zone's own: that is
    /// so for DS alone (RFC 4035, section 3.1.4.1).
    #[inline]
    pub(crate) fn lookup(&self, name: &QueryName, apex: usize, hash: u64, at_cut: bool) -> Found {
        let mut hash = hash;
        let mut encloser = 0;
        for label in (0..apex).rev() {
            hash = extend_hash(hash, name.label(label));
            let Some(node) = self.find(hash, name.suffix(label)) else {
                return match self.nodes[encloser as usize].wildcard {
                    NONE => Found::Nothing,
                    wildcard => Found::Wildcard(wildcard),
                };
            };
            if self.nodes[node as usize].delegated && !(at_cut && label == 0) {
                return Found::Delegated(node, label);
            }
            encloser = node;
        }
        Found::Exact(encloser)
    }
}
