//! Cookies that keep clients with a target group and with a target: `AWSALB`, `AWSALBAPP` and
//! `AWSALBTG`. What they say is sealed for one load balancer and one kind of cookie: a client can
//! neither read nor make one, and one that is damaged, another's or past its time counts as none.
//!
//! A cookie holds several bindings, since the paths of one host can lead to several groups. Its
//! own lifetime is 7 days whatever the stickiness lasts (Elastic Load Balancing, "Sticky
//! sessions"); how long it is heeded is sealed in it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use types::Timestamp;
use types::calendar::{SECONDS_PER_DAY, date_of};
use zeroize::Zeroizing;

/// The length of the key in bytes.
pub const COOKIE_KEY_BYTES: usize = 32;

/// Bindings in one cookie, at most; of more, those that end first go.
pub const MAX_BINDINGS: usize = 8;

/// How long clients keep a cookie, in seconds.
const LIFETIME: u64 = 7 * SECONDS_PER_DAY;

/// The version of what is sealed, and the only one that is read.
const VERSION: u8 = 1;

/// Half of it picks a key, half is the cipher's, as in `identity`'s sealed values: 96 bits alone
/// are too few for the cookies of years.
const NONCE: usize = 2 * NONCE_LEN;
const HEAD: usize = 1 + NONCE;
const TAG: usize = 16;
const BINDING: usize = 24;

/// The longest value that can be a cookie of ours.
const MAX_VALUE: usize = (HEAD + MAX_BINDINGS * BINDING + TAG).div_ceil(3) * 4;

/// Cookies of `AWSALBAPP-0` to `-3`: the service cuts long values into several. Ours fit into the
/// first.
const APPLICATION_PARTS: [&str; 3] = ["AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"];

/// Which cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CookieKind {
    /// `AWSALB`: the target, for a time from the last response.
    Target,
    /// `AWSALBAPP`: the target, as long as the client also has the application's own cookie.
    Application,
    /// `AWSALBTG`: the target group.
    Group,
}

impl CookieKind {
    /// What a client sends it as.
    pub fn name(self) -> &'static str {
        match self {
            CookieKind::Target => "AWSALB",
            CookieKind::Application => "AWSALBAPP-0",
            CookieKind::Group => "AWSALBTG",
        }
    }

    /// What a client sends it as from another site's page, where the first may be withheld.
    pub fn cross_site_name(self) -> Option<&'static str> {
        match self {
            CookieKind::Target => Some("AWSALBCORS"),
            CookieKind::Application => None,
            CookieKind::Group => Some("AWSALBTGCORS"),
        }
    }

    fn label(self) -> &'static [u8] {
        match self {
            CookieKind::Target => b"target",
            CookieKind::Application => b"application",
            CookieKind::Group => b"group",
        }
    }
}

/// That a client belongs to one of something, for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Binding {
    /// Of what: a group's number, or a rule's.
    of: u64,
    /// To which: a target's number, or a group's.
    to: u64,
    /// In seconds since the epoch.
    until: u64,
}

/// What a cookie says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bindings(Vec<Binding>);

impl Bindings {
    /// To which one of `of` the client belongs now.
    pub fn get(&self, of: u64, now: Timestamp) -> Option<u64> {
        let seconds = now.0 / 1000;
        let mut known = self.0.iter();
        let known = known.find(|binding| binding.of == of && binding.until > seconds);
        known.map(|binding| binding.to)
    }

    /// The client belongs to `to` of `of` for that many seconds from now. What is over is
    /// forgotten.
    pub fn bind(&mut self, of: u64, to: u64, duration_seconds: u32, now: Timestamp) {
        let seconds = now.0 / 1000;
        let until = seconds.saturating_add(u64::from(duration_seconds));
        self.0
            .retain(|binding| binding.of != of && binding.until > seconds);
        if self.0.len() >= MAX_BINDINGS
            && let Some(first) = (0..self.0.len()).min_by_key(|at| self.0[*at].until)
        {
            self.0.remove(first);
        }
        self.0.push(Binding { of, to, until });
    }

    fn encoded(&self, into: &mut Vec<u8>) {
        for binding in &self.0 {
            for number in [binding.of, binding.to, binding.until] {
                into.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn decoded(bytes: &[u8]) -> Option<Bindings> {
        if !bytes.len().is_multiple_of(BINDING) || bytes.len() > MAX_BINDINGS * BINDING {
            return None;
        }
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        let bindings = bytes.chunks_exact(BINDING).map(|bytes| {
            Some(Binding {
                of: number(&bytes[..8])?,
                to: number(&bytes[8..16])?,
                until: number(&bytes[16..])?,
            })
        });
        bindings.collect::<Option<_>>().map(Bindings)
    }
}

/// Seals and opens cookies. Never prints its key.
pub struct CookieSealer {
    root: Prk,
}

impl fmt::Debug for CookieSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSealer(key withheld)")
    }
}

impl CookieSealer {
    /// A sealer with that key, which must be random, and the same after a restart for clients to
    /// stay where they are.
    pub fn new(key: &Zeroizing<[u8; COOKIE_KEY_BYTES]>) -> CookieSealer {
        let root = Salt::new(HKDF_SHA256, b"causeway balancer cookies 1").extract(key.as_slice());
        CookieSealer { root }
    }

    /// The value of a cookie of that kind for the clients of that load balancer (its Amazon
    /// Resource Name). `random` draws 64 bits, fit for keys.
    pub fn seal(
        &self,
        kind: CookieKind,
        balancer: &str,
        bindings: &Bindings,
        random: &dyn Fn() -> u64,
    ) -> String {
        let mut nonce = [0; NONCE];
        for part in nonce.chunks_exact_mut(8) {
            part.copy_from_slice(&random().to_be_bytes());
        }
        let (cipher, own) = self.cipher(kind, &nonce);
        let mut sealed = Vec::with_capacity(HEAD + bindings.0.len() * BINDING + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        bindings.encoded(&mut sealed);
        let (_, body) = sealed.split_at_mut(HEAD);
        let tag = cipher
            .seal_in_place_separate_tag(own, Aad::from(balancer.as_bytes()), body)
            .expect("far below the cipher's 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// What such a value says; none: it isn't what was sealed for that.
    pub fn open(&self, kind: CookieKind, balancer: &str, value: &str) -> Option<Bindings> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        if sealed.len() < HEAD + TAG || sealed[0] != VERSION {
            return None;
        }
        let nonce: [u8; NONCE] = sealed[1..HEAD].try_into().ok()?;
        let (cipher, own) = self.cipher(kind, &nonce);
        let body = &mut sealed[HEAD..];
        let opened = cipher.open_in_place(own, Aad::from(balancer.as_bytes()), body);
        Bindings::decoded(opened.ok()?)
    }

    fn cipher(&self, kind: CookieKind, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (derives, own) = nonce.split_at(NONCE_LEN);
        let info = [kind.label(), derives];
        let key = self.root.expand(&info, &AES_256_GCM);
        let key = UnboundKey::from(key.expect("32 bytes are few enough for HKDF"));
        let own = Nonce::try_assume_unique_for_key(own).expect("half a nonce is the cipher's");
        (LessSafeKey::new(key), own)
    }
}

/// The values of the Set-Cookie fields that give a client a cookie.
pub fn set_cookies(kind: CookieKind, value: &str, now: Timestamp) -> Vec<String> {
    let expires = http_date(now.0 / 1000 + LIFETIME);
    let mut fields = vec![format!(
        "{}={value}; Expires={expires}; Path=/",
        kind.name()
    )];
    if let Some(name) = kind.cross_site_name() {
        fields.push(format!(
            "{name}={value}; Expires={expires}; Path=/; SameSite=None; Secure"
        ));
    }
    if kind == CookieKind::Application {
        let part = |name: &str| format!("{name}=_remove_; Expires={expires}; Path=/");
        fields.extend(APPLICATION_PARTS.into_iter().map(part));
    }
    fields
}

/// A time as HTTP writes it (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = seconds / SECONDS_PER_DAY;
    let (year, month, day) = date_of(days);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let weekday = usize::try_from(days % 7).map_or("", |day| DAYS[day]);
    let month = usize::try_from(month).map_or("", |month| MONTHS[(month + 11) % 12]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_485_909_000);
    const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/a/1";

    fn sealer(byte: u8) -> CookieSealer {
        CookieSealer::new(&Zeroizing::new([byte; COOKIE_KEY_BYTES]))
    }

    fn bindings(count: u64) -> Bindings {
        let mut bindings = Bindings::default();
        for of in 0..count {
            bindings.bind(of, of + 100, 60 + u32::try_from(of).unwrap(), NOW);
        }
        bindings
    }

    fn numbers() -> impl Fn() -> u64 {
        let number = Cell::new(0);
        move || {
            number.set(number.get() + 1);
            number.get()
        }
    }

    #[test]
    fn a_cookie_opens_for_its_balancer_and_kind_alone() {
        let sealer_7 = sealer(7);
        let random = numbers();
        let value = sealer_7.seal(CookieKind::Target, ARN, &bindings(2), &random);
        let again = sealer_7.seal(CookieKind::Target, ARN, &bindings(2), &random);
        assert_ne!(value, again);
        assert_eq!(
            sealer_7.open(CookieKind::Target, ARN, &value),
            Some(bindings(2))
        );
        assert_eq!(sealer_7.open(CookieKind::Group, ARN, &value), None);
        assert_eq!(sealer_7.open(CookieKind::Target, "other", &value), None);
        assert_eq!(sealer(8).open(CookieKind::Target, ARN, &value), None);
        for at in 0..value.len() {
            let mut damaged = value.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(
                sealer_7.open(CookieKind::Target, ARN, &damaged),
                None,
                "byte {at}"
            );
        }
        for wrong in ["", "A", "_remove_", "ü", &"A".repeat(10_000), &value[1..]] {
            assert_eq!(sealer_7.open(CookieKind::Target, ARN, wrong), None);
        }
        assert_eq!(format!("{sealer_7:?}"), "CookieSealer(key withheld)");
    }

    #[test]
    fn bindings_end_and_are_bounded() {
        let mut one = bindings(1);
        assert_eq!(one.get(0, NOW), Some(100));
        assert_eq!(one.get(0, Timestamp(NOW.0 + 59_999)), Some(100));
        assert_eq!(one.get(0, Timestamp(NOW.0 + 60_000)), None);
        assert_eq!(one.get(1, NOW), None);
        one.bind(0, 200, 1, NOW);
        assert_eq!((one.get(0, NOW), one.0.len()), (Some(200), 1));
        let full = bindings(20);
        assert_eq!(full.0.len(), MAX_BINDINGS);
        assert_eq!((full.get(0, NOW), full.get(19, NOW)), (None, Some(119)));
        let value = sealer(1).seal(CookieKind::Target, ARN, &full, &numbers());
        assert!(value.len() <= MAX_VALUE);
        assert_eq!(sealer(1).open(CookieKind::Target, ARN, &value), Some(full));
    }

    #[test]
    fn cookies_are_set_as_the_service_sets_them() {
        let date = "Tue, 01 Dec 2026 02:05:09 GMT";
        let fields = set_cookies(CookieKind::Target, "v", NOW);
        let expected = [
            format!("AWSALB=v; Expires={date}; Path=/"),
            format!("AWSALBCORS=v; Expires={date}; Path=/; SameSite=None; Secure"),
        ];
        assert_eq!(fields, expected);
        let fields = set_cookies(CookieKind::Application, "v", NOW);
        assert_eq!(fields.len(), 4);
        assert!(fields[3].starts_with("AWSALBAPP-3=_remove_; "));
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
