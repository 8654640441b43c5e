//! A lab on disk: its directory, which sites it has, its keys. Made once, found again by every
//! later command. The sites' own data is theirs; nothing here looks into it.

mod blob_store;
mod credentials;
mod endpoint;
mod operator_key;
mod settings;
mod webhook;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use identity::RootKey;
use link::certificate::CertificateAuthority;
use runtime::{DoorTls, Endpoint};
use types::{Deployment, Region, SiteId, SiteName, Timestamp, ZoneLetter};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Readers};
use credentials::Credentials;
use settings::{FORMAT, read_settings, write_settings};

pub use blob_store::BlobStore;
pub use endpoint::{DatabaseCertificates, EndpointWishes, server_tls};
pub use operator_key::{KeySource, OperatorKey, VARIABLE as KEY_VARIABLE};
pub use settings::{
    HealthInterval, Ipv6Pool, Listening, Settings, Wishes, open_places, own_address,
};
pub use webhook::{Webhook, WebhookUrl, Webhooks, address_of};

/// What to do about a directory that can't hold a lab.
pub const OTHER_DIRECTORY: &str = "name a new or empty directory with --data DIR";

/// A lab that exists on disk.
pub struct Lab {
    /// Its directory, absolute.
    pub directory: PathBuf,
    /// What stands in `lab.toml`.
    pub settings: Settings,
    /// The deployment's root key, with which the operator signs.
    pub root_key: RootKey,
}

impl Lab {
    /// The lab in that directory; `None` if there is none. `given` is the operator's key if
    /// somebody gives it; else it is looked for beside the directory.
    pub fn find(directory: &Path, given: Option<&OperatorKey>) -> anyhow::Result<Option<Lab>> {
        let file = directory.join("lab.toml");
        match file.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(cause) if cause.kind() == ErrorKind::NotADirectory => return Ok(None),
            Err(cause) => {
                let failure = format!("can't look for {}: {cause}", file.display());
                return Err(Failure::wrong_use(failure).into());
            }
        }
        let directory = directory
            .canonicalize()
            .with_context(|| format!("can't find {}", directory.display()))?;
        let settings = read_settings(&file)?;
        let root_key = Credentials::read(&directory, given)?.root_key;
        Ok(Some(Lab {
            directory,
            settings,
            root_key,
        }))
    }

    /// The settings that a lab in that directory has, or would have, with these wishes. Refuses
    /// what can't be, and makes and changes nothing.
    pub fn plan(
        directory: &Path,
        wishes: &Wishes,
        given: Option<&OperatorKey>,
    ) -> anyhow::Result<Settings> {
        match Lab::find(directory, given)? {
            Some(lab) => lab.settled(wishes),
            None => {
                refuse_strangers(directory)?;
                Settings::new(wishes)
            }
        }
    }

    /// The lab in that directory, made if there is none, with these wishes; and its operator's
    /// key. Call it only while holding the directory's lock. Credentials in the clear are left so:
    /// see [`Lab::seal_credentials`].
    pub fn find_or_make(
        directory: &Path,
        wishes: &Wishes,
        now: Timestamp,
        given: Option<&OperatorKey>,
    ) -> anyhow::Result<(Lab, OperatorKey)> {
        let settings = Lab::plan(directory, wishes, given)?;
        let mut lab = match Lab::find(directory, given)? {
            Some(lab) => lab,
            None => Lab::make(directory, &settings, given)?,
        };
        let key = OperatorKey::find_or_make(&lab.directory, given)?;
        // Whoever no longer believes in it has taken it away: every start issues all certificates.
        make_authority(&lab.directory, now)?;
        if settings != lab.settings {
            write_settings(&lab.directory, &settings)?;
            lab.settings = settings;
        }
        let sites = lab.settings.sites.iter();
        let regions = sites.filter(|site| site.name.region().is_some());
        let addresses = regions.map(|site| own_address(site.id));
        lab.settings.endpoint.make(&lab.directory, addresses, now)?;
        Ok((lab, key))
    }

    /// Seals the credentials of a lab in that directory, if they are in the clear. Call it once the
    /// Regions have started with that key: they alone know whether it is the lab's, and what is
    /// sealed with another can't be opened with the right one.
    pub fn seal_credentials(directory: &Path, key: &OperatorKey) -> anyhow::Result<()> {
        let found = Credentials::read(directory, Some(key))?;
        match found.is_clear {
            true => Credentials::write(directory, &found.root_key, key),
            false => Ok(()),
        }
    }

    fn make(
        directory: &Path,
        settings: &Settings,
        given: Option<&OperatorKey>,
    ) -> anyhow::Result<Lab> {
        let directory = directory.canonicalize()?;
        let key = OperatorKey::find_or_make(&directory, given)?;
        Credentials::make(&directory, &key)?;
        // A key that is not the one of an earlier start that was broken off is refused here.
        Credentials::read(&directory, Some(&key))?;
        // Last: a directory with this file is a whole lab.
        write_settings(&directory, settings)?;
        let made = Lab::find(&directory, Some(&key))?;
        Ok(made.expect("it was written just now"))
    }

    /// The settings with what may change between two starts; refuses what may not.
    fn settled(&self, wishes: &Wishes) -> anyhow::Result<Settings> {
        let regions: Vec<Region> = self.deployment().regions().map(|(_, name)| name).collect();
        let wished = wishes.regions.as_ref().unwrap_or(&regions);
        let same = wished.len() == regions.len() && wished.iter().all(|r| regions.contains(r));
        let edges = self.settings.sites.len() - regions.len();
        if !same
            || wishes
                .edges
                .is_some_and(|count| usize::from(count) != edges)
        {
            let names: Vec<&str> = regions.iter().map(|region| region.name()).collect();
            let (directory, names) = (self.directory.display(), names.join(","));
            let failure = Failure::wrong_use(format!(
                "the lab in {directory} has the Regions {names} and {edges} edge(s), which can't \
                 change yet"
            ));
            let next = "start it without --regions and --edges, or another one with --data DIR";
            return Err(failure.then(next).into());
        }
        let mut settings = Settings {
            format: FORMAT,
            ..self.settings.clone()
        };
        settings.wish(wishes)?;
        Ok(settings)
    }

    /// The sites as cores know them.
    pub fn deployment(&self) -> Deployment {
        Deployment {
            sites: self.settings.sites.clone(),
        }
    }

    /// Where the front door is called from this machine.
    pub fn front_door(&self) -> SocketAddr {
        let settings = &self.settings;
        settings.endpoint.called(settings.api_port)
    }

    /// The front door as a URL for clients.
    pub fn url(&self) -> String {
        self.settings.endpoint.url(self.settings.api_port)
    }

    /// A Region's own address as a URL.
    pub fn url_of(&self, site: SiteId) -> String {
        self.settings.endpoint.url_of(self.api_address(site))
    }

    /// The front door and whom to take for it, for a client that can read the lab's files.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Ok(Endpoint {
            address: self.front_door(),
            trust: self.settings.endpoint.trust(&self.directory)?,
        })
    }

    /// A Region's own address and whom to take for it.
    pub fn site_endpoint(&self, site: SiteId) -> anyhow::Result<Endpoint> {
        Ok(Endpoint {
            address: self.api_address(site),
            trust: self.settings.endpoint.trust(&self.directory)?,
        })
    }

    /// The front door's two ends, if it speaks TLS.
    pub fn door_tls(&self) -> anyhow::Result<Option<DoorTls>> {
        let endpoint = &self.settings.endpoint;
        let server = endpoint.files(&self.directory);
        let server = server.as_ref().map(server_tls).transpose()?;
        let sites = endpoint.trust(&self.directory)?;
        let both = server.zip(sites);
        Ok(both.map(|(server, sites)| DoorTls { server, sites }))
    }

    /// The file with the authority that clients must be told to trust, if there is one.
    pub fn authority_file(&self) -> Option<PathBuf> {
        self.settings.endpoint.authority(&self.directory)
    }

    /// Where the site's API listens: 127.1.n.1, n its number.
    pub fn api_address(&self, site: SiteId) -> SocketAddr {
        self.settings.api_address(site)
    }

    /// Where the site's links are accepted.
    pub fn link_address(&self, site: SiteId) -> SocketAddr {
        self.settings.link_address(site)
    }

    /// The Region's own address for its application: 127.1.n.1, n its number.
    pub fn app_address(&self, site: SiteId) -> SocketAddr {
        self.settings.app_address(site)
    }

    /// Where the application's instance in that zone listens: 127.1.n.11 in zone a, and so on.
    pub fn instance_address(&self, site: SiteId, zone: ZoneLetter) -> SocketAddr {
        self.settings.instance_address(site, zone)
    }

    /// The site's own directory.
    pub fn site_directory(&self, site: SiteName) -> PathBuf {
        self.directory.join(site.to_string())
    }

    /// The authority that signs the sites' certificates.
    pub fn authority(&self) -> anyhow::Result<CertificateAuthority> {
        let certificate = files::read(&self.directory.join("authority.pem"))?;
        let key = Zeroizing::new(files::read(&self.directory.join("authority-key.pem"))?);
        Ok(CertificateAuthority::from_pem(&certificate, &key)?)
    }
}

/// Makes the authority of the links, unless there is one.
fn make_authority(directory: &Path, now: Timestamp) -> anyhow::Result<()> {
    let certificate = directory.join("authority.pem");
    if certificate.exists() {
        return Ok(());
    }
    let authority = CertificateAuthority::generate(now)?;
    let key = directory.join("authority-key.pem");
    files::write(&key, &authority.key_pem(), Readers::Owner)?;
    files::write(&certificate, authority.certificate_pem(), Readers::Anyone)
}

/// A lab moves into a new or empty directory, or one where an earlier start was broken off.
fn refuse_strangers(directory: &Path) -> anyhow::Result<()> {
    const OURS: [&str; 4] = [
        "lock",
        credentials::NAME,
        "authority.pem",
        "authority-key.pem",
    ];
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => {
            let failure = match cause.kind() {
                ErrorKind::NotADirectory => format!("{} is no directory", directory.display()),
                _ => format!("can't read the directory {}: {cause}", directory.display()),
            };
            return Err(Failure::wrong_use(failure).then(OTHER_DIRECTORY).into());
        }
    };
    for entry in entries {
        let name = entry?.file_name();
        let known = name
            .to_str()
            .is_some_and(|name| OURS.contains(&name) || name.ends_with(".new"));
        if !known {
            let (directory, name) = (directory.display(), name.display());
            let failure = format!("{directory} holds no lab but other files ({name})");
            return Err(Failure::wrong_use(failure).then(OTHER_DIRECTORY).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(directory: &Path, wishes: &Wishes) -> anyhow::Result<Lab> {
        make_with(directory, wishes, None).map(|(lab, _)| lab)
    }

    fn make_with(
        directory: &Path,
        wishes: &Wishes,
        given: Option<&OperatorKey>,
    ) -> anyhow::Result<(Lab, OperatorKey)> {
        Lab::find_or_make(directory, wishes, Timestamp(1_700_000_000_000), given)
    }

    /// A folder in which a lab's directory is, and the lab's key beside it.
    struct Data {
        _folder: tempfile::TempDir,
        directory: PathBuf,
    }

    impl Data {
        fn path(&self) -> &Path {
            &self.directory
        }
    }

    fn data() -> Data {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().canonicalize().unwrap().join("data");
        std::fs::create_dir(&directory).unwrap();
        Data {
            _folder: folder,
            directory,
        }
    }

    fn message(result: anyhow::Result<Lab>) -> String {
        let failure = Failure::from(result.err().expect("it is refused"));
        assert_eq!(
            failure.code,
            crate::failure::ExitCode::WrongUse,
            "{failure}"
        );
        failure.to_string()
    }

    #[test]
    fn a_second_start_finds_the_first_one_s_lab() {
        let directory = data();
        let first = make(directory.path(), &Wishes::default()).unwrap();
        let names: Vec<String> = first
            .settings
            .sites
            .iter()
            .map(|site| site.name.to_string())
            .collect();
        assert_eq!(
            names,
            ["us-east-1", "eu-west-1", "ap-southeast-1", "edge-1"]
        );
        assert_eq!(first.api_address(SiteId(2)).to_string(), "127.1.2.1:4566");
        assert_eq!(first.link_address(SiteId(2)).to_string(), "127.1.2.1:14566");
        let second = make(directory.path(), &Wishes::default()).unwrap();
        assert_eq!(second.settings, first.settings);
        assert_eq!(second.root_key, first.root_key);
    }

    #[test]
    fn an_authority_that_was_taken_away_is_replaced_by_another() {
        let directory = data();
        let authority = || {
            let lab = make(directory.path(), &Wishes::default()).unwrap();
            lab.authority().unwrap().certificate_pem().to_owned()
        };
        let first = authority();
        assert_eq!(authority(), first);
        let key = directory.path().join("authority-key.pem");
        std::fs::remove_file(directory.path().join("authority.pem")).unwrap();
        std::fs::remove_file(&key).unwrap();
        let second = authority();
        assert_ne!(second, first);
        // A certificate without its key is not taken for none.
        std::fs::remove_file(&key).unwrap();
        let lab = make(directory.path(), &Wishes::default()).unwrap();
        let failure = lab.authority().err().unwrap();
        assert!(format!("{failure:#}").contains("authority-key.pem"));
    }

    #[test]
    fn ports_and_delays_may_change_regions_may_not() {
        let directory = data();
        make(directory.path(), &Wishes::default()).unwrap();
        let wishes = Wishes {
            api_port: Some(60_000),
            delay_scale: Some(0.0),
            ..Wishes::default()
        };
        let lab = make(directory.path(), &wishes).unwrap();
        assert_eq!(lab.link_address(SiteId(1)).port(), 50_000);
        let found = Lab::find(directory.path(), None).unwrap().unwrap();
        assert_eq!(found.settings.delay_scale, 0.0);
        let wishes = Wishes {
            regions: Some(vec!["us-east-1".parse().unwrap()]),
            ..Wishes::default()
        };
        let refused = message(make(directory.path(), &wishes));
        assert!(refused.contains("us-east-1,eu-west-1"), "{refused}");
    }

    #[test]
    fn a_directory_of_other_things_is_left_alone() {
        let directory = data();
        std::fs::write(directory.path().join("thesis.tex"), "").unwrap();
        let refused = message(make(directory.path(), &Wishes::default()));
        assert!(refused.contains("thesis.tex"), "{refused}");
    }

    #[test]
    fn a_newer_or_broken_file_is_refused_by_name() {
        let directory = data();
        make(directory.path(), &Wishes::default()).unwrap();
        let file = directory.path().join("lab.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        for (change, word) in [
            (text.replace("format = 3", "format = 4"), "newer"),
            (text.replace("us-east-1", "nowhere-1"), "nowhere-1"),
            (format!("colour = 1\n{text}"), "colour"),
        ] {
            std::fs::write(&file, change).unwrap();
            let refused = message(make(directory.path(), &Wishes::default()));
            assert!(
                refused.contains("lab.toml") && refused.contains(word),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_file_of_the_first_format_is_read_and_written_anew() {
        let directory = data();
        make(directory.path(), &Wishes::default()).unwrap();
        let file = directory.path().join("lab.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let old: String = text
            .replace("format = 3", "format = 1")
            .lines()
            .filter(|line| !line.starts_with("dns_port") && !line.starts_with("app_port"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_ne!(old, text);
        std::fs::write(&file, old).unwrap();
        let found = Lab::find(directory.path(), None).unwrap().unwrap();
        assert_eq!(found.settings.dns_port, 5300);
        make(directory.path(), &Wishes::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn what_may_change_is_remembered() {
        let directory = data();
        let data = directory.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let wishes = Wishes {
            dns_port: Some(5400),
            app_port: Some(9000),
            health_interval: Some(HealthInterval::Milliseconds(200)),
            flow_log_interval: Some(2000),
            tail_limit: Some(64),
            health_targets: Some(vec!["10.0.0.0/8".to_owned()]),
            ipv6: Some(Ipv6Pool::Of("fd00:80::/64".parse().unwrap())),
            ..Wishes::default()
        };
        let first = make(&data, &wishes).unwrap();
        assert_eq!(first.app_address(SiteId(2)).to_string(), "127.1.2.1:9000");
        let second = make(&data, &Wishes::default()).unwrap().settings;
        assert_eq!(second.dns_port, 5400);
        assert_eq!(second.health_interval_milliseconds, Some(200));
        assert_eq!(second.flow_log_interval_milliseconds, Some(2000));
        assert_eq!(second.tail_limit_mib, Some(64));
        assert_eq!(second.health_targets, Some(vec!["10.0.0.0/8".to_owned()]));
        assert_eq!(second.ipv6.unwrap().to_string(), "fd00:80::/64");
        let edge = second.sites.last().unwrap();
        let dns = second.edge_dns(edge).unwrap();
        assert_eq!(dns.address.to_string(), "127.1.4.1:5400");
        assert_eq!(dns.relayed.to_string(), "127.1.4.1:15400");
        let wishes = Wishes {
            health_interval: Some(HealthInterval::AsConfigured),
            ipv6: Some(Ipv6Pool::Off),
            ..Wishes::default()
        };
        let third = make(&data, &wishes).unwrap().settings;
        assert_eq!(
            (third.health_interval_milliseconds, third.ipv6),
            (None, None)
        );
        std::fs::write(directory.path().join("empty.mmdb"), "").unwrap();
        for name in ["absent.mmdb", "empty.mmdb"] {
            let wishes = Wishes {
                geo_database: Some(directory.path().join(name)),
                ..Wishes::default()
            };
            let refused = message(make(&data, &wishes));
            assert!(refused.contains(name), "{refused}");
        }
        let wishes = Wishes {
            health_targets: Some(vec!["10.0.0.1/8".to_owned()]),
            ..Wishes::default()
        };
        let refused = message(make(&data, &wishes));
        assert!(refused.contains("'10.0.0.0/8' is meant"), "{refused}");
    }

    #[test]
    fn ports_that_meet_are_refused() {
        let directory = data();
        let wishes = Wishes {
            app_port: Some(4566),
            ..Wishes::default()
        };
        let settings = Lab::plan(directory.path(), &wishes, None).unwrap();
        assert!(settings.refuse_clashes(false).is_ok());
        let refused = settings.refuse_clashes(true).unwrap_err().to_string();
        let words = "--api-port and --app-port both lead to 127.1.1.1:4566";
        assert!(refused.starts_with(words), "{refused}");
    }

    #[test]
    fn a_plan_changes_nothing() {
        let directory = data();
        let absent = directory.path().join("absent");
        let wishes = Wishes {
            api_port: Some(60_000),
            ..Wishes::default()
        };
        let planned = Lab::plan(&absent, &wishes, None).unwrap();
        assert_eq!(planned.door_listens().port(), 60_000);
        // Three Regions with an API and a link, an edge with a link and two addresses for DNS, and
        // the lab's own for DNS.
        assert_eq!(planned.listening(false).len(), 10);
        // An application has each Region's own address and one a zone.
        assert_eq!(planned.listening(true).len(), 10 + 3 * 4);
        assert!(!absent.exists());
        let lab = make(directory.path(), &Wishes::default()).unwrap();
        Lab::plan(directory.path(), &wishes, None).unwrap();
        let found = Lab::find(directory.path(), None).unwrap().unwrap();
        assert_eq!(found.settings, lab.settings);
    }

    #[test]
    fn what_is_no_directory_is_refused_by_name() {
        let directory = data();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Lab::find(&file, None).unwrap().is_none());
        let planned = Lab::plan(&file, &Wishes::default(), None);
        let refused = Failure::from(planned.unwrap_err()).to_string();
        assert!(
            refused.contains("file is no directory; name a new"),
            "{refused}"
        );
    }

    #[test]
    fn a_region_named_twice_is_refused() {
        let directory = data();
        let us: Region = "us-east-1".parse().unwrap();
        for regions in [vec![us, us], vec![]] {
            let wishes = Wishes {
                regions: Some(regions),
                ..Wishes::default()
            };
            message(make(directory.path(), &wishes));
        }
    }

    fn key(digit: char) -> OperatorKey {
        let command = Some(format!("printf %064d 0 | tr 0 {digit}"));
        let source = KeySource {
            file: None,
            command,
        };
        source.given().unwrap().unwrap()
    }

    #[test]
    fn a_lab_opens_with_its_own_key_alone() {
        let directory = data();
        let (own, other) = (key('a'), key('b'));
        let (first, _) = make_with(directory.path(), &Wishes::default(), Some(&own)).unwrap();
        // Nobody made one beside it, and its file says nothing in the clear.
        let beside = directory.path().with_file_name("data.key");
        assert!(!beside.exists());
        let file = directory.path().join("credentials");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(first.root_key.secret().expose()));
        assert!(!text.contains(first.root_key.access_key_id()));
        let (second, _) = make_with(directory.path(), &Wishes::default(), Some(&own)).unwrap();
        assert_eq!(second.root_key, first.root_key);
        for given in [None, Some(&other)] {
            let word = if given.is_some() {
                "is not the one"
            } else {
                "is missing"
            };
            for refused in [
                make_with(directory.path(), &Wishes::default(), given).err(),
                Lab::find(directory.path(), given).err(),
            ] {
                let failure = Failure::from(refused.expect("it is refused"));
                assert_eq!(failure.code, crate::failure::ExitCode::WrongUse);
                assert!(failure.message.contains(word), "{failure}");
                assert!(failure.to_string().contains("isn't built"), "{failure}");
            }
        }
        assert!(!beside.exists());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn a_start_that_was_broken_off_keeps_its_key() {
        let directory = data();
        make_with(directory.path(), &Wishes::default(), Some(&key('a'))).unwrap();
        std::fs::remove_file(directory.path().join("lab.toml")).unwrap();
        let refused = make_with(directory.path(), &Wishes::default(), Some(&key('b'))).err();
        let failure = Failure::from(refused.expect("it is refused"));
        assert!(failure.message.contains("is not the one"), "{failure}");
        assert!(!directory.path().join("lab.toml").exists());
    }

    #[test]
    fn credentials_in_the_clear_are_read_and_sealed_once_the_regions_know_the_key() {
        let directory = data();
        let first = make(directory.path(), &Wishes::default()).unwrap();
        let file = directory.path().join("credentials");
        let clear = identity::write_credentials(&first.root_key);
        std::fs::write(&file, clear.as_bytes()).unwrap();
        std::fs::remove_file(directory.path().with_file_name("data.key")).unwrap();
        let found = Lab::find(directory.path(), None).unwrap().unwrap();
        assert_eq!(found.root_key, first.root_key);
        // A start that the Regions refuse because of its key leaves the file to the right one.
        let wrong = key('b');
        make_with(directory.path(), &Wishes::default(), Some(&wrong)).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), clear.as_str());
        let (again, key) = make_with(directory.path(), &Wishes::default(), None).unwrap();
        assert_eq!(again.root_key, first.root_key);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), clear.as_str());
        Lab::seal_credentials(directory.path(), &key).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains(first.root_key.secret().expose()));
        let found = Lab::find(directory.path(), None).unwrap().unwrap();
        assert_eq!(found.root_key, first.root_key);
    }

    #[test]
    fn damaged_credentials_are_refused_by_name() {
        let directory = data();
        make(directory.path(), &Wishes::default()).unwrap();
        let file = directory.path().join("credentials");
        let text = std::fs::read_to_string(&file).unwrap();
        for changed in [
            text.replace("sealed = A", "sealed = B"),
            text.replace("sealed = ", "sealed = !"),
            text.replace("sealed", "saeled"),
            text[..text.len() - 8].to_owned(),
        ] {
            assert_ne!(changed, text);
            std::fs::write(&file, changed).unwrap();
            let refused = message(make(directory.path(), &Wishes::default()));
            assert!(refused.contains("credentials"), "{refused}");
        }
    }
}
