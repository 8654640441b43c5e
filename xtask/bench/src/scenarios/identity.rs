//! What it costs to know every caller and to judge every action: the processor's time a request
//! beside the root's, who is judged by nothing; the memory of a hundred thousand principals; and
//! how soon a key that is made or revoked in one Region is known in another.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use types::Geography;

use super::start::REGIONS;
use super::{CONNECTIONS, GOAL_HEAD, SERIES_HEAD, Series, fill, get_window, goal, spread};
use crate::client::Client;
use crate::connection::Connection;
use crate::identity::bare::Bare;
use crate::identity::{POLICIES, REGION, STATEMENTS, TABLE, loading, make_judged, make_key};
use crate::lab::{Folder, Lab};
use crate::load::Window;
use crate::report::Section;
use crate::statistics::{Spread, number};
use crate::{Arguments, process};

/// Items that are read: they stay in the engine's cache, since reading isn't what is measured.
const ITEMS: usize = 1_000;

/// How long Regions are left alone before their memory is read.
const SETTLE: Duration = Duration::from_secs(10);

/// Users that call each Region before its memory is read again.
const CALLERS: usize = 2_000;

/// Keys that are made, waited for in the other Regions, and revoked.
const KEYS: usize = 20;

/// How long a Region may take to know of a key.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one may take that has to learn everything anew.
const RETURN_PATIENCE: Duration = Duration::from_secs(300);

/// Microseconds a request that verification and evaluation may take.
const COST_GOAL: f64 = 25.0;

/// Mebibytes that a Region may take with all principals.
const MEMORY_GOAL: f64 = 200.0;

/// Milliseconds beyond the link's delay after which a key is known elsewhere.
const DELAY_GOAL: f64 = 200.0;

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    let mut goals = vec![judged_alone(arguments, &mut section)?];
    if !arguments.no_lab {
        judged_by_a_region(arguments, &mut section)?;
        goals.extend(many(arguments, &mut section)?);
    }
    section.table(&GOAL_HEAD, &goals);
    Ok(section)
}

/// Verification and evaluation in this process.
fn judged_alone(arguments: &Arguments, section: &mut Section) -> Result<Vec<String>> {
    let bare = Bare::new()?;
    bare.round()?;
    let (mut user, mut root) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let costs = bare.round()?;
        user.push(costs.user);
        root.push(costs.root);
    }
    let (user, root) = (Spread::of(user), Spread::of(root));
    section.text(&format!(
        "A signed GetItem verified and judged in one thread, without a socket, {} rounds in turn: \
         {user} µs of processor time a request of a user with {POLICIES} policies of {STATEMENTS} \
         statements, the last of which allows it; {root} µs of the root, whom none judges.",
        arguments.rounds
    ));
    section.value("alone_user_microseconds", spread(user));
    section.value("alone_root_microseconds", spread(root));
    Ok(goal(
        "verification and evaluation",
        "25 µs or less of processor time",
        user.median,
        "µs",
        user.median <= COST_GOAL,
    ))
}

/// The same requests through a Region's front door, windows of both callers in turn.
fn judged_by_a_region(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = Lab::start(&[REGION], 0, 1.0)?;
    let (root, pids) = (&lab.clients[0], lab.regions()?);
    root.create_table(TABLE)?;
    fill(root, TABLE, ITEMS)?;
    let user = make_judged(root)?;
    let [mut of_user, mut of_root] = [(); 2].map(|()| Series::default());
    for _ in 0..arguments.rounds {
        for (client, series) in [(&user, &mut of_user), (root, &mut of_root)] {
            let window = Window::closed(arguments.seconds);
            let measured = get_window(client, TABLE, ITEMS, window, &pids)?;
            series.0.push(measured);
        }
    }
    lab.stop();
    let more = of_user
        .0
        .iter()
        .zip(&of_root.0)
        .map(|(user, root)| user.processor_per_operation() - root.processor_per_operation());
    let more = Spread::of(more);
    section.text(&format!(
        "GetItem of 1 KiB through a Region's front door over {CONNECTIONS} connections, {} windows \
         of {} s each in turn:",
        arguments.rounds, arguments.seconds
    ));
    let rows = [
        of_user.row("by the user with the policies"),
        of_root.row("by the root"),
    ];
    section.table(&SERIES_HEAD, &rows);
    section.text(&format!(
        "What the policies add, pair by pair: {more} µs of the Region's processor time a request."
    ));
    section.value("region_user", of_user.json());
    section.value("region_root", of_root.json());
    section.value("policies_microseconds", spread(more));
    Ok(())
}

/// Many principals in three Regions.
fn many(arguments: &Arguments, section: &mut Section) -> Result<Vec<Vec<String>>> {
    let principals = arguments.principals;
    let folder = Folder::new("identity")?;
    let data = folder.path().join("data");
    let lab = Lab::start_in(&data, &REGIONS, 1, 1.0)?;
    std::thread::sleep(SETTLE);
    let before = memory(&lab)?;
    lab.stop();
    let loaded = loading::load(&data, principals)?;
    let changes = Spread::of(loaded.changes.iter().copied());
    let lab = Lab::start_in(&data, &REGIONS, 1, 1.0)?;
    std::thread::sleep(SETTLE);
    let settled = memory(&lab)?;
    call_as_many(&lab, principals)?;
    let after = memory(&lab)?;
    section.text(&format!(
        "{} users with a key each, all with one managed policy: {} settings of {} in all. They \
         were put into the stopped lab by its sites' council in changes of 400 users, in {} s; one \
         such change took {changes} ms. Then three Regions with an edge were ready {} ms after \
         their start.",
        number(principals as f64),
        number(loaded.settings as f64),
        loaded.size,
        number(loaded.took.as_secs_f64()),
        number(lab.ready_after.as_secs_f64() * 1e3),
    ));
    let rows = before.iter().zip(&settled).zip(&after);
    let rows = rows.map(|(((site, before), (_, settled)), (_, after))| {
        let memory = [before, settled, after].map(|memory| number(*memory));
        [vec![site.clone()], memory.to_vec()].concat()
    });
    let asked = format!("with them, after {} of them called", number(CALLERS as f64));
    section.table(
        &["PSS MiB", "without them", "with them", &asked],
        &rows.collect::<Vec<_>>(),
    );
    let of_regions = |sites: &[(String, f64)]| {
        let regions = sites
            .iter()
            .filter(|(site, _)| REGIONS.contains(&site.as_str()));
        regions.map(|(_, memory)| *memory).fold(0.0, f64::max)
    };
    let greatest = of_regions(&settled).max(of_regions(&after));
    section.value("loaded_seconds", json!(loaded.took.as_secs_f64()));
    section.value("change_milliseconds", spread(changes));
    section.value("memory", json!([before, settled, after]));
    let mut goals = vec![goal(
        &format!("a Region with {} principals", number(principals as f64)),
        "200 MiB or less",
        greatest,
        "MiB",
        greatest <= MEMORY_GOAL,
    )];
    goals.push(keys(&lab, section)?);
    lab.stop();
    comes_back(&data, principals, section)?;
    Ok(goals)
}

/// A Region that lost its database is sent all settings by the others.
fn comes_back(data: &Path, principals: usize, section: &mut Section) -> Result<()> {
    let lost = REGIONS[1];
    std::fs::remove_dir_all(data.join(lost).join("store"))?;
    let started = Instant::now();
    let lab = Lab::start_in(data, &REGIONS, 1, 1.0)?;
    let (id, secret) = loading::key(principals - 1);
    let there = &lab.clients[1];
    let user = Client::new(there.address, there.region, &id, &secret);
    let seconds = until(&user, true, started, RETURN_PATIENCE)? / 1e3;
    section.text(&format!(
        "{lost} without its database was sent all settings anew: {} s after the start of the lab it \
         accepted the last user's key.",
        number(seconds)
    ));
    section.value("lost_database_seconds", json!(seconds));
    lab.stop();
    Ok(())
}

/// The memory of each site, in MiB.
fn memory(lab: &Lab) -> Result<Vec<(String, f64)>> {
    let names = REGIONS.iter().chain(&["edge-1"]);
    let sites = names.map(|name| Ok(((*name).to_owned(), process::memory(lab.site(name)?)?)));
    sites.collect()
}

/// Has users from all over call every Region; they must be allowed.
fn call_as_many(lab: &Lab, principals: usize) -> Result<()> {
    for client in &lab.clients {
        let mut connection = Connection::new(client.address);
        for turn in 0..CALLERS.min(principals) {
            let number = turn * (principals / CALLERS.min(principals));
            let (id, secret) = loading::key(number);
            let user = Client::new(client.address, client.region, &id, &secret);
            let request = user.request("ListTables", b"{}")?;
            crate::client::expect_ok(connection.exchange(&request)?)?;
        }
    }
    Ok(())
}

/// Makes keys in the first Region and waits for them in each other; then revokes them.
fn keys(lab: &Lab, section: &mut Section) -> Result<Vec<String>> {
    let home = &lab.clients[0];
    let mut rows = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut beyond = Vec::new();
    for other in &lab.clients[1..] {
        let geography = Geography { scale: 1.0 };
        let delay = geography.one_way_delay(home.region, other.region);
        let delay = delay.as_milliseconds();
        let (mut known, mut revoked) = (Vec::new(), Vec::new());
        for turn in 0..KEYS {
            let name = loading::name(turn);
            let key = make_key(home, &name)?;
            let made = Instant::now();
            let there = key.at(other.address, other.region);
            let took = until(&there, true, made, PATIENCE)?;
            known.push(took);
            beyond.push(took - delay);
            let delete = [
                ("Action", "DeleteAccessKey"),
                ("UserName", &name),
                ("AccessKeyId", key.access_key_id()),
            ];
            home.form("iam", &delete)?;
            revoked.push(until(&there, false, Instant::now(), PATIENCE)?);
        }
        let (known, revoked) = (Spread::of(known), Spread::of(revoked));
        rows.push(vec![
            other.region.name().to_owned(),
            number(delay),
            known.to_string(),
            revoked.to_string(),
        ]);
        values.push(json!({
            "region": other.region.name(), "delay_milliseconds": delay,
            "known_milliseconds": spread(known), "revoked_milliseconds": spread(revoked),
        }));
    }
    section.text(&format!(
        "{KEYS} keys made in {}, and revoked there: milliseconds from the API's answer until a \
         Region accepts the key's signature, and until it refuses it, asked directly about every \
         millisecond:",
        home.region.name()
    ));
    let head = [
        "Region",
        "delay of the link, ms",
        "accepted",
        "refused again",
    ];
    section.table(&head, &rows);
    section.value("keys", json!(values));
    let beyond = Spread::of(beyond);
    Ok(goal(
        "a new key in another Region",
        "200 ms + the link's delay",
        beyond.median,
        "ms past the link's delay",
        beyond.median <= DELAY_GOAL,
    ))
}

/// Milliseconds since `from` until the Region accepts that key's signature, or refuses it.
fn until(client: &Client, accepted: bool, from: Instant, patience: Duration) -> Result<f64> {
    let mut connection = Connection::new(client.address);
    loop {
        let request = client.request("ListTables", b"{}")?;
        let (status, _) = connection.exchange(&request)?;
        if (status == 200) == accepted {
            return Ok(from.elapsed().as_secs_f64() * 1e3);
        }
        if from.elapsed() > patience {
            let (name, seconds) = (client.region.name(), patience.as_secs());
            bail!("a key isn't known in {name} after {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
