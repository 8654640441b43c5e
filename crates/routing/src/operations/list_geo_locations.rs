//! `ListGeoLocations`: the default, countries with their parts, then continents.

use aws::xml::XmlWriter;

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_PAGE;
use crate::places::{self, Place};
use crate::request::{Reply, Request, document};
use crate::{Location, RoutingError, Service};

pub(crate) async fn execute(
    _: &Service,
    request: &Request<'_>,
    _: &Allowed,
) -> Result<Reply, RoutingError> {
    let size = request.page_size(MAX_PAGE)?;
    let start = super::get_geo_location::read(
        request.parameter("startcontinentcode"),
        request.parameter("startcountrycode"),
        request.parameter("startsubdivisioncode"),
    )?;
    let places = places::all();
    let from = match start {
        None => 0,
        Some(start) => places
            .iter()
            .position(|place| place.location == start)
            .ok_or_else(|| RoutingError::NoSuchGeoLocation(start.to_string()))?,
    };
    let listed = &places[from..places.len().min(from + size)];
    let next = places.get(from + size);
    let mut writer = document("ListGeoLocationsResponse");
    writer.open("GeoLocationDetailsList");
    for place in listed {
        details(&mut writer, place);
    }
    writer.close().value("IsTruncated", next.is_some());
    if let Some(next) = next {
        shapes::codes(&mut writer, next.location, true);
    }
    writer.value("MaxItems", size);
    Ok(Reply::ok(writer))
}

/// `GeoLocationDetails`.
pub(super) fn details(writer: &mut XmlWriter, place: &Place) {
    writer.open("GeoLocationDetails");
    shapes::codes(writer, place.location, false);
    match place.location {
        Location::Continent(_) => writer.value("ContinentName", place.name),
        _ => writer.value("CountryName", place.name),
    };
    writer
        .optional("SubdivisionName", place.subdivision)
        .close();
}
