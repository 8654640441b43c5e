//! Places of geolocation records, and `TestDNSAnswer`.

use std::net::IpAddr;

use crate::support::Api;

#[test]
fn places_are_listed_in_pages() {
    let api = Api::new();
    let (mut countries, mut continents, mut states, mut query) = (0, 0, 0, String::new());
    loop {
        let page = api.get(&format!("geolocations?maxitems=37{query}")).ok();
        countries += page.all("CountryName").len();
        continents += page.all("ContinentName").len();
        states += page.all("SubdivisionName").len();
        if page.one("IsTruncated") == "false" {
            break;
        }
        query = String::new();
        for (element, parameter) in [
            ("NextContinentCode", "startcontinentcode"),
            ("NextCountryCode", "startcountrycode"),
            ("NextSubdivisionCode", "startsubdivisioncode"),
        ] {
            for code in page.all(element) {
                query.push_str(&format!("&{parameter}={code}"));
            }
        }
    }
    assert_eq!((countries, continents, states), (1 + 249 + 51, 7, 51));
}

#[test]
fn a_place_is_found_by_its_codes() {
    let api = Api::new();
    let get = |query: &str| api.get(&format!("geolocation?{query}"));
    assert_eq!(get("continentcode=EU").ok().one("ContinentName"), "Europe");
    assert_eq!(get("countrycode=DE").ok().one("CountryName"), "Germany");
    assert_eq!(get("countrycode=*").ok().one("CountryName"), "Default");
    let state = get("countrycode=US&subdivisioncode=TX").ok();
    assert_eq!(state.one("SubdivisionName"), "Texas");
    for (query, status, code) in [
        ("countrycode=XX", 404, "NoSuchGeoLocation"),
        (
            "countrycode=DE&subdivisioncode=BY",
            404,
            "NoSuchGeoLocation",
        ),
        ("continentcode=XX", 404, "NoSuchGeoLocation"),
        ("subdivisioncode=TX", 400, "InvalidInput"),
        ("continentcode=EU&countrycode=DE", 400, "InvalidInput"),
    ] {
        let answer = get(query);
        assert_eq!(
            (answer.status, answer.error().0.as_str()),
            (status, code),
            "{query}"
        );
    }
    assert_eq!(
        api.get("geolocations?startcountrycode=XX").error().0,
        "NoSuchGeoLocation"
    );
}

#[test]
fn a_test_answer_is_the_node_s() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let test = |query: &str| {
        let query = format!("hostedzoneid={zone}&recordname=x.example.com&recordtype=A{query}");
        api.get(&format!("testdnsanswer?{query}"))
    };
    let answer = test("").ok();
    for (element, value) in [
        ("RecordName", "x.example.com."),
        ("RecordType", "A"),
        ("RecordDataEntry", "192.0.2.1"),
        ("ResponseCode", "NOERROR"),
        ("Protocol", "UDP"),
    ] {
        assert_eq!(answer.one(element), value);
    }
    assert!(answer.one("Nameserver").starts_with("ns-"));
    test("&resolverip=127.64.1.1&edns0clientsubnetip=127.64.2.1").ok();
    test("&edns0clientsubnetip=2001:db8::1&edns0clientsubnetmask=0").ok();
    let asked = api.nodes.asked.lock().unwrap().clone();
    assert_eq!((asked[0].resolver, asked[0].client_subnet), (None, None));
    let inquiry = asked[0].inquiry();
    assert!(inquiry.source.is_loopback() && inquiry.subnet.is_none());
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(asked[1].resolver, Some(address("127.64.1.1")));
    assert_eq!(asked[1].client_subnet, Some((address("127.64.2.1"), 24)));
    assert_eq!(asked[2].client_subnet, Some((address("2001:db8::1"), 0)));
    for query in [
        "&resolverip=x",
        "&edns0clientsubnetmask=24",
        "&edns0clientsubnetip=192.0.2.1&edns0clientsubnetmask=33",
    ] {
        assert_eq!(test(query).error().0, "InvalidInput", "{query}");
    }
    for query in [
        "recordname=x.example.com&recordtype=A".to_owned(),
        format!("hostedzoneid={zone}&recordtype=A"),
        format!("hostedzoneid={zone}&recordname=x.example.com&recordtype=NAPTR"),
        format!("hostedzoneid={zone}&recordname=a..b&recordtype=A"),
    ] {
        assert_eq!(
            api.get(&format!("testdnsanswer?{query}")).error().0,
            "InvalidInput",
            "{query}"
        );
    }
    let missing = "testdnsanswer?hostedzoneid=Z1&recordname=x.example.com&recordtype=A";
    assert_eq!(api.get(missing).error().0, "NoSuchHostedZone");
}
