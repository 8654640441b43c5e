//! Who sits in the council: voters, and listeners who follow the log without a vote.

use types::{Deployment, SiteId, SiteName};

/// The sites of a council.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// Sites whose majority decides, ascending.
    pub voters: Vec<SiteId>,
    /// Sites that receive everything and decide nothing, ascending.
    pub listeners: Vec<SiteId>,
}

impl Members {
    /// The members of a new deployment's council: `voters` of it, and all others as listeners.
    pub fn of(deployment: &Deployment) -> Members {
        let voters = voters(deployment);
        let mut listeners: Vec<SiteId> = deployment
            .sites
            .iter()
            .map(|site| site.id)
            .filter(|id| !voters.contains(id))
            .collect();
        listeners.sort_unstable();
        Members { voters, listeners }
    }

    /// Is it a voter?
    pub fn votes(&self, site: SiteId) -> bool {
        self.voters.contains(&site)
    }

    /// Is it a member at all?
    pub fn contains(&self, site: SiteId) -> bool {
        self.votes(site) || self.listeners.contains(&site)
    }

    /// Every member.
    pub fn all(&self) -> impl Iterator<Item = SiteId> + '_ {
        self.voters.iter().chain(&self.listeners).copied()
    }

    /// How many voters make a majority.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }
}

/// The voters of a deployment (DESIGN section 6), ascending: the Regions, and as many edges as
/// make their number odd and at least three. With too few edges for three, as many as leave it
/// odd; a Region alone is its own majority; two Regions without an edge must agree. Edges are
/// taken by number.
pub fn voters(deployment: &Deployment) -> Vec<SiteId> {
    let mut voters: Vec<SiteId> = deployment.regions().map(|(id, _)| id).collect();
    let mut edges: Vec<(u16, SiteId)> = deployment
        .sites
        .iter()
        .filter_map(|site| match site.name {
            SiteName::Edge(number) => Some((number, site.id)),
            SiteName::Region(_) => None,
        })
        .collect();
    edges.sort_unstable();
    let wanted = voters.len().max(3) | 1;
    let mut taken = edges.len().min(wanted - voters.len());
    if (voters.len() + taken).is_multiple_of(2) && taken > 0 {
        taken -= 1;
    }
    voters.extend(edges.iter().take(taken).map(|(_, id)| *id));
    voters.sort_unstable();
    voters
}

#[cfg(test)]
mod tests {
    use types::{Region, Site};

    use super::*;

    fn deployment(regions: usize, edges: u16) -> Deployment {
        let mut sites = Vec::new();
        for (place, id) in Region::all().take(regions).zip(1..) {
            let name = SiteName::Region(place);
            let id = SiteId(id);
            sites.push(Site { id, name, place });
        }
        let place = Region::all().next().expect("there are Regions");
        for number in 1..=edges {
            let id = SiteId(100 + number);
            let name = SiteName::Edge(number);
            sites.push(Site { id, name, place });
        }
        Deployment { sites }
    }

    #[test]
    fn regions_and_as_many_edges_as_make_it_odd_and_at_least_three() {
        let cases = [
            ((1, 0), 1),
            ((1, 1), 1),
            ((1, 2), 3),
            ((1, 5), 3),
            ((2, 0), 2),
            ((2, 1), 3),
            ((2, 3), 3),
            ((3, 0), 3),
            ((3, 1), 3),
            ((4, 0), 4),
            ((4, 1), 5),
            ((4, 2), 5),
            ((5, 2), 5),
        ];
        for ((regions, edges), expected) in cases {
            let deployment = deployment(regions, edges);
            assert_eq!(voters(&deployment).len(), expected, "{regions} and {edges}");
            assert_eq!(
                Members::of(&deployment).all().count(),
                regions + usize::from(edges)
            );
        }
    }

    #[test]
    fn edges_vote_by_number() {
        assert_eq!(
            voters(&deployment(2, 3)),
            vec![SiteId(1), SiteId(2), SiteId(101)]
        );
    }
}
