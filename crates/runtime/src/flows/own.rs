//! IPv6 addresses of networks that the host has for its own as a whole, by a route of type `local`
//! (ip-route(8)), without an interface having each. The kernel delivers what comes to them, and
//! lets them be bound only by who asks for it, which would also bind any other address: so that is
//! asked for only where such a route leads here.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv6Addr, SocketAddr};

use socket2::Socket;

/// Where the kernel tells its IPv6 routes: a line each, of fields in hexadecimal digits. The first
/// is the destination, the second the bits of its prefix, the ninth holds flags.
const ROUTES: &str = "/proc/net/ipv6_route";

/// The flag of a route of type `local` (linux/ipv6_route.h, RTF_LOCAL).
const LOCAL: u32 = 0x8000_0000;

/// Does what is sent to that address come to this host? Routes of network namespaces and of rules
/// beyond the main and local tables count as the kernel lists them.
pub fn leads_here(address: Ipv6Addr) -> bool {
    // Without IPv6 there is no such file, and no such route. A router's has very many lines.
    let routes = File::open(ROUTES).map(BufReader::new);
    routes.is_ok_and(|routes| has_local_route(routes, address))
}

fn has_local_route(routes: impl BufRead, address: Ipv6Addr) -> bool {
    let covers = |line: String| {
        let mut fields = line.split_ascii_whitespace();
        let first = u128::from_str_radix(fields.next()?, 16).ok()?;
        let prefix = u32::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u32::from_str_radix(fields.nth(6)?, 16).ok()?;
        let beyond = 128_u32.checked_sub(prefix)?;
        let differs = (first ^ address.to_bits()).checked_shr(beyond);
        Some(flags & LOCAL != 0 && differs.unwrap_or(0) == 0)
    };
    let mut lines = routes.lines().map_while(Result::ok);
    lines.any(|line| covers(line).unwrap_or(false))
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
