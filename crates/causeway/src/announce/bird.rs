//! What BIRD is given: its configuration, in which nothing is announced unless a file beside the
//! control socket says so, and the commands that switch what runs. The grammar is that of BIRD 2
//! (BIRD 2.0 User's Guide, chapters 3, 5 and 6).

use std::fmt::Write;

use super::decide::Wanted;
use super::settings::{Neighbor, Plan};

/// How many messages of BFD are missed before a host is taken for dead.
const BFD_MISSED: u32 = 3;

/// Behind the control socket's name, the file that says that the networks are announced.
pub const ANNOUNCED: &str = ".announced";

/// [`ANNOUNCED`] as a pattern: one that matches nothing is no error, as a missing file would be.
const ANNOUNCED_IF_THERE: &str = ".announce[d]";

/// What that file says, of the protocol that includes it.
pub const SWITCHED_ON: &str = "disabled no;\n";

/// Behind the control socket's name, the file of what BIRD has read as its configuration.
pub const APPLIED: &str = ".applied";

/// The configuration.
pub fn configuration(plan: &Plan) -> String {
    let mut text = "# Written by `causeway announce`, which switches its protocols on and off.\n\
         # Change what it reads, not this.\n"
        .to_owned();
    if let Some(router_id) = plan.router_id {
        push(
            &mut text,
            format_args!("router id {router_id};\nprotocol device {{ }}\n"),
        );
    }
    let socket = plan.control_socket.display();
    for (name, family) in families(plan) {
        // What it is told lasts until BIRD's next `configure`, which goes by what is written.
        push(
            &mut text,
            format_args!(
                "\nprotocol static {name} {{\n    disabled;\n    \
                 include \"{socket}{ANNOUNCED_IF_THERE}\";\n    {family} {{ }};\n"
            ),
        );
        let is_ipv4 = family == "ipv4";
        for prefix in plan.prefixes.iter().filter(|it| it.is_ipv4() == is_ipv4) {
            // Nothing is forwarded by it: no protocol of this file tells the kernel.
            push(&mut text, format_args!("    route {prefix} blackhole;\n"));
        }
        text.push_str("}\n");
    }
    if plan.neighbors.iter().any(|neighbor| neighbor.bfd) {
        let interval = plan.bfd_interval_milliseconds;
        let timing = format!("interval {interval} ms; multiplier {BFD_MISSED};");
        push(
            &mut text,
            format_args!(
                "\nprotocol bfd causeway_bfd {{\n    interface \"*\" {{ {timing} }};\n    \
                 multihop {{ {timing} }};\n}}\n"
            ),
        );
    }
    for (number, neighbor) in plan.neighbors.iter().enumerate() {
        session(&mut text, plan, number + 1, neighbor);
    }
    text
}

fn session(text: &mut String, plan: &Plan, number: usize, neighbor: &Neighbor) {
    let own = plan.autonomous_system;
    let Neighbor {
        address,
        autonomous_system,
        bfd,
        multihop,
    } = neighbor;
    let way = if *multihop { "multihop" } else { "direct" };
    let bfd = if *bfd { "on" } else { "off" };
    let hold = plan.hold_seconds;
    let keepalive = hold / 3;
    let settings = [
        format!("local as {own}"),
        format!("neighbor {address} as {autonomous_system}"),
        way.to_owned(),
        format!("bfd {bfd}"),
        format!("hold time {hold}"),
        format!("keepalive time {keepalive}"),
        "connect delay time 1".to_owned(),
        "connect retry time 1".to_owned(),
        "error wait time 1, 10".to_owned(),
    ];
    let name = format!("causeway_router{number}");
    push(text, format_args!("\nprotocol bgp {name} {{\n"));
    for setting in settings {
        push(text, format_args!("    {setting};\n"));
    }
    for (name, family) in families(plan) {
        push(text, format_args!("    {family} {{\n"));
        for setting in [
            "import none",
            &format!("export where proto = \"{name}\""),
            "next hop self",
        ] {
            push(text, format_args!("        {setting};\n"));
        }
        text.push_str("    };\n");
    }
    text.push_str("}\n");
}

/// The protocols that are switched, and the family of each, of those that there are networks of.
fn families(plan: &Plan) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
    let all = [("causeway4", "ipv4", true), ("causeway6", "ipv6", false)];
    let there = all.into_iter().filter(|(_, _, is_ipv4)| {
        let mut prefixes = plan.prefixes.iter();
        prefixes.any(|prefix| prefix.is_ipv4() == *is_ipv4)
    });
    there.map(|(name, family, _)| (name, family))
}

/// The commands that bring that about. They may be given again and again. Withdrawn is whatever
/// BIRD has of these protocols: it may not have read the configuration that this is of.
pub fn commands(plan: &Plan, wanted: Wanted) -> Vec<String> {
    match wanted {
        Wanted::Announced => families(plan)
            .map(|(name, _)| format!("enable {name}"))
            .collect(),
        Wanted::Withdrawn => vec!["disable \"causeway?\"".to_owned()],
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::USUAL;
    use super::*;

    #[test]
    fn golden_configuration() {
        let plan = Plan::parse(USUAL).unwrap();
        let expected = r#"# Written by `causeway announce`, which switches its protocols on and off.
# Change what it reads, not this.
router id 192.0.2.1;
protocol device { }

protocol static causeway4 {
    disabled;
    include "/run/bird/bird.ctl.announce[d]";
    ipv4 { };
    route 203.0.113.0/24 blackhole;
}

protocol static causeway6 {
    disabled;
    include "/run/bird/bird.ctl.announce[d]";
    ipv6 { };
    route 2001:db8:1::/48 blackhole;
}

protocol bfd causeway_bfd {
    interface "*" { interval 200 ms; multiplier 3; };
    multihop { interval 200 ms; multiplier 3; };
}

protocol bgp causeway_router1 {
    local as 65001;
    neighbor 192.0.2.254 as 65000;
    direct;
    bfd on;
    hold time 9;
    keepalive time 3;
    connect delay time 1;
    connect retry time 1;
    error wait time 1, 10;
    ipv4 {
        import none;
        export where proto = "causeway4";
        next hop self;
    };
    ipv6 {
        import none;
        export where proto = "causeway6";
        next hop self;
    };
}
"#;
        assert_eq!(configuration(&plan), expected);
    }

    #[test]
    fn what_isn_t_there_isn_t_written_nor_switched() {
        let text = USUAL.replace(", \"2001:db8:1::/48\"", "");
        let text = text.replace("router_id = \"192.0.2.1\"", "");
        let text = text.split("[[neighbors]]").next().unwrap();
        let plan = Plan::parse(text).unwrap();
        let written = configuration(&plan);
        for absent in ["router id", "device", "causeway6 {", "bfd", "bgp"] {
            assert!(!written.contains(absent), "{absent}: {written}");
        }
        assert_eq!(commands(&plan, Wanted::Announced), ["enable causeway4"]);
        assert_eq!(
            commands(&plan, Wanted::Withdrawn),
            ["disable \"causeway?\""]
        );
    }
}
