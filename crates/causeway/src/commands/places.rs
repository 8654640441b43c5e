//! `causeway places`: where a client can be. It asks no lab: the table is the binary's own.

use serde::Serialize;
use types::Place;

use crate::cli::Places;
use crate::failure::Failure;
use crate::output::{self, Table};

#[derive(Serialize)]
struct Row {
    place: String,
    address: String,
    addresses: String,
    latitude: f64,
    longitude: f64,
}

/// Prints the table, or the one place an address is in.
pub fn places(command: &Places) -> Result<(), Failure> {
    let places: Vec<Place> = match command.of {
        None => Place::all().collect(),
        Some(address) => {
            let place = Place::of(address).ok_or_else(|| {
                Failure::did_not_hold(format!("{address} is in no place: it is next door to all"))
            })?;
            vec![place]
        }
    };
    let rows: Vec<Row> = places.into_iter().map(row).collect();
    if command.json {
        return output::print_json(&rows);
    }
    let mut table = Table::new(["PLACE", "ADDRESS", "LATITUDE", "LONGITUDE"]);
    for row in rows {
        let degrees = |degrees: f64| format!("{degrees:.2}");
        table.row([
            row.place,
            row.address,
            degrees(row.latitude),
            degrees(row.longitude),
        ]);
    }
    output::print(table)
}

fn row(place: Place) -> Row {
    let coordinates = place.0.coordinates();
    Row {
        place: place.0.name().to_owned(),
        address: place.address(1).to_string(),
        addresses: format!("{}/24", place.address(0)),
        latitude: coordinates.latitude,
        longitude: coordinates.longitude,
    }
}
