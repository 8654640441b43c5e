//! `causeway rotate`: new certificates for all sites, now.

use super::{ask, read};
use crate::cli::Query;
use crate::control::{Command, Renewal, SiteRenewal};
use crate::failure::Failure;
use crate::output::{self, Table};

/// Prints each site's new certificate. Fails with exit code 1 unless every site that runs has one.
pub fn rotate(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Rotate)?;
    let sites: Vec<SiteRenewal> = read(answer["sites"].clone())?;
    match query.json {
        true => output::print_json(&answer)?,
        false => output::print(table(&sites))?,
    }
    let is_failed = |site: &SiteRenewal| matches!(site.renewal, Renewal::Failed { .. });
    match sites.iter().any(is_failed) {
        true => Err(
            Failure::did_not_hold("not every site has a new certificate").then(
                "those without keep the one they have, and are tried again every ten minutes",
            ),
        ),
        false => Ok(()),
    }
}

fn table(sites: &[SiteRenewal]) -> Table {
    let mut table = Table::new(["SITE", "NEW CERTIFICATE", "SERIAL"]);
    for site in sites {
        let (outcome, serial) = match &site.renewal {
            Renewal::Renewed { certificate } => {
                let until = certificate.valid_until;
                (format!("until {until}"), certificate.serial.clone())
            }
            Renewal::AtStart => ("when it starts again".to_owned(), "-".to_owned()),
            Renewal::Failed { reason } => (format!("none: {reason}"), "-".to_owned()),
        };
        table.row([site.site.to_string(), outcome, serial]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::certificate::Details;
    use types::Timestamp;

    #[test]
    fn what_has_become_of_each_site_s_certificate_is_told() {
        let certificate = Details {
            serial: "0A1B".to_owned(),
            valid_from: Timestamp(1_787_709_909_000),
            valid_until: Timestamp(1_795_485_909_000),
        };
        let reason = "it is paused".to_owned();
        let renewals = [
            ("us-east-1", Renewal::Renewed { certificate }),
            ("eu-west-1", Renewal::AtStart),
            ("edge-1", Renewal::Failed { reason }),
        ];
        let sites = renewals.map(|(site, renewal)| SiteRenewal {
            site: site.parse().unwrap(),
            renewal,
        });
        let expected = "\
SITE       NEW CERTIFICATE             SERIAL
us-east-1  until 2026-11-24T02:05:09Z  0A1B
eu-west-1  when it starts again        -
edge-1     none: it is paused          -
";
        assert_eq!(table(&sites).to_string(), expected);
    }
}
