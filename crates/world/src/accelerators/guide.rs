//! Where flows go by the words of Global Accelerator's developer guide ("Traffic dials", "Endpoint
//! weights", "How failover works for unhealthy endpoints"), as shares of traffic: it knows nothing
//! of hashes, tables and boards. Rules that are wrong on purpose show that they would be found out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use accelerator::model::{EndpointGroup, EndpointTarget, Listener};
use types::{Region, one_way_delay};

/// A rule that is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WrongRule {
    /// Failover asks no group whose dial is 0.
    FailoverHeedsDials,
    /// Failover asks two other groups.
    FailoverAsksTwo,
    /// Of a group without a healthy endpoint any takes the flow, before others are asked.
    NeverFailsOver,
    /// Every healthy endpoint with a weight takes as much.
    WeightsIgnored,
    /// An endpoint of weight 0 takes flows.
    ZeroWeightsServe,
    /// What dials leave goes to the nearest group.
    TheRestGoesToTheNearest,
    /// The groups are asked from the farthest on.
    FarthestFirst,
    /// A load balancer without healthy targets takes flows while its nodes accept connections.
    RegionsWordIgnored,
    /// A node that refuses connections takes flows.
    NodesIgnored,
    /// An endpoint is unhealthy if one site can't reach it.
    EverySiteMustReachIt,
}

impl WrongRule {
    /// All of them.
    pub const ALL: [WrongRule; 10] = [
        WrongRule::FailoverHeedsDials,
        WrongRule::FailoverAsksTwo,
        WrongRule::NeverFailsOver,
        WrongRule::WeightsIgnored,
        WrongRule::ZeroWeightsServe,
        WrongRule::TheRestGoesToTheNearest,
        WrongRule::FarthestFirst,
        WrongRule::RegionsWordIgnored,
        WrongRule::NodesIgnored,
        WrongRule::EverySiteMustReachIt,
    ];
}

/// How an endpoint truly is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// Its Region's word of a load balancer; an address is always well by itself.
    pub(crate) is_well: bool,
    /// Where it is, and whether connections are accepted there.
    pub(crate) nodes: Vec<(IpAddr, bool)>,
}

/// Shares of where flows go, which sum to 1; none: nowhere.
pub(crate) type Shares = BTreeMap<Option<IpAddr>, f64>;

/// The guide, for one listener.
pub(crate) struct Guide<'a> {
    /// Nearest first.
    groups: Vec<&'a EndpointGroup>,
    truth: &'a dyn Fn(&EndpointTarget) -> Truth,
    wrong: Option<WrongRule>,
}

impl<'a> Guide<'a> {
    pub(crate) fn new(
        listener: &'a Listener,
        from: Region,
        truth: &'a dyn Fn(&EndpointTarget) -> Truth,
        wrong: Option<WrongRule>,
    ) -> Guide<'a> {
        let mut groups: Vec<&EndpointGroup> = listener.groups.iter().collect();
        groups.sort_by_key(|group| (one_way_delay(from, group.region), group.region));
        if wrong == Some(WrongRule::FarthestFirst) {
            groups.reverse();
        }
        Guide {
            groups,
            truth,
            wrong,
        }
    }

    /// Which endpoint gets which share.
    pub(crate) fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        let mut left = 1.0;
        let dial = |number: &usize| f64::from(self.groups[*number].dial.0) / 100_000.0;
        let dialed: Vec<usize> = (0..self.groups.len()).filter(|it| dial(it) > 0.0).collect();
        for number in &dialed {
            let taken = left * dial(number);
            left -= taken;
            self.give_group(*number, taken, &mut shares);
        }
        let rest = match self.wrong {
            Some(WrongRule::TheRestGoesToTheNearest) => dialed.first(),
            _ => dialed.last(),
        };
        match rest {
            Some(number) => self.give_group(*number, left, &mut shares),
            None => *shares.entry(None).or_default() += left,
        }
        shares.retain(|_, share| *share > 1e-12);
        shares
    }

    /// A share that is directed to that group.
    fn give_group(&self, directed: usize, share: f64, shares: &mut Shares) {
        if self.give(self.serving(directed), share, shares) {
            return;
        }
        if self.wrong == Some(WrongRule::NeverFailsOver)
            && self.give(self.any(directed), share, shares)
        {
            return;
        }
        let asked = match self.wrong {
            Some(WrongRule::FailoverAsksTwo) => 2,
            _ => 3,
        };
        let others = (0..self.groups.len()).filter(|number| *number != directed);
        for number in others.take(asked) {
            let heeds = self.wrong == Some(WrongRule::FailoverHeedsDials);
            if heeds && self.groups[number].dial.0 == 0 {
                continue;
            }
            if self.give(self.serving(number), share, shares) {
                return;
            }
        }
        for number in 0..self.groups.len() {
            if self.give(self.any(number), share, shares) {
                return;
            }
        }
        *shares.entry(None).or_default() += share;
    }

    /// Shares a share among endpoints by weight, and each part among the endpoint's nodes. False if
    /// there are none.
    fn give(&self, among: Vec<(f64, Vec<IpAddr>)>, share: f64, shares: &mut Shares) -> bool {
        let total: f64 = among.iter().map(|(weight, _)| weight).sum();
        for (weight, nodes) in &among {
            for node in nodes {
                let part = share * weight / total / nodes.len() as f64;
                *shares.entry(Some(*node)).or_default() += part;
            }
        }
        !among.is_empty()
    }

    /// The healthy endpoints of a group with a weight.
    fn serving(&self, number: usize) -> Vec<(f64, Vec<IpAddr>)> {
        let endpoints = self.groups[number].endpoints.iter();
        let serving = endpoints.filter_map(|endpoint| {
            let truth = (self.truth)(&endpoint.target);
            let believes = truth.is_well || self.wrong == Some(WrongRule::RegionsWordIgnored);
            let mut nodes = accepting(&truth);
            if self.wrong == Some(WrongRule::NodesIgnored) && !nodes.is_empty() {
                nodes = truth.nodes.iter().map(|(node, _)| *node).collect();
            }
            let weight = match (endpoint.weight, self.wrong) {
                (0, Some(WrongRule::ZeroWeightsServe)) => 1,
                (1.., Some(WrongRule::WeightsIgnored)) => 1,
                (weight, _) => weight,
            };
            let serves = weight > 0 && believes && !nodes.is_empty();
            serves.then(|| (f64::from(weight), nodes))
        });
        serving.collect()
    }

    /// The endpoints of a group, however they are, as long as they are anywhere: each at the nodes
    /// that accept connections, or all of them.
    fn any(&self, number: usize) -> Vec<(f64, Vec<IpAddr>)> {
        let endpoints = self.groups[number].endpoints.iter();
        let any = endpoints.filter_map(|endpoint| {
            let truth = (self.truth)(&endpoint.target);
            let mut nodes = accepting(&truth);
            if nodes.is_empty() {
                nodes = truth.nodes.iter().map(|(node, _)| *node).collect();
            }
            (!nodes.is_empty()).then_some((1.0, nodes))
        });
        any.collect()
    }
}

fn accepting(truth: &Truth) -> Vec<IpAddr> {
    let nodes = truth.nodes.iter().filter(|(_, accepts)| *accepts);
    nodes.map(|(node, _)| *node).collect()
}
