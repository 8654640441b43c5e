//! The sites of every world. It starts none of them.

use types::{Deployment, Site, SiteId, SiteName};

/// The Regions of every world.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-1"];

/// Three Regions, numbered from 1 in their order, and an edge beside the first.
pub(crate) fn deployment() -> Deployment {
    let region = |name: &&str| name.parse::<types::Region>().expect("a known Region");
    let mut sites: Vec<Site> = REGIONS
        .iter()
        .map(region)
        .zip(1..)
        .map(|(place, id)| Site {
            id: SiteId(id),
            name: SiteName::Region(place),
            place,
        })
        .collect();
    let place = region(&REGIONS[0]);
    sites.push(Site {
        id: SiteId(4),
        name: SiteName::Edge(1),
        place,
    });
    Deployment { sites }
}
