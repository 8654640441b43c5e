//! Who may speak on a link: handshakes between true certificates, and what becomes of others.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{FixedTime, WALL, site, sites, time};
use link::certificate::{
    AUTHORITY_VALIDITY, CertificateAuthority, CertificateError, Details, Identity, SITE_VALIDITY,
    server_name,
};
use link::handshake::{HandshakeError, in_memory};
use link::{
    Admission, Class, ConnectionRefused, Lane, Link, LinkConfig, MAXIMUM_AGE, Plain, SendError,
    Service, Session, SessionError, Windows, WrongPeer,
};
use rustls::ClientConnection;
use std::sync::Arc;
use types::{Monotonic, SiteName, Timestamp};

fn authority() -> CertificateAuthority {
    CertificateAuthority::generate(WALL).expect("an authority")
}

fn issue(authority: &CertificateAuthority, site: SiteName) -> Identity {
    authority.issue(site, WALL).expect("an identity")
}

fn handshake(
    from: &Identity,
    to: SiteName,
    with: &Identity,
) -> Result<(Session, Session), HandshakeError> {
    let client = from.client_config(Class::Data, time()).expect("a client");
    let server = with.server_config(time()).expect("a server");
    in_memory(&client, to, &server)
}

#[test]
fn a_handshake_tells_both_ends_who_the_other_is_and_for_what() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let (dialled, accepted) = handshake(&a, b.site(), &b).expect("a handshake");
    assert_eq!((dialled.peer(), dialled.class()), (b.site(), Class::Data));
    assert_eq!((accepted.peer(), accepted.class()), (a.site(), Class::Data));
    let edge = issue(&authority, site("edge-1"));
    let (_, accepted) = handshake(&edge, b.site(), &b).expect("a handshake");
    assert_eq!(accepted.peer(), site("edge-1"));
}

#[test]
fn another_sites_certificate_is_refused() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let other = issue(&authority, site("ap-southeast-1"));
    let refused = handshake(&a, b.site(), &other);
    assert!(
        matches!(refused, Err(HandshakeError::Client(_))),
        "{refused:?}"
    );
}

#[test]
fn another_authoritys_certificate_is_refused_at_both_ends() {
    let [ours, theirs] = [authority(), authority()];
    let [a, b] = sites();
    let server = handshake(&issue(&ours, a), b, &issue(&theirs, b));
    assert!(
        matches!(server, Err(HandshakeError::Client(_))),
        "{server:?}"
    );
    // A dialling end that believes them, with a certificate that we don't.
    let stranger = issue(&theirs, a);
    let stranger = Identity::from_pem(
        a,
        ours.certificate_pem(),
        stranger.certificate_pem(),
        stranger.key_pem(),
    );
    let client = handshake(&stranger.expect("an identity"), b, &issue(&ours, b));
    assert!(
        matches!(client, Err(HandshakeError::Server(_))),
        "{client:?}"
    );
}

#[test]
fn while_the_authority_changes_both_are_believed() {
    let [old, new] = [authority(), authority()];
    let [a, b] = sites();
    let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
    let in_transition = |identity: Identity| {
        let (certificate, key) = (identity.certificate_pem(), identity.key_pem());
        Identity::from_pem(identity.site(), &both, certificate, key).expect("an identity")
    };
    let a = in_transition(issue(&old, a));
    let b = in_transition(issue(&new, b));
    handshake(&a, b.site(), &b).expect("a handshake");
}

#[test]
fn a_certificate_is_valid_for_its_time_and_no_longer() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let at = |offset: Duration| {
        let wall = WALL.0 + u64::try_from(offset.as_millis()).expect("small");
        let time = || Arc::new(FixedTime(Timestamp(wall)));
        let client = a.client_config(Class::Bulk, time()).expect("a client");
        let server = b.server_config(time()).expect("a server");
        in_memory(&client, b.site(), &server)
    };
    assert!(at(SITE_VALIDITY - Duration::from_secs(60)).is_ok());
    assert!(at(SITE_VALIDITY + Duration::from_secs(60)).is_err());
    let until = a.details().expect("parsed").valid_until.0;
    let validity = u64::try_from(SITE_VALIDITY.as_millis()).expect("small");
    assert_eq!(until / 1000, (WALL.0 + validity) / 1000);
}

#[test]
fn a_session_tells_which_certificate_the_other_end_showed() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let (dialled, accepted) = handshake(&a, b.site(), &b).expect("a handshake");
    let details = |identity: &Identity| identity.details().expect("parsed");
    assert_eq!(*dialled.certificate(), details(&b));
    assert_eq!(*accepted.certificate(), details(&a));
    let renewed = issue(&authority, b.site());
    assert_ne!(details(&renewed).serial, details(&b).serial);
    let (dialled, _) = handshake(&a, b.site(), &renewed).expect("a handshake");
    assert_eq!(*dialled.certificate(), details(&renewed));
}

#[test]
fn a_certificate_is_renewed_when_less_than_a_third_is_left() {
    const DAY: u64 = 86_400_000;
    let details = |from: u64, until: u64| Details {
        serial: "01".to_owned(),
        valid_from: Timestamp(from),
        valid_until: Timestamp(until),
    };
    let certificate = details(100 * DAY, 190 * DAY);
    for (now, due) in [
        // Issued by a clock that was set back since: nobody takes it as valid yet.
        (100 * DAY - 1, true),
        (100 * DAY, false),
        (130 * DAY, false),
        (160 * DAY, false),
        (160 * DAY + 1, true),
        (190 * DAY, true),
        (u64::MAX, true),
    ] {
        assert_eq!(certificate.is_due(Timestamp(now)), due, "at {now}");
    }
    assert!(details(5, 5).is_due(Timestamp(5)), "valid for no time");
    assert!(!details(0, u64::MAX).is_due(Timestamp(1)), "valid for ever");
}

#[test]
fn an_identity_that_no_peer_would_accept_is_told_from_one_that_does() {
    let (ours, theirs) = (authority(), authority());
    let [a, _] = sites();
    let identity = issue(&ours, a);
    identity.prove(time()).expect("a good one");
    let late = Timestamp(WALL.0 + 91 * 86_400_000);
    let refused = identity.prove(Arc::new(FixedTime(late)));
    assert!(
        matches!(refused, Err(CertificateError::Worthless { .. })),
        "{refused:?}"
    );
    let (certificate, key) = (identity.certificate_pem(), identity.key_pem());
    let strange = Identity::from_pem(a, theirs.certificate_pem(), certificate, key);
    let refused = strange.expect("it can be read").prove(time());
    assert!(
        matches!(refused, Err(CertificateError::Worthless { .. })),
        "{refused:?}"
    );
    let other_key = issue(&ours, a);
    let mixed = Identity::from_pem(a, ours.certificate_pem(), certificate, other_key.key_pem());
    let refused = mixed.expect("it can be read").prove(time());
    assert!(
        matches!(refused, Err(CertificateError::Tls(_))),
        "{refused:?}"
    );
}

/// rustls takes an authority for a name and a key: what its own certificate says of its validity
/// is not looked at. A deployment goes on when its authority's ten years are over.
#[test]
fn the_end_of_an_authority_ends_no_link() {
    let authority = authority();
    let years = u64::try_from(AUTHORITY_VALIDITY.as_millis()).expect("small");
    let later = Timestamp(WALL.0 + years + 400 * 86_400_000);
    let issue = |site| authority.issue(site, later).expect("an identity");
    let [a, b] = sites().map(issue);
    let time = || Arc::new(FixedTime(later));
    let client = a.client_config(Class::Data, time()).expect("a client");
    let server = b.server_config(time()).expect("a server");
    in_memory(&client, b.site(), &server).expect("a handshake");
}

#[test]
fn authority_and_identity_survive_being_written_and_read() {
    let first = authority();
    let (certificate, key) = (first.certificate_pem(), first.key_pem());
    let again = CertificateAuthority::from_pem(certificate, &key).expect("an authority");
    let [a, b] = sites();
    let [a, b] = [issue(&first, a), issue(&again, b)];
    let read = Identity::from_pem(
        a.site(),
        again.certificate_pem(),
        a.certificate_pem(),
        a.key_pem(),
    );
    handshake(&read.expect("an identity"), b.site(), &b).expect("a handshake");
    let mixed = CertificateAuthority::from_pem(certificate, &authority().key_pem());
    assert!(matches!(mixed, Err(CertificateError::Pem { .. })));
    let wrong = Identity::from_pem(
        b.site(),
        again.certificate_pem(),
        a.certificate_pem(),
        a.key_pem(),
    );
    assert!(matches!(wrong, Err(CertificateError::NotOfSite { .. })));
    let none = Identity::from_pem(a.site(), "", a.certificate_pem(), a.key_pem());
    assert!(matches!(none, Err(CertificateError::Pem { .. })));
}

#[test]
fn no_key_is_printed() {
    let authority = authority();
    let identity = issue(&authority, site("edge-2"));
    let printed = format!("{authority:?} {identity:?}");
    assert_eq!(
        printed,
        "CertificateAuthority(key withheld) Identity(edge-2, key withheld)"
    );
}

#[test]
fn invariant_3_an_unfinished_handshake_makes_no_session() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let client = a.client_config(Class::Data, time()).expect("a client");
    let connection = ClientConnection::new(client, server_name(b.site())).expect("a connection");
    let session = Session::from_client(&connection, b.site());
    assert_eq!(session, Err(SessionError::Handshaking));
}

#[test]
fn invariant_3_a_session_seals_for_its_very_site_alone() {
    let authority = authority();
    let [a, b] = sites().map(|site| issue(&authority, site));
    let (session, of_a) = handshake(&a, b.site(), &b).expect("a handshake");
    let admit = |to| {
        let plain = Plain::new(to, Lane::Changes, Service(1), "Orders", Bytes::new());
        let plain = plain.expect("within limits");
        Admission::open().admit(plain).expect("nothing is bound")
    };
    let other = site("ap-southeast-1");
    let wrong = WrongPeer {
        expected: other,
        found: b.site(),
    };
    assert_eq!(session.seal(admit(other)).err(), Some(wrong));
    let sealed = session.seal(admit(b.site())).expect("the peer's");
    // Nor does a link to a third site take what is sealed for this one, or this one's session.
    let mut link = Link::new(
        Monotonic(0),
        LinkConfig {
            local: a.site(),
            peer: other,
            windows: Windows::STANDARD,
            maximum_age: MAXIMUM_AGE,
            seed: 0,
        },
    );
    let sent = link.send(Monotonic(0), sealed);
    assert_eq!(
        sent,
        Err(SendError::WrongPeer(WrongPeer {
            expected: other,
            found: b.site(),
        }))
    );
    for session in [session, of_a] {
        let found = session.peer();
        assert_eq!(
            link.connected(Monotonic(0), session),
            Err(ConnectionRefused::WrongPeer(WrongPeer {
                expected: other,
                found
            }))
        );
    }
}
