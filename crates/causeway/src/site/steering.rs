//! What a site's steering is made with: the operator's settings, and this process's sockets for
//! probes.

use std::sync::Arc;

use health::TargetPolicy;
use routing::Locator;
use runtime::SystemProber;
use steering::SteeringOptions;
use types::Span;

use crate::failure::Failure;
use crate::lab::{open_places, own_address};
use crate::protocol::SiteConfig;

/// Those of a site.
///
/// # Errors
/// A setting that makes no sense, or a database of places that can't be read.
pub(super) fn options(config: &SiteConfig) -> Result<SteeringOptions, Failure> {
    let interval = config.health_interval_milliseconds.map(Span::milliseconds);
    let targets = match &config.health_targets {
        Some(networks) => TargetPolicy::parse(networks.iter().map(String::as_str)),
        None => Ok(TargetPolicy::lab()),
    };
    let sites = config.deployment.sites.iter();
    let addresses = sites.map(|site| (site.id, own_address(site.id)));
    let prober = SystemProber::new(health::limits::MAX_CONCURRENT_PROBES);
    Ok(SteeringOptions {
        health: health::Settings::new(interval).map_err(Failure::wrong_use)?,
        targets: targets.map_err(Failure::wrong_use)?,
        locator: locator(config)?,
        addresses: addresses.collect(),
        prober: Arc::new(prober.of_site(config.site)),
    })
}

fn locator(config: &SiteConfig) -> Result<Locator, Failure> {
    // Who is in no place is next door to whoever answers.
    let own = config.deployment.named(config.site).map(|site| site.place);
    let locator = Locator::new(own);
    match &config.geo_database {
        Some(file) => open_places(locator, file),
        None => Ok(locator),
    }
}
