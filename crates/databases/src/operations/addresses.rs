//! Addresses for endpoints: drawn from the Region's pool, such that no other endpoint has them and
//! nobody else on the host listens there. Draws nothing again once an endpoint has its address:
//! clients know it.

use std::net::Ipv4Addr;

use types::ConfigurationView;

use crate::error::{DatabasesError, Refusal};
use crate::service::Service;

/// Addresses that are drawn before it is said that there is none. Others seldom have one of them;
/// who listens at a port on every address has all of them.
const DRAWS: usize = 32;

/// An address for an endpoint with that port, which none has yet.
///
/// # Errors
/// `InsufficientDBInstanceCapacity`: the Region has no pool, all its addresses are given, or others
/// listen at that port wherever it was looked.
pub(super) fn draw(
    service: &Service,
    view: &dyn ConfigurationView,
    port: u16,
) -> Result<Ipv4Addr, DatabasesError> {
    draw_besides(service, view, port, None)
}

/// One that isn't that one either, which was drawn for the same change.
///
/// # Errors
/// As of [`draw`].
pub(super) fn draw_besides(
    service: &Service,
    view: &dyn ConfigurationView,
    port: u16,
    other: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, DatabasesError> {
    let no_room =
        |text: String| DatabasesError::refused(Refusal::InsufficientDbInstanceCapacity, text);
    let pool = service.config.pool.as_ref();
    let pool = pool.map_err(|why| no_room(why.clone()))?;
    for _ in 0..DRAWS {
        let drawn = pool.draw(view, service.environment().random(), other);
        let none = "The pool of addresses of endpoints has none left";
        let drawn = drawn.ok_or_else(|| no_room(none.to_owned()))?;
        if !service.config.servers.is_taken(drawn, port) {
            return Ok(drawn);
        }
    }
    Err(no_room(format!(
        "Other processes of this host listen on port {port} at {DRAWS} of {DRAWS} addresses that \
         were drawn for the endpoint (`ss -lntp 'sport = :{port}'` names them): choose another Port"
    )))
}
