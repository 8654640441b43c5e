//! The codes by which Route 53 knows the parts of the world (its operation ListGeoLocations):
//! continents, countries (ISO 3166-1), states of the United States.

/// Continents.
pub(super) const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "OC", "NA", "SA"];

/// Countries, as two letters each.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE \
EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM \
HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC \
LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// States of the United States, and the District of Columbia.
const STATES: &str = "\
AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ \
NM NV NY OH OK OR PA RI SC SD TN TX UT VA VT WA WI WV WY";

/// Is it a country's code?
pub(super) fn is_country(code: &str) -> bool {
    COUNTRIES.split(' ').any(|country| country == code)
}

/// Is it a state's code?
pub(super) fn is_state(code: &str) -> bool {
    STATES.split(' ').any(|state| state == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_complete_and_sorted() {
        for (codes, count) in [(COUNTRIES, 249), (STATES, 51)] {
            let codes: Vec<&str> = codes.split(' ').collect();
            assert_eq!(codes.len(), count);
            assert!(codes.is_sorted());
            assert!(codes.iter().all(|code| code.len() == 2));
        }
        assert!(is_country("DE") && !is_country("UK") && !is_country("de"));
    }
}
