//! How a server is told to run. What keeps it within its Region stands on its command line, which
//! no file and no user can change; a Region's and a user's own parameters in a file beside the
//! data, which a reload reads again. Files of settings within the data, which copies bring along,
//! are not read at all, but for `postgresql.auto.conf`, and the command line outranks that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;

use zeroize::Zeroizing;

use super::account::Account;
use super::error::PostgresError;
use super::files;
use super::home::{PORT, ServerHome, check_socket, check_way};
use super::model::{ServerSettings, Upstream};
use super::{bootstrap, text};

/// What every server has, whatever it is told.
const FIXED: &[(&str, &str)] = &[
    // Nothing on the host can walk round the link.
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    ("unix_socket_group", ""),
    ("ssl", "off"),
    ("bonjour", "off"),
    // What a standby needs, and what survives a power cut.
    ("wal_level", "replica"),
    ("wal_log_hints", "on"),
    ("hot_standby", "on"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("zero_damaged_pages", "off"),
    ("ignore_invalid_pages", "off"),
    ("ignore_checksum_failure", "off"),
    ("archive_mode", "off"),
    // No foreign code, no foreign catalogue.
    ("shared_preload_libraries", ""),
    ("dynamic_library_path", "$libdir"),
    ("allow_system_table_mods", "off"),
    ("external_pid_file", ""),
    // Its words come to a file of ours, and hold no statements: those may hold passwords.
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length_on_error", "0"),
    // What is killed leaves nothing outside of its directory.
    ("dynamic_shared_memory_type", "mmap"),
    ("min_dynamic_shared_memory", "0"),
    ("huge_pages", "off"),
    ("restart_after_crash", "on"),
];

/// What every server has unless it is told otherwise: small, quick to see that a peer is gone, and
/// bounded in what it keeps for a standby that is away.
const DEFAULTS: &[(&str, &str)] = &[
    ("autovacuum_naptime", "15s"),
    ("client_min_messages", "notice"),
    ("datestyle", "iso, mdy"),
    ("default_text_search_config", "pg_catalog.english"),
    ("lc_messages", "C"),
    ("lc_monetary", "C.UTF-8"),
    ("lc_numeric", "C.UTF-8"),
    ("lc_time", "C.UTF-8"),
    ("log_line_prefix", "%m [%p] %u@%d "),
    ("log_timezone", "UTC"),
    ("max_connections", "100"),
    ("max_logical_replication_workers", "0"),
    ("max_replication_slots", "20"),
    ("max_slot_wal_keep_size", "1GB"),
    ("max_wal_senders", "20"),
    ("max_wal_size", "256MB"),
    ("min_wal_size", "32MB"),
    ("password_encryption", "scram-sha-256"),
    ("shared_buffers", "16MB"),
    ("timezone", "UTC"),
    // What a rewind goes back to, and what follows from there.
    ("wal_keep_size", "64MB"),
    ("wal_receiver_status_interval", "1s"),
    ("wal_receiver_timeout", "5s"),
    ("wal_retrieve_retry_interval", "200ms"),
    ("wal_sender_timeout", "5s"),
];

/// Parameters that are this crate's to set, beside those that are fixed.
const OURS: &[&str] = &[
    "config_file",
    "cluster_name",
    "data_sync_retry",
    "exit_on_error",
    "include",
    "include_dir",
    "include_if_exists",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "session_authorization",
    "synchronous_standby_names",
    "role",
    "wal_consistency_checking",
];

/// How names of parameters end that reach outside of the server.
const OUTWARD_ENDS: &[&str] = &[
    "_command",
    "_libraries",
    "_library",
    "_provider",
    "_file",
    "_filename",
    "_directory",
    "_directories",
    "_path",
    "_program",
    "_target",
];

/// How others of them begin, and those that would have the log hold what may be a secret.
const OUTWARD_BEGINS: &[&str] = &[
    "recovery_target_",
    "debug_",
    "log_file_",
    "ssl_",
    "krb_",
    "syslog_",
];

/// Names that end so and are harmless.
const HARMLESS: &[&str] = &[
    "search_path",
    "default_statistics_target",
    "checkpoint_completion_target",
];

/// A standby replays only with at least what its upstream has of these (hot-standby: 27.4.3); each
/// with the words that `pg_controldata` has for it.
const AT_LEAST: &[(&str, &str)] = &[
    ("max_connections", "max_connections setting:"),
    ("max_worker_processes", "max_worker_processes setting:"),
    ("max_wal_senders", "max_wal_senders setting:"),
    ("max_prepared_transactions", "max_prepared_xacts setting:"),
    ("max_locks_per_transaction", "max_locks_per_xact setting:"),
];

/// Who may log in how. Every login is SCRAM, also over the socket: whoever carries connections to
/// it would carry anyone in. Our own roles reach our own database alone, and nobody else does.
const ADMISSION: &str = "\
# Written anew at every start.
local causeway    causeway_admin       scram-sha-256
local causeway    causeway_replication scram-sha-256
local causeway    all                  reject
local replication causeway_replication scram-sha-256
local replication all                  reject
local all         causeway_admin       reject
local all         causeway_replication reject
local all         all                  scram-sha-256
";

/// The file with the password of a server's upstream, which the server reads.
pub(super) const UPSTREAM: &str = "upstream";

/// The file with its own replication password, which a snapshot of it is made with.
pub(super) const OWN: &str = "own";

/// The files that a server reads at its start, written.
pub(super) fn write_files(
    home: &ServerHome,
    account: &Account,
    settings: &ServerSettings,
    control: &str,
) -> Result<(), PostgresError> {
    let parameters = parameters(home, settings, control)?;
    write(home, account, "pg_hba.conf", ADMISSION)?;
    write(home, account, "pg_ident.conf", "# Nobody.\n")?;
    if let Some(upstream) = &settings.upstream {
        check_upstream(upstream, account)?;
        write_password(home, account, UPSTREAM, &upstream.password)?;
    }
    write(home, account, "fresh.conf", &parameters)
}

/// Writes one of the files of passwords.
pub(super) fn write_password(
    home: &ServerHome,
    account: &Account,
    file: &str,
    password: &str,
) -> Result<(), PostgresError> {
    let password = text::password_field(password)?;
    let line = Zeroizing::new(format!("*:*:*:{}:{}\n", bootstrap::REPLICATION, *password));
    write(home, account, file, &line)
}

/// What was written as new settings is in force from the next start or reload on.
pub(super) fn take_fresh(home: &ServerHome) -> Result<(), PostgresError> {
    let (fresh, current) = (home.file("fresh.conf"), home.file("postgresql.conf"));
    let moved = std::fs::rename(fresh, &current);
    moved.map_err(PostgresError::io(format!(
        "can't write {}",
        current.display()
    )))
}

/// The arguments of `postgres` with that file of settings.
pub(super) fn arguments(home: &ServerHome, file: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), home.data_path().into()];
    let mut set = |name: &str, value: OsString| {
        let mut word = OsString::from(format!("{name}="));
        word.push(value);
        arguments.extend(["-c".into(), word]);
    };
    set("config_file", home.file(file).into());
    set("hba_file", home.file("pg_hba.conf").into());
    set("ident_file", home.file("pg_ident.conf").into());
    set("unix_socket_directories", home.socket_directory().into());
    for (name, value) in FIXED {
        set(name, (*value).into());
    }
    arguments
}

/// How the upstream is reached, with the name of the file that its password is in.
pub(super) fn conninfo(
    home: &ServerHome,
    upstream: &Upstream,
    passwords: &str,
) -> Result<String, PostgresError> {
    let of = |path: &std::path::Path| text::connection(&path.to_string_lossy());
    Ok(format!(
        "host={} port={PORT} user={} passfile={} application_name={} sslmode=disable \
         gssencmode=disable connect_timeout=5",
        of(&upstream.socket_directory)?,
        bootstrap::REPLICATION,
        of(&home.file(passwords))?,
        text::connection(text::application_name(&upstream.application_name)?)?,
    ))
}

/// The server's user can get to the upstream's socket, and its words are words.
pub(super) fn check_upstream(upstream: &Upstream, account: &Account) -> Result<(), PostgresError> {
    text::slot(&upstream.slot)?;
    text::application_name(&upstream.application_name)?;
    check_socket(&upstream.socket_directory)?;
    check_way(&upstream.socket_directory, account)
}

fn parameters(
    home: &ServerHome,
    settings: &ServerSettings,
    control: &str,
) -> Result<String, PostgresError> {
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in DEFAULTS {
        all.insert(name, (*value).to_owned());
    }
    for (name, value) in &settings.parameters {
        all.insert(allowed(name)?, value.clone());
    }
    for (name, words) in AT_LEAST {
        let upstreams = control.lines().find_map(|line| line.strip_prefix(words));
        let upstreams = upstreams.and_then(|count| count.trim().parse::<i64>().ok());
        let own = all.get(name).and_then(|count| count.parse::<i64>().ok());
        // Where neither says anything PostgreSQL's own default is the same on both sides.
        if let Some(upstreams) = upstreams
            && own.is_none_or(|own| own < upstreams)
        {
            all.insert(name, upstreams.to_string());
        }
    }
    if let Some(upstream) = &settings.upstream {
        // What a session reads that its endpoint has ended holds up nothing that is to be replayed.
        let checks = all.entry("client_connection_check_interval");
        checks.or_insert_with(|| "500ms".to_owned());
        all.insert("primary_conninfo", conninfo(home, upstream, UPSTREAM)?);
        all.insert("primary_slot_name", text::slot(&upstream.slot)?.to_owned());
    }
    let synchronous = settings
        .synchronous
        .as_deref()
        .map(synchronous)
        .transpose()?;
    all.insert("synchronous_standby_names", synchronous.unwrap_or_default());
    let mut file = String::from("# Written anew at every start and every change.\n");
    for (name, value) in &all {
        writeln!(file, "{name} = {}", text::setting(value)?).expect("a String takes everything");
    }
    Ok(file)
}

/// A list of that one standby, as `synchronous_standby_names` takes it.
fn synchronous(name: &str) -> Result<String, PostgresError> {
    let name = text::application_name(name)?.replace('"', "\"\"");
    Ok(format!("FIRST 1 (\"{name}\")"))
}

/// May a server here be told that parameter ([`ServerSettings::parameters`])? Those that hold it
/// within its Region, or reach outside of it, it may not.
pub fn is_settable(name: &str) -> bool {
    allowed(name).is_ok()
}

/// A parameter that others may set.
fn allowed(name: &str) -> Result<&str, PostgresError> {
    let name = text::parameter(name)?;
    let fixed = FIXED.iter().any(|(fixed, _)| *fixed == name) || OURS.contains(&name);
    let ends = OUTWARD_ENDS.iter().any(|end| name.ends_with(end)) && !HARMLESS.contains(&name);
    let outward = ends || OUTWARD_BEGINS.iter().any(|begin| name.starts_with(begin));
    let why = match () {
        () if fixed => "every server here has one value of it",
        () if outward => "it reaches outside of the server",
        () => return Ok(name),
    };
    Err(PostgresError::Refused {
        what: name.to_owned(),
        why,
    })
}

fn write(
    home: &ServerHome,
    account: &Account,
    name: &str,
    text: &str,
) -> Result<(), PostgresError> {
    let path = home.file(name);
    let written = files::replace(&path, text.as_bytes(), 0o600, Some(account));
    written.map_err(PostgresError::io(format!("can't write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> ServerSettings {
        let parameters = pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        ServerSettings {
            parameters: parameters.collect(),
            upstream: None,
            synchronous: None,
        }
    }

    #[test]
    fn parameters_are_a_line_each_whatever_is_in_them() {
        let home = ServerHome::new("/h".into());
        let told = settings(&[("work_mem", "8MB"), ("search_path", r#""$user", 'a\b'"#)]);
        let file = parameters(&home, &told, "").unwrap();
        assert!(file.contains("\nwork_mem = '8MB'\n"), "{file}");
        assert!(
            file.contains("\nsearch_path = '\"$user\", ''a\\\\b'''\n"),
            "{file}"
        );
        assert!(
            file.contains("\nmax_slot_wal_keep_size = '1GB'\n"),
            "{file}"
        );
        // A primary carries out what it was told, also for a client that is gone.
        assert!(!file.contains("client_connection_check_interval"));
        let broken = settings(&[("work_mem", "1'\nfsync = off")]);
        assert!(parameters(&home, &broken, "").is_err());
    }

    #[test]
    fn what_is_ours_or_reaches_outside_is_refused_by_name() {
        for name in [
            "listen_addresses",
            "archive_command",
            "restore_command",
            "ssl_passphrase_command",
            "session_preload_libraries",
            "local_preload_libraries",
            "jit_provider",
            "hba_file",
            "data_directory",
            "unix_socket_directories",
            "dynamic_library_path",
            "primary_conninfo",
            "recovery_target_time",
            "include",
            "log_filename",
            "log_file_mode",
            "debug_print_plan",
            "fsync",
            "Work_Mem",
            "a b",
        ] {
            let error = allowed(name).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        for name in [
            "work_mem",
            "search_path",
            "default_statistics_target",
            "log_statement",
            // Files, but none that it names.
            "log_temp_files",
            "temp_file_limit",
        ] {
            assert_eq!(allowed(name).unwrap(), name);
        }
    }

    #[test]
    fn a_standby_has_at_least_what_its_upstream_has() {
        let home = ServerHome::new("/h".into());
        let control = "max_connections setting:              250\n\
                       max_worker_processes setting:         8\n\
                       max_wal_senders setting:              4\n";
        let file = parameters(&home, &settings(&[("max_connections", "30")]), control).unwrap();
        assert!(file.contains("\nmax_connections = '250'\n"), "{file}");
        assert!(file.contains("\nmax_wal_senders = '20'\n"), "{file}");
        assert!(file.contains("\nmax_worker_processes = '8'\n"), "{file}");
    }

    #[test]
    fn a_commit_waits_for_the_one_standby_that_is_named_or_for_none() {
        let home = ServerHome::new("/h".into());
        let mut told = settings(&[]);
        let file = parameters(&home, &told, "").unwrap();
        assert!(
            file.contains("\nsynchronous_standby_names = ''\n"),
            "{file}"
        );
        told.synchronous = Some("db-A\"b".to_owned());
        let file = parameters(&home, &told, "").unwrap();
        let line = "\nsynchronous_standby_names = 'FIRST 1 (\"db-A\"\"b\")'\n";
        assert!(file.contains(line), "{file}");
        told.synchronous = Some(String::new());
        assert!(parameters(&home, &told, "").is_err());
        assert!(allowed("synchronous_standby_names").is_err());
    }

    #[test]
    fn no_password_stands_in_settings_or_arguments() {
        let home = ServerHome::new("/h".into());
        let upstream = Upstream {
            socket_directory: "/it's/run".into(),
            slot: "s".into(),
            password: Zeroizing::new("geheim".into()),
            application_name: "a 'b'".into(),
        };
        let told = ServerSettings {
            parameters: BTreeMap::new(),
            upstream: Some(upstream),
            synchronous: None,
        };
        let file = parameters(&home, &told, "").unwrap();
        assert!(file.contains(r"host=''/it\\''s/run'' port=5432"), "{file}");
        assert!(file.contains("\nclient_connection_check_interval = '500ms'\n"));
        let words = arguments(&home, "postgresql.conf");
        assert!(!file.contains("geheim"));
        assert!(
            words
                .iter()
                .all(|word| !word.to_string_lossy().contains("geheim"))
        );
        // Files of settings come first, what nobody may change after them.
        assert!(words.contains(&"listen_addresses=".into()));
    }
}
