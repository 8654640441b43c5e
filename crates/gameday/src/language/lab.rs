//! `[lab]` and `[[table]]`: what is started, and where the data are.

use types::{FaultTarget, Region, SiteName, ZoneLetter};

use super::problem::{listed, nearest};
use super::reading::{Constant, Part, Section};
use super::value::{Value, variable_name};
use crate::limits;
use crate::scenario::{App, Lab, StoreKind, Table};

/// Reads `[lab]`.
pub(super) fn read(root: &Section<'_, '_>) -> Option<Lab> {
    if !root.has("lab") {
        let help = "write [lab] and below it regions = [\"us-east-1\", \"eu-west-1\"]";
        root.reader
            .problem_help(root.place(), "a scenario needs [lab]", help);
        root.get("lab");
        return None;
    }
    let section = root.section("lab", "[lab]")?;
    let regions = section.required("regions", "regions = [\"us-east-1\", \"eu-west-1\"]");
    let regions = regions.map(|value| distinct_regions(&value, None));
    let edges = section.get("edges");
    let edges = edges.and_then(|value| value.whole((0, i64::from(limits::EDGES))));
    let delay_scale = section
        .get("delay_scale")
        .and_then(|value| value.decimal((0.0, 100.0)));
    let interval = section.get("health_interval");
    let app_port = section
        .get("app_port")
        .and_then(|value| value.whole((1, 65_535)));
    let lab = Lab {
        regions: regions.unwrap_or_default(),
        edges: edges
            .and_then(|edges| u16::try_from(edges).ok())
            .unwrap_or(1),
        delay_scale: delay_scale.unwrap_or(1.0),
        health_interval: interval.and_then(|value| value.span(limits::HEALTH_INTERVAL)),
        app: section.get("app").and_then(|value| app(&value)),
        app_port: app_port.and_then(|port| u16::try_from(port).ok()),
        environment: environment(&section),
    };
    section.check_unknown();
    (!lab.regions.is_empty()).then_some(lab)
}

/// What the application finds in its environment: names in capitals, and values.
fn environment(section: &Section<'_, '_>) -> Vec<(String, String)> {
    let Some(inner) = section.section("environment", "[lab.environment]") else {
        return Vec::new();
    };
    let keys = inner.keys();
    if let Some((_, place)) = keys.get(limits::ENVIRONMENT) {
        let most = limits::ENVIRONMENT;
        let message = format!("at most {most} variables of an environment are allowed");
        inner.reader.problem(place, message);
    }
    let mut set = Vec::new();
    for (name, place) in keys.into_iter().take(limits::ENVIRONMENT) {
        let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_part) || name.as_bytes()[0].is_ascii_digit() {
            let message = format!("`{name}` is no name of the environment's");
            inner.reader.problem_help(
                &place,
                message,
                "capitals, digits and `_`: LOG_LEVEL = \"debug\"",
            );
            continue;
        }
        let value = inner.entry(name).and_then(|(_, value)| Value::plain(value));
        let value = match &value {
            Some(Constant::Text(text)) => match variable_name(text) {
                Some(variable) => inner.reader.variable(variable, &place),
                None => value,
            },
            _ => value,
        };
        match value {
            Some(Constant::Text(text)) if !text.contains('\0') && text.len() <= 4_000 => {
                set.push((name.to_owned(), text));
            }
            _ => inner
                .reader
                .problem(&place, "a variable of the environment is a text"),
        }
    }
    set
}

/// The word for the shipped application.
const SHIPPED: &str = "orders";

fn app(value: &Value<'_, '_>) -> Option<App> {
    let command = value.line(4_000)?;
    if command == SHIPPED {
        return Some(App::Orders);
    }
    // A command of that very name can be written with its path.
    if nearest(&command, [SHIPPED]).is_some() {
        let message = format!("`{command}` is not the shipped application");
        let help = format!("did you mean `{SHIPPED}`? (a command is written `./{command}`)");
        value.problem(message, help);
        return None;
    }
    Some(App::Command(command))
}

/// Reads `[[table]]`.
pub(super) fn tables(root: &Section<'_, '_>, lab: Option<&Lab>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for section in root.sections("table", "a table", limits::TABLES) {
        let name = section.required("name", "name = \"Orders\"");
        let place = name.as_ref().map(|value| value.place.clone());
        let name = name.and_then(|value| table_name(&value));
        let key = section.get("key").and_then(|value| value.line(255));
        let regions = section.required("regions", "regions = [\"us-east-1\", \"eu-west-1\"]");
        let regions = regions.map(|value| distinct_regions(&value, lab));
        section.check_unknown();
        let (Some(name), Some(regions)) = (name, regions) else {
            continue;
        };
        let twice = tables.iter().find(|table| {
            table.name == name && table.regions.iter().any(|region| regions.contains(region))
        });
        if let (Some(_), Some(place)) = (twice, place) {
            let message = format!("two tables `{name}` are in one Region");
            let help = "tables of one name are apart only where they have no Region in common";
            section.reader.problem_help(&place, message, help);
        }
        let key = Some(key.unwrap_or_else(|| "id".to_owned()));
        tables.push(Table {
            name,
            kind: StoreKind::Table,
            key,
            regions,
        });
    }
    tables
}

/// Reads `[[bucket]]`, and puts them behind the tables.
pub(super) fn buckets(
    root: &Section<'_, '_>,
    lab: Option<&Lab>,
    mut tables: Vec<Table>,
) -> Vec<Table> {
    for section in root.sections("bucket", "a bucket", limits::TABLES) {
        let name = section.required("name", "name = \"my-app-data\"");
        let place = name.as_ref().map(|value| value.place.clone());
        let name = name.and_then(|value| bucket_name(&value));
        let regions = section.required("regions", "regions = [\"us-east-1\", \"eu-west-1\"]");
        let regions = regions.map(|value| distinct_regions(&value, lab));
        section.check_unknown();
        let (Some(name), Some(regions)) = (name, regions) else {
            continue;
        };
        let twice = tables.iter().find(|table| table.name == name);
        if let (Some(_), Some(place)) = (twice, place) {
            let message = format!("`{name}` is there already");
            let help = "give each bucket a name of its own";
            section.reader.problem_help(&place, message, help);
        }
        tables.push(Table {
            name,
            kind: StoreKind::Buckets,
            key: None,
            regions,
        });
    }
    tables
}

/// S3's rule, with room for `-ap-southeast-1`: 3 to 40 lowercase letters, digits and `-`, which
/// don't begin or end it.
fn bucket_name(value: &Value<'_, '_>) -> Option<String> {
    let name = value.text()?;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_closed = !name.starts_with('-') && !name.ends_with('-');
    if (3..=40).contains(&name.len()) && name.bytes().all(is_part) && is_closed {
        return Some(name.to_owned());
    }
    let help = "3 to 40 lowercase letters, digits and `-`; `-REGION` is put behind it";
    value.problem("this is no name of a bucket", help);
    None
}

/// DynamoDB's rule: 3 to 255 letters, digits, `_`, `-` and `.`.
fn table_name(value: &Value<'_, '_>) -> Option<String> {
    let name = value.text()?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (3..=255).contains(&name.len()) && name.bytes().all(is_part) {
        return Some(name.to_owned());
    }
    let help = "a table's name has 3 to 255 letters, digits, `_`, `-` and `.`";
    value.problem("this is no name of a table", help);
    None
}

/// A list of Regions, each once, those of the lab if it is given.
pub(super) fn distinct_regions(value: &Value<'_, '_>, lab: Option<&Lab>) -> Vec<Region> {
    let mut regions = Vec::new();
    for item in value.list(limits::REGIONS).unwrap_or_default() {
        let found = match lab {
            Some(lab) => region_of(&item, lab),
            None => region(&item),
        };
        match found {
            Some(region) if regions.contains(&region) => {
                item.problem(format!("{region} is listed twice"), "name each Region once");
            }
            Some(region) => regions.push(region),
            None => {}
        }
    }
    regions
}

/// Any Region there is.
pub(super) fn region(value: &Value<'_, '_>) -> Option<Region> {
    let name = value.text()?;
    if let Ok(region) = name.parse() {
        return Some(region);
    }
    let help = match nearest(name, Region::all().map(Region::name)) {
        Some(near) => format!("did you mean `{near}`? `causeway places` lists all"),
        None => "`causeway places` lists those that exist".to_owned(),
    };
    value.problem(format!("there is no Region `{name}`"), help);
    None
}

/// A Region of the lab.
pub(super) fn region_of(value: &Value<'_, '_>, lab: &Lab) -> Option<Region> {
    let name = value.text()?;
    let names = || lab.regions.iter().map(|region| region.name());
    if let Some(region) = lab.regions.iter().find(|region| region.name() == name) {
        return Some(*region);
    }
    if value.reader.is_spoilt(Part::Lab) {
        return name.parse().ok();
    }
    let has = format!("the lab has {}", listed(names()));
    let help = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`? ({has})"),
        None => has,
    };
    let message = match name.parse::<Region>() {
        Ok(_) => format!("{name} is not in this lab"),
        Err(_) => format!("there is no Region `{name}`"),
    };
    value.problem(message, help);
    None
}

/// The zones of every Region that the application of a game day runs in, as `causeway up --app`
/// has them.
const APP_ZONES: [ZoneLetter; 2] = [ZoneLetter::A, ZoneLetter::B];

/// A site of the lab, a zone of one of its Regions, or an application in it.
pub(super) fn target(value: &Value<'_, '_>, lab: &Lab) -> Option<FaultTarget> {
    let words = value.text()?;
    let Some((region, _)) = words.split_once('/') else {
        return site(value, lab).map(FaultTarget::Site);
    };
    let Ok(target) = words.parse::<FaultTarget>() else {
        let message = format!("`{words}` is no part of a Region");
        let help = format!(
            "write {region}/a for what is in its first zone, {region}/app for its application, \
             {region}/a/app for the instance there"
        );
        value.problem(message, help);
        return None;
    };
    let is_here = target
        .site()
        .region()
        .is_some_and(|of| lab.regions.contains(&of));
    if !is_here {
        let names = lab.regions.iter().map(|region| region.name());
        let help = format!("the lab has {}", listed(names));
        value.problem(format!("{} is not in this lab", target.site()), help);
        return None;
    }
    if target.is_app() && lab.app.is_none() {
        value.problem(
            "this lab runs no application",
            "write app = \"orders\" in [lab]",
        );
        return None;
    }
    if let FaultTarget::Instance(zone) = target
        && !APP_ZONES.contains(&zone.letter)
    {
        let message = format!("no instance of the application is in {zone}");
        value.problem(message, "it runs in the zones a and b of every Region");
        return None;
    }
    Some(target)
}

/// A site of the lab.
pub(super) fn site(value: &Value<'_, '_>, lab: &Lab) -> Option<SiteName> {
    let name = value.text()?;
    let edges = (1..=lab.edges).map(SiteName::Edge);
    let mut sites = lab
        .regions
        .iter()
        .copied()
        .map(SiteName::Region)
        .chain(edges);
    if let Some(site) = sites.find(|site| site.to_string() == name) {
        return Some(site);
    }
    let edges = (1..=lab.edges).map(SiteName::Edge);
    let sites = lab
        .regions
        .iter()
        .copied()
        .map(SiteName::Region)
        .chain(edges);
    let names: Vec<String> = sites.map(|site| site.to_string()).collect();
    let has = format!("the lab has {}", listed(names.iter().map(String::as_str)));
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? ({has})"),
        None => has,
    };
    value.problem(format!("`{name}` is no site of this lab"), help);
    None
}
