//! Why a flow goes where it goes: the very code that chooses, watched. What it says is for people
//! and for JSON; nothing is decided by it.

use std::net::SocketAddr;

use serde::Serialize;
use types::Region;

use crate::choose::{self, Choice, ChooseContext, Event, NoChoice, Observer, Why};
use crate::compiled::{CompiledAccelerator, CompiledGroup, CompiledListener, CompiledNode};
use crate::flow::{Flow, Tried};
use crate::model::{
    AcceleratorId, ClientAffinity, EndpointGroupId, EndpointTarget, ListenerId, Protocol,
    TrafficDial,
};
use crate::proximity;
use crate::snapshot::Snapshot;

/// Why a flow goes where it goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explanation {
    /// The configuration's revision that chooses.
    pub revision: u64,
    /// The client's address and port.
    pub from: SocketAddr,
    /// The static address and port.
    pub to: SocketAddr,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// From where it is reckoned what is near.
    pub place: Region,
    /// The accelerator, its name, and whether it is enabled.
    pub accelerator: Option<(AcceleratorId, String, bool)>,
    /// The listener and its affinity: `NONE` or `SOURCE_IP`.
    pub listener: Option<(ListenerId, &'static str)>,
    /// The listener's groups, the nearest first.
    pub groups: Vec<ExplainedGroup>,
    /// What happened, in order.
    pub steps: Vec<String>,
    /// Where it goes; none: nowhere, and the last step says why.
    pub chosen: Option<Chosen>,
    /// Why it goes nowhere.
    pub refused: Option<NoChoice>,
}

/// An endpoint group that comes into question.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedGroup {
    /// Its id.
    pub id: EndpointGroupId,
    /// Its Region.
    pub region: Region,
    /// From the place to the Region, one way, in milliseconds.
    pub one_way_ms: f64,
    /// Its traffic dial, in percent.
    pub dial: f64,
    /// Its endpoints.
    pub endpoints: Vec<ExplainedEndpoint>,
}

/// An endpoint that comes into question.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedEndpoint {
    /// What it is.
    pub endpoint: EndpointTarget,
    /// Where it is for this flow: a load balancer at each of its nodes.
    pub nodes: Vec<ExplainedNode>,
    /// Its weight.
    pub weight: u8,
    /// `INITIAL`, `HEALTHY` or `UNHEALTHY`.
    pub state: &'static str,
}

/// One place of an endpoint.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExplainedNode {
    /// Where it is for this flow.
    pub address: SocketAddr,
    /// `INITIAL`, `HEALTHY` or `UNHEALTHY`; none: as its endpoint.
    pub state: Option<&'static str>,
    /// It was tried for this flow.
    pub tried: bool,
}

/// Where a flow goes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Chosen {
    /// The group.
    pub group: EndpointGroupId,
    /// Its Region.
    pub region: Region,
    /// Where to connect to.
    pub address: SocketAddr,
    /// Is the endpoint told the client's address?
    pub preserves_client: bool,
    /// By which rule.
    pub why: Why,
}

impl Snapshot {
    /// Every step of the choice for that flow: [`Snapshot::choose`], watched.
    pub fn explain(&self, flow: &Flow, context: &ChooseContext<'_>, tried: &Tried) -> Explanation {
        let mut watch = Watch::default();
        let choice = choose::choose(self, flow, context, tried, &mut watch);
        let mut steps = Vec::new();
        for event in &watch.events {
            steps.extend(watch.words(*event));
        }
        steps.push(match &choice {
            Ok(choice) => last_words(choice),
            Err(refused) => format!("goes nowhere: {refused}"),
        });
        let accelerator = watch.accelerator;
        Explanation {
            revision: self.revision(),
            from: flow.from,
            to: flow.to,
            protocol: match flow.protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
            },
            place: context.place,
            accelerator: accelerator.map(|it| (it.id.clone(), it.name.clone(), it.enabled)),
            listener: watch.listener.map(|it| (it.id.clone(), affinity(it))),
            groups: watch
                .groups()
                .map(|group| explained(group, flow, context, tried))
                .collect(),
            steps,
            chosen: choice.as_ref().ok().map(chosen),
            refused: choice.err(),
        }
    }
}

impl Explanation {
    /// What it says, for people: a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} from {} to {}, at {} (revision {})",
            self.protocol, self.from, self.to, self.place, self.revision
        )];
        if let Some((id, name, enabled)) = &self.accelerator {
            let state = if *enabled { "" } else { ", disabled" };
            lines.push(format!("accelerator {} ({name}){state}", id.0));
        }
        if let Some((id, affinity)) = &self.listener {
            lines.push(format!("listener {}, client affinity {affinity}", id.0));
        }
        for group in &self.groups {
            lines.push(format!(
                "  {} ({}): {:.1} ms, traffic dial {} %",
                group.region, group.id.0, group.one_way_ms, group.dial
            ));
            for endpoint in &group.endpoints {
                lines.extend(endpoint.lines());
            }
        }
        lines.extend(self.steps.iter().cloned());
        lines
    }
}

impl ExplainedEndpoint {
    fn lines(&self) -> Vec<String> {
        let tried = |node: &ExplainedNode| if node.tried { ", tried" } else { "" };
        let (weight, state) = (self.weight, self.state);
        let arn = match (&self.endpoint, &self.nodes[..]) {
            (EndpointTarget::Address(_), [node]) => {
                let (address, tried) = (node.address, tried(node));
                return vec![format!("    {address} weight {weight}, {state}{tried}")];
            }
            (EndpointTarget::Address(address), _) => address.to_string(),
            (EndpointTarget::Balancer(arn), _) => arn.clone(),
        };
        let mut lines = vec![format!("    {arn} weight {weight}, {state}")];
        for node in &self.nodes {
            let (address, state) = (node.address, node.state.unwrap_or(state));
            lines.push(format!("      {address} {state}{}", tried(node)));
        }
        if self.nodes.is_empty() {
            lines.push("      no node that anybody knows of".to_owned());
        }
        lines
    }
}

/// What was seen of a choice.
#[derive(Default)]
struct Watch<'a> {
    accelerator: Option<&'a CompiledAccelerator>,
    listener: Option<&'a CompiledListener>,
    order: &'a [u8],
    events: Vec<Event>,
}

impl<'a> Observer<'a> for Watch<'a> {
    fn accelerator(&mut self, accelerator: &'a CompiledAccelerator) {
        self.accelerator = Some(accelerator);
    }

    fn listener(&mut self, listener: &'a CompiledListener, order: &'a [u8]) {
        self.listener = Some(listener);
        self.order = order;
    }

    fn see(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl<'a> Watch<'a> {
    /// The listener's groups, the nearest first.
    fn groups(&self) -> impl Iterator<Item = &'a CompiledGroup> {
        let listener = self.listener;
        let order = self.order.iter();
        order.filter_map(move |number| listener?.groups.get(usize::from(*number)))
    }

    fn words(&self, event: Event) -> Option<String> {
        let region = |number: u8| {
            let group = self.listener?.groups.get(usize::from(number))?;
            Some(group.region)
        };
        Some(match event {
            Event::Dialed(number, drawn, stays) => {
                let group = self.listener?.groups.get(usize::from(number))?;
                let (region, dial) = (group.region, percent(group.dial));
                let (drawn, goes) = (
                    percent(TrafficDial(drawn)),
                    if stays {
                        "is directed to it"
                    } else {
                        "goes on to the next"
                    },
                );
                format!("{region}: the flow drew {drawn} % against its dial of {dial} %: {goes}")
            }
            Event::TakesTheRest(number) => {
                let region = region(number)?;
                format!("{region}: the last with a dial above 0 takes what the dials leave")
            }
            Event::NothingHealthy(number) => {
                let region = region(number)?;
                format!("{region}: no endpoint is healthy, untried and of a weight above 0")
            }
            Event::FailsOver(number) => {
                let region = region(number)?;
                format!("{region}: is asked next, whatever its dial")
            }
            Event::FailsOpen => {
                "no group that was asked has a healthy endpoint: any of the nearest group"
                    .to_owned()
            }
        })
    }
}

fn affinity(listener: &CompiledListener) -> &'static str {
    match listener.affinity {
        ClientAffinity::None => "NONE",
        ClientAffinity::SourceIp => "SOURCE_IP",
    }
}

fn percent(dial: TrafficDial) -> f64 {
    f64::from(dial.0) / 1000.0
}

fn explained(
    group: &CompiledGroup,
    flow: &Flow,
    context: &ChooseContext<'_>,
    tried: &Tried,
) -> ExplainedGroup {
    let node = |node: &CompiledNode| {
        let address = SocketAddr::new(node.address, group.port(flow.to.port()));
        let own = node.check.as_ref();
        ExplainedNode {
            address,
            state: own.map(|_| context.board.state(node.slot).name()),
            tried: tried.contains(address),
        }
    };
    let endpoints = group.endpoints.iter().map(|endpoint| ExplainedEndpoint {
        endpoint: endpoint.target.clone(),
        nodes: endpoint.nodes.iter().map(node).collect(),
        weight: endpoint.weight,
        state: context.board.state(endpoint.slot).name(),
    });
    ExplainedGroup {
        id: group.id.clone(),
        region: group.region,
        one_way_ms: proximity::delay(context.place, group.region).as_milliseconds(),
        dial: percent(group.dial),
        endpoints: endpoints.collect(),
    }
}

fn chosen(choice: &Choice<'_>) -> Chosen {
    Chosen {
        group: choice.group.clone(),
        region: choice.region,
        address: choice.address,
        preserves_client: choice.preserves_client,
        why: choice.why,
    }
}

fn last_words(choice: &Choice<'_>) -> String {
    let why = match choice.why {
        Why::Nearest => "by its weight in the nearest group",
        Why::Dialed => "by its weight in the group that the dials lead to",
        Why::Failover => "by its weight in the nearest other group that has a healthy endpoint",
        Why::FailOpen => "whatever its state and weight: the listener fails open",
    };
    let proxy = match choice.preserves_client {
        true => ", which is told the client's address",
        false => "",
    };
    format!(
        "goes to {} in {}{proxy}: {why}",
        choice.address, choice.region
    )
}
