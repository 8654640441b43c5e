//! Failover as clients feel it: new connections through an accelerator at a fixed rate, whatever
//! becomes of those before (an open loop), others that are held all the time, and an endpoint that
//! says who it is.

pub mod endpoint;
pub mod load;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::Client;

/// How long what is asked of the lab may take to be in force.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes an accelerator with an endpoint for each address of each Region, and waits until it is
/// deployed and all are healthy; gives where it listens: the endpoints' own port.
pub fn make(
    client: &Client,
    name: &str,
    endpoints: &[(&str, Vec<SocketAddr>)],
) -> Result<SocketAddr> {
    let calls = Calls(client);
    let made = calls.make("CreateAccelerator", json!({ "Name": name }))?;
    let accelerator = &made["Accelerator"];
    let arn = text(&accelerator["AcceleratorArn"])?;
    let address = text(&accelerator["IpSets"][0]["IpAddresses"][0])?;
    let port = endpoints.iter().find_map(|(_, all)| all.first());
    let port = port.context("there are endpoints")?.port();
    let listener = json!({
        "AcceleratorArn": arn, "Protocol": "TCP",
        "PortRanges": [{ "FromPort": port, "ToPort": port }],
    });
    let listener = calls.make("CreateListener", listener)?;
    let listener = text(&listener["Listener"]["ListenerArn"])?;
    let mut groups = Vec::new();
    for (region, addresses) in endpoints {
        let group = calls.make("CreateEndpointGroup", group(&listener, region, addresses))?;
        groups.push(text(&group["EndpointGroup"]["EndpointGroupArn"])?);
    }
    calls.settle(&arn, &groups)?;
    Ok(SocketAddr::new(address.parse()?, port))
}

fn group(listener: &str, region: &str, addresses: &[SocketAddr]) -> Value {
    let endpoints = addresses.iter().map(|address| {
        json!({
            "EndpointId": address.ip().to_string(), "Weight": 128,
            "ClientIPPreservationEnabled": false,
        })
    });
    json!({
        "ListenerArn": listener, "EndpointGroupRegion": region,
        "EndpointConfigurations": endpoints.collect::<Vec<Value>>(),
        "HealthCheckProtocol": "HTTP", "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 10, "ThresholdCount": 1,
    })
}

/// Calls of Global Accelerator.
struct Calls<'a>(&'a Client);

impl Calls<'_> {
    /// Makes something, again while the sites are electing.
    fn make(&self, operation: &str, mut input: Value) -> Result<Value> {
        let mut token = [0; 8];
        runtime::fill_random(&mut token);
        input["IdempotencyToken"] = json!(format!("bench-{:016x}", u64::from_be_bytes(token)));
        let started = Instant::now();
        loop {
            match self.0.accelerators(operation, &input) {
                Err(error) if is_passing(&error) && started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                other => return other,
            }
        }
    }

    fn settle(&self, arn: &str, groups: &[String]) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let described = json!({ "AcceleratorArn": arn });
            let described = self.0.accelerators("DescribeAccelerator", &described)?;
            let mut is_settled = described["Accelerator"]["Status"] == "DEPLOYED";
            for group in groups {
                let group = json!({ "EndpointGroupArn": group });
                let group = self.0.accelerators("DescribeEndpointGroup", &group)?;
                let endpoints = group["EndpointGroup"]["EndpointDescriptions"].as_array();
                let mut endpoints = endpoints.into_iter().flatten();
                is_settled &= endpoints.all(|endpoint| endpoint["HealthState"] == "HEALTHY");
            }
            if is_settled {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the accelerator isn't deployed and healthy after {PATIENCE:?}")
    }
}

/// The council elects its leader just after a start.
fn is_passing(error: &anyhow::Error) -> bool {
    error.to_string().contains("Throttling")
}

fn text(value: &Value) -> Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.with_context(|| format!("{value} is no text"))
}
