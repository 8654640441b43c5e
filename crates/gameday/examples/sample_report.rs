//! Writes the report of a made-up run of each shipped scenario into a folder, to be looked at:
//! `cargo run -p gameday --example sample_report -- FOLDER`.

#[path = "../tests/report/sample.rs"]
mod sample;

use std::path::PathBuf;

use gameday::Report;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let Some(folder) = folder else {
        println!("sample_report FOLDER");
        return Ok(());
    };
    std::fs::create_dir_all(&folder)?;
    for name in [
        "region-outage",
        "active-active-latency",
        "residency-geolocation",
    ] {
        let plan = sample::shipped(name, &[]);
        let seen = sample::observe(&plan);
        let report = Report::of(&plan, &seen);
        println!("{}\n{}", report.text(), "=".repeat(79));
        std::fs::write(folder.join(format!("{name}.html")), report.html())?;
        std::fs::write(folder.join(format!("{name}.xml")), report.junit())?;
        let json = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(folder.join(format!("{name}.json")), json)?;
    }
    Ok(())
}
