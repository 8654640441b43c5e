//! IPv6 addresses of networks that the host has for its own as a whole, by a route of type `local`
//! (ip-route(8)), without an interface having each. The kernel delivers what comes to them, and
//! lets them be bound only by who asks for it, which would also bind any other address: so that is
//! asked for only where such a route leads here.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Instant;

use socket2::Socket;

/// Where the kernel tells its IPv6 routes: a line each, of fields in hexadecimal digits. The first
/// is the destination, the second the bits of its prefix, the ninth holds flags.
const ROUTES: &str = "/proc/net/ipv6_route";

/// The flag of a route of type `local` (linux/ipv6_route.h, RTF_LOCAL).
const LOCAL: u32 = 0x8000_0000;

/// How many times as long as it took to read the routes they are believed for. So a router with
/// very many of them, and as many addresses to bind, spends little of its time reading; elsewhere
/// what has changed is seen at once.
const BELIEVED: u32 = 9;

thread_local! {
    static KNOWN: RefCell<Known> = const {
        RefCell::new(Known { networks: Vec::new(), until: None })
    };
}

/// The routes of type `local`, as they were when they were read last.
struct Known {
    networks: Vec<Network>,
    until: Option<Instant>,
}

/// The destination of a route.
struct Network {
    first: u128,
    prefix: u32,
}

/// Does what is sent to that address come to this host? Routes of network namespaces and of rules
/// beyond the main and local tables count as the kernel lists them.
pub fn leads_here(address: Ipv6Addr) -> bool {
    let read = || {
        // Without IPv6 there is no such file, and no such route.
        let routes = File::open(ROUTES).map(BufReader::new);
        routes.map(local_networks).unwrap_or_default()
    };
    KNOWN.with_borrow_mut(|known| known.leads_here(address, Instant::now, read))
}

impl Known {
    fn leads_here(
        &mut self,
        address: Ipv6Addr,
        now: impl Fn() -> Instant,
        read: impl FnOnce() -> Vec<Network>,
    ) -> bool {
        let begun = now();
        if self.until.is_none_or(|until| until <= begun) {
            self.networks = read();
            let read = now();
            self.until = Some(read + (read - begun) * BELIEVED);
        }
        self.networks.iter().any(|network| network.covers(address))
    }
}

impl Network {
    fn covers(&self, address: Ipv6Addr) -> bool {
        let differs = (self.first ^ address.to_bits()).checked_shr(128 - self.prefix);
        differs.unwrap_or(0) == 0
    }
}

/// The destinations of those routes that are of type `local`.
fn local_networks(routes: impl BufRead) -> Vec<Network> {
    let network = |line: String| {
        let mut fields = line.split_ascii_whitespace();
        let first = u128::from_str_radix(fields.next()?, 16).ok()?;
        let prefix = u32::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u32::from_str_radix(fields.nth(6)?, 16).ok()?;
        let is_local = flags & LOCAL != 0 && prefix <= 128;
        is_local.then_some(Network { first, prefix })
    };
    let lines = routes.lines().map_while(Result::ok);
    lines.filter_map(network).collect()
}

/// Binds a socket there.
pub(super) fn bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match (socket.bind(&address.into()), address) {
        (Err(cause), SocketAddr::V6(of_ipv6))
            if cause.kind() == io::ErrorKind::AddrNotAvailable && leads_here(*of_ipv6.ip()) =>
        {
            socket.set_freebind_v6(true)?;
            socket.bind(&address.into())
        }
        (bound, _) => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    fn has_local_route(routes: &[u8], address: Ipv6Addr) -> bool {
        let networks = local_networks(routes);
        networks.iter().any(|network| network.covers(address))
    }

    #[test]
    fn routes_are_believed_for_a_while_that_grows_with_the_time_to_read_them() {
        let clock = Cell::new(Instant::now());
        let reads = Cell::new(0);
        let mut known = Known {
            networks: Vec::new(),
            until: None,
        };
        let mut ask = |first: u128| {
            let read = || {
                reads.set(reads.get() + 1);
                clock.set(clock.get() + Duration::from_millis(200));
                vec![Network { first, prefix: 64 }]
            };
            known.leads_here("fd00::1".parse().unwrap(), || clock.get(), read)
        };
        let network = 0xfd00 << 112;
        for _ in 0..100 {
            assert!(ask(network));
        }
        assert_eq!(reads.get(), 1);
        clock.set(clock.get() + Duration::from_millis(1799));
        assert!(ask(0));
        clock.set(clock.get() + Duration::from_millis(1));
        assert!(!ask(0));
        assert_eq!(reads.get(), 2);
    }

    #[test]
    fn only_routes_of_type_local_lead_here() {
        let zeros = "0".repeat(32);
        let line = |destination: &str, prefix: &str, flags: &str, device: &str| {
            format!(
                "{destination} {prefix} {zeros} 00 {zeros} 00000400 00000001 00000000 {flags}     \
                 {device}\n"
            )
        };
        let routes = [
            line("fdab0001000000000000000000000000", "40", "80000001", "lo"),
            line("fd000000000000000000000000000000", "40", "00000001", "eth0"),
            line("00000000000000000000000000000001", "80", "80200001", "lo"),
            "not a route\n".to_owned(),
        ]
        .concat();
        for (address, leads) in [
            ("fdab:1::", true),
            ("fdab:1::ffff:ffff:ffff:ffff", true),
            ("fdab:1:0:1::", false),
            ("fd00::1", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(
                has_local_route(routes.as_bytes(), address.parse().unwrap()),
                leads,
                "{address}"
            );
        }
        let all = line(&zeros, "00", "80000001", "lo");
        assert!(has_local_route(all.as_bytes(), Ipv6Addr::LOCALHOST));
        assert!(!has_local_route(&[][..], Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn this_host_s_own_kernel_is_understood() {
        if std::path::Path::new(ROUTES).exists() {
            assert!(leads_here(Ipv6Addr::LOCALHOST));
        }
        assert!(!leads_here("2001:db8::1".parse().unwrap()));
    }
}
