//! `GetGeoLocation`: a place, if records can be for it.

use super::list_geo_locations::details;
use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{Continent, CountryCode, Location, RoutingError, Service, SubdivisionCode, places};

pub(crate) async fn execute(
    _: &Service,
    request: &Request<'_>,
    _: &Allowed,
) -> Result<Reply, RoutingError> {
    let wanted = read(
        request.parameter("continentcode"),
        request.parameter("countrycode"),
        request.parameter("subdivisioncode"),
    )?;
    // Nothing asked for is the default, as the service answers it.
    let wanted = wanted.unwrap_or(Location::Default);
    let place =
        places::find(wanted).ok_or_else(|| RoutingError::NoSuchGeoLocation(wanted.to_string()))?;
    let mut writer = document("GetGeoLocationResponse");
    details(&mut writer, place);
    Ok(Reply::ok(writer))
}

/// The place of those codes, if any is given.
pub(super) fn read(
    continent: Option<&str>,
    country: Option<&str>,
    subdivision: Option<&str>,
) -> Result<Option<Location>, RoutingError> {
    let none = |code: &str| RoutingError::NoSuchGeoLocation(code.chars().take(8).collect());
    let location = match (continent, country, subdivision) {
        (None, None, None) => return Ok(None),
        (Some(code), None, None) => {
            Location::Continent(Continent::from_code(code).ok_or_else(|| none(code))?)
        }
        (None, Some("*"), None) => Location::Default,
        (None, Some(code), None) => {
            Location::Country(CountryCode::new(code).ok_or_else(|| none(code))?)
        }
        (None, Some(code), Some(part)) => Location::Subdivision(
            CountryCode::new(code).ok_or_else(|| none(code))?,
            SubdivisionCode::new(part).ok_or_else(|| none(part))?,
        ),
        (None, None, Some(_)) => {
            return Err(RoutingError::invalid(
                "Invalid parameter: a subdivision code must come with a country code.",
            ));
        }
        (Some(_), ..) => {
            return Err(RoutingError::invalid(
                "Invalid parameter: a continent code can't be combined with other codes.",
            ));
        }
    };
    Ok(Some(location))
}
