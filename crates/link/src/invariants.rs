//! Invariant 3, as far as the compiler proves it: an envelope reaches the wire only as
//! `Plain → Admitted → Sealed`, and only a session seals. The first example compiles; the
//! others take one step out of it, or make a step's value by hand.

/// The steps in order compile.
///
/// ```
/// use link::{Admission, Admitted, Link, Plain, Sealed, SendError, Session};
///
/// fn send(link: &mut Link, session: &Session, plain: Plain) -> Result<(), SendError> {
///     let now = types::Monotonic(0);
///     let admitted: Admitted = Admission::open().admit(plain).expect("nothing is bound");
///     let sealed: Sealed = session.seal(admitted).expect("the envelope is for the session's peer");
///     link.send(now, sealed)
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_steps_in_order_compile {}

/// A plain envelope can't be sealed: admission is skipped.
///
/// ```compile_fail,E0308
/// use link::{Admission, Link, Plain, SendError, Session};
///
/// fn send(link: &mut Link, session: &Session, plain: Plain) -> Result<(), SendError> {
///     let now = types::Monotonic(0);
///     let sealed = session.seal(plain).expect("the envelope is for the session's peer");
///     link.send(now, sealed)
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_plain_is_not_sealed {}

/// A plain envelope can't be sent.
///
/// ```compile_fail,E0308
/// use link::{Admission, Link, Plain, SendError, Session};
///
/// fn send(link: &mut Link, session: &Session, plain: Plain) -> Result<(), SendError> {
///     let now = types::Monotonic(0);
///     link.send(now, plain)
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_plain_is_not_sent {}

/// An admitted envelope can't be sent: sealing is skipped.
///
/// ```compile_fail,E0308
/// use link::{Admission, Link, Plain, SendError, Session};
///
/// fn send(link: &mut Link, session: &Session, plain: Plain) -> Result<(), SendError> {
///     let now = types::Monotonic(0);
///     let admitted = Admission::open().admit(plain).expect("nothing is bound");
///     link.send(now, admitted)
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_admitted_is_not_sent {}

/// An admitted envelope can't be made without admission.
///
/// ```compile_fail,E0451
/// use link::Admitted;
///
/// fn admit(admitted: Admitted, to: types::SiteName) -> Admitted {
///     Admitted { to, ..admitted }
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_admitted_is_not_made {}

/// A sealed envelope can't be made, or addressed anew, without a session.
///
/// ```compile_fail,E0451
/// use link::Sealed;
///
/// fn seal(sealed: Sealed, to: types::SiteName) -> Sealed {
///     Sealed { to, ..sealed }
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_sealed_is_not_made {}

/// A session can't be made, or given another peer, without a handshake.
///
/// ```compile_fail,E0451
/// use link::Session;
///
/// fn session(session: Session, peer: types::SiteName) -> Session {
///     Session { peer, ..session }
/// }
/// ```
#[cfg(doctest)]
pub mod invariant_3_session_is_not_made {}
