//! A Region's load balancer before its instances: nodes in every zone, a listener on the
//! application's port, a target group with every instance. It is a network load balancer, since
//! nothing is known of what the application speaks. What is there is left as it is, but for
//! instances that aren't registered yet, and those on a port that the application no longer has.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use types::{AvailabilityZone, Region, network};

use super::NAME;
use crate::failure::Failure;
use crate::gameday::api::{Api, ApiError, element, elements, required};

/// Seconds between two checks of a target: the least that the service has (API,
/// `CreateTargetGroup`, "HealthCheckIntervalSeconds").
const INTERVAL: u32 = 5;

/// Seconds that a check may take.
const TIMEOUT: u32 = 2;

/// How many checks in a row make a target healthy or unhealthy: the least that the service has.
const THRESHOLD: u32 = 2;

/// Makes what is missing of it; gives its ARN. `instances`: of the Region, with their zones.
pub(super) async fn make(
    api: &Api,
    region: Region,
    port: u16,
    instances: &[(AvailabilityZone, SocketAddr)],
) -> Result<String, Failure> {
    let calls = Calls { api, region };
    let group = calls.target_group(port).await?;
    calls.targets(&group, instances).await?;
    let balancer = calls.balancer().await?;
    calls.listener(&balancer, &group, port).await?;
    Ok(balancer)
}

/// The API in one Region.
struct Calls<'a> {
    api: &'a Api,
    region: Region,
}

impl Calls<'_> {
    async fn call(&self, operation: &str, words: &[(&str, String)]) -> Result<String, ApiError> {
        let words = words.iter();
        let words: Vec<(String, String)> = words
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        self.api
            .load_balancing(self.region, operation, &words)
            .await
    }

    /// The answer of a `Describe…` by name; none if the service knows no such.
    async fn found(&self, operation: &str, unknown: &str) -> Result<Option<String>, ApiError> {
        let named = [("Names.member.1", NAME.to_owned())];
        match self.call(operation, &named).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ApiError::Refused {
                code: Some(code), ..
            }) if code == unknown => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn target_group(&self, port: u16) -> Result<String, Failure> {
        let found = self.found("DescribeTargetGroups", "TargetGroupNotFound");
        let answer = match found.await? {
            Some(answer) => answer,
            None => {
                let words = [
                    ("Name", NAME.to_owned()),
                    ("Protocol", "TCP".to_owned()),
                    ("Port", port.to_string()),
                    ("VpcId", network::default_vpc(self.region)),
                    ("TargetType", "ip".to_owned()),
                    ("HealthCheckProtocol", "TCP".to_owned()),
                    ("HealthCheckIntervalSeconds", INTERVAL.to_string()),
                    ("HealthCheckTimeoutSeconds", TIMEOUT.to_string()),
                    ("HealthyThresholdCount", THRESHOLD.to_string()),
                    ("UnhealthyThresholdCount", THRESHOLD.to_string()),
                ];
                self.call("CreateTargetGroup", &words).await?
            }
        };
        Ok(required(&answer, "TargetGroupArn", "the target group")?)
    }

    async fn targets(
        &self,
        group: &str,
        instances: &[(AvailabilityZone, SocketAddr)],
    ) -> Result<(), Failure> {
        let of_group = ("TargetGroupArn", group.to_owned());
        let known = self.call("DescribeTargetHealth", std::slice::from_ref(&of_group));
        let (missing, stale) = compared(&known.await?, instances);
        let named = |number: usize, word: &str| format!("Targets.member.{}.{word}", number + 1);
        let mut words = vec![(of_group.0.to_owned(), of_group.1.clone())];
        for (number, (zone, at)) in missing.iter().enumerate() {
            words.push((named(number, "Id"), at.ip().to_string()));
            words.push((named(number, "Port"), at.port().to_string()));
            words.push((named(number, "AvailabilityZone"), zone.to_string()));
        }
        if !missing.is_empty() {
            let registered = self
                .api
                .load_balancing(self.region, "RegisterTargets", &words);
            registered.await?;
        }
        let mut words = vec![(of_group.0.to_owned(), of_group.1)];
        for (number, at) in stale.iter().enumerate() {
            words.push((named(number, "Id"), at.ip().to_string()));
            words.push((named(number, "Port"), at.port().to_string()));
        }
        if !stale.is_empty() {
            let gone = self
                .api
                .load_balancing(self.region, "DeregisterTargets", &words);
            gone.await?;
        }
        Ok(())
    }

    async fn balancer(&self) -> Result<String, Failure> {
        let found = self.found("DescribeLoadBalancers", "LoadBalancerNotFound");
        let answer = match found.await? {
            Some(answer) => answer,
            None => {
                let mut words = vec![
                    ("Name".to_owned(), NAME.to_owned()),
                    ("Type".to_owned(), "network".to_owned()),
                    ("Scheme".to_owned(), "internet-facing".to_owned()),
                ];
                for (number, zone) in AvailabilityZone::of(self.region).enumerate() {
                    let name = format!("Subnets.member.{}", number + 1);
                    words.push((name, network::default_subnet(zone)));
                }
                let made = self
                    .api
                    .load_balancing(self.region, "CreateLoadBalancer", &words);
                made.await?
            }
        };
        Ok(required(&answer, "LoadBalancerArn", "the load balancer")?)
    }

    async fn listener(&self, balancer: &str, group: &str, port: u16) -> Result<(), Failure> {
        let of_balancer = ("LoadBalancerArn", balancer.to_owned());
        let known = self.call("DescribeListeners", std::slice::from_ref(&of_balancer));
        if elements(&known.await?, "Port").any(|known| known == port.to_string()) {
            return Ok(());
        }
        // A node in a zone without an instance sends to the others. It is set before anything is
        // listened on, and by nobody who comes later.
        let words = [
            of_balancer.clone(),
            (
                "Attributes.member.1.Key",
                "load_balancing.cross_zone.enabled".to_owned(),
            ),
            ("Attributes.member.1.Value", "true".to_owned()),
        ];
        self.call("ModifyLoadBalancerAttributes", &words).await?;
        let words = [
            of_balancer,
            ("Protocol", "TCP".to_owned()),
            ("Port", port.to_string()),
            ("DefaultActions.member.1.Type", "forward".to_owned()),
            ("DefaultActions.member.1.TargetGroupArn", group.to_owned()),
        ];
        self.call("CreateListener", &words).await?;
        Ok(())
    }
}

/// Instances that the group doesn't have, and targets of it that are instances' addresses on ports
/// that no instance has.
fn compared(
    known: &str,
    instances: &[(AvailabilityZone, SocketAddr)],
) -> (Vec<(AvailabilityZone, SocketAddr)>, Vec<SocketAddr>) {
    let targets = elements(known, "Target").filter_map(|target| {
        let (id, port) = (element(&target, "Id")?, element(&target, "Port")?);
        Some(SocketAddr::new(id.parse().ok()?, port.parse().ok()?))
    });
    let targets: BTreeSet<SocketAddr> = targets.collect();
    let mut missing = instances.to_vec();
    missing.retain(|(_, at)| !targets.contains(at));
    let ours = |target: &SocketAddr| {
        let mut ours = instances.iter();
        ours.any(|(_, at)| at.ip() == target.ip())
    };
    let is_wanted = |target: &SocketAddr| instances.iter().any(|(_, at)| at == target);
    let stale = targets.iter().filter(|at| ours(at) && !is_wanted(at));
    let stale = stale.copied().collect();
    (missing, stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_on_another_port_go_and_strangers_stay() {
        let zone = |name: &str| name.parse::<AvailabilityZone>().unwrap();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let instances = [
            (zone("us-east-1a"), at("127.1.1.11:8080")),
            (zone("us-east-1b"), at("127.1.1.12:8080")),
        ];
        let target = |id: &str, port: u16| {
            format!("<member><Target><Id>{id}</Id><Port>{port}</Port></Target></member>")
        };
        let known = [
            target("127.1.1.11", 8080),
            target("127.1.1.12", 9090),
            target("127.9.9.9", 9090),
            target("i-0123456789abcdef0", 80),
        ];
        let (missing, stale) = compared(&known.concat(), &instances);
        assert_eq!(missing, instances[1..]);
        assert_eq!(stale, [at("127.1.1.12:9090")]);
        assert_eq!(compared("", &instances), (instances.to_vec(), Vec::new()));
    }
}
