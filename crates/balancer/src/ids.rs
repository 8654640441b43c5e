//! Identifiers drawn from the environment's randomness.

use types::Environment;

/// A new id of 16 hexadecimal digits: of a load balancer, a target group, a listener or a rule.
pub(crate) fn unique(environment: &dyn Environment) -> String {
    format!("{:016x}", environment.random())
}

/// The number in an application load balancer's DNS name.
pub(crate) fn dns_number(environment: &dyn Environment) -> u32 {
    u32::try_from(environment.random() >> 32).unwrap_or(u32::MAX)
}
