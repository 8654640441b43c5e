//! PostgreSQL's settings as DB parameter groups know them: which can be set, to what, and from when
//! it is in force; and the settings that an instance's server is to have. What reaches the host,
//! weakens durability, or bears replication can't be set; formulas aren't built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::classes;
use crate::model::{Applied, Instance, ParameterGroup, Parameters};
use crate::words::words;

/// The table; its source line stands at its head.
const TABLE: &str = include_str!("../../../data/postgresql-settings.csv");

/// The longest text that a parameter is set to.
const MAX_TEXT: usize = 256;

/// Settings of which PostgreSQL demands at least the primary's value of a standby (documentation,
/// "Hot Standby", "Administrator's Overview"), with their defaults.
const FLOORS: &[(&str, u64)] = &[
    ("max_connections", 100),
    ("max_locks_per_transaction", 64),
    ("max_prepared_transactions", 0),
    ("max_worker_processes", 8),
];

/// How far behind, in seconds, every secondary of a global cluster may be before commits wait:
/// 20 to 2,147,483,647, or -1 for ever (Aurora User Guide, "Managing RPOs for Aurora
/// PostgreSQL-based global databases").
pub const GLOBAL_DB_RPO: &str = "rds.global_db_rpo";

/// The consistency mode of sessions that forward writes and set none themselves.
pub(crate) const CONSISTENCY: &str = "apg_write_forward.consistency_mode";

/// How long reaching the writer may take, in seconds; 0: for ever.
pub(crate) const CONNECT_TIMEOUT: &str = "apg_write_forward.connect_timeout";

/// How long a session at the writer may be idle within a transaction, in milliseconds; 0: for ever.
pub(crate) const IDLE_IN_TRANSACTION_TIMEOUT: &str =
    "apg_write_forward.idle_in_transaction_session_timeout";

/// How long a session at the writer may be idle, in milliseconds; 0: for ever.
pub(crate) const IDLE_TIMEOUT: &str = "apg_write_forward.idle_session_timeout";

words! {
    /// From when a setting can be in force.
    pub enum Apply {
        /// It can be changed while the server runs.
        Dynamic = "dynamic",
        /// It is read when the server starts.
        Static = "static",
    }
}

words! {
    /// What a setting's values are, as RDS calls it.
    pub enum DataType {
        /// `0` or `1`.
        Boolean = "boolean",
        /// A number with a fraction.
        Float = "float",
        /// A whole number, in the setting's own unit.
        Integer = "integer",
        /// A text, perhaps one of a few.
        String = "string",
    }
}

/// A setting.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Its name, in small letters.
    pub name: String,
    /// Can a parameter group set it?
    pub is_modifiable: bool,
    /// From when.
    pub apply: Apply,
    /// What its values are.
    pub data_type: DataType,
    /// Which values it can have: `0..10`, `on|off`, `-1|20..30`, or nothing if any text will do.
    values: &'static str,
    /// What it does, as PostgreSQL says.
    pub description: &'static str,
}

static PARAMETERS: LazyLock<BTreeMap<String, Parameter>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let read = lines.map(|line| {
        let mut cells = line.splitn(6, ',');
        let mut next = || cells.next().expect("the shipped table has six columns");
        let name = next().to_owned();
        let parameter = Parameter {
            name: name.clone(),
            is_modifiable: next() == "yes",
            apply: Apply::of_name(next()).expect("the shipped table has two ways of applying"),
            data_type: DataType::of_name(next()).expect("the shipped table has four types"),
            values: next(),
            description: next(),
        };
        (name, parameter)
    });
    read.collect()
});

/// The names of those that are read when a server starts.
static STATIC: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let read = all().filter(|parameter| parameter.apply == Apply::Static);
    read.map(|parameter| parameter.name.clone()).collect()
});

/// Every setting, in the order of their names.
pub fn all() -> impl Iterator<Item = &'static Parameter> {
    PARAMETERS.values()
}

/// The parameters of a cluster's own parameter group, in the order of their names. What PostgreSQL
/// is set to stands in its instances' groups.
pub fn of_clusters() -> impl Iterator<Item = &'static Parameter> {
    OF_CLUSTERS.iter()
}

/// In the order of their names; those of write forwarding as in the Aurora User Guide, "Using write
/// forwarding in an Aurora PostgreSQL global database".
static OF_CLUSTERS: LazyLock<Vec<Parameter>> = LazyLock::new(|| {
    let of_cluster = |name: &str, data_type, values, description| Parameter {
        name: name.to_owned(),
        is_modifiable: true,
        apply: Apply::Dynamic,
        data_type,
        values,
        description,
    };
    let span =
        |name, description| of_cluster(name, DataType::Integer, "0..2147483647", description);
    vec![
        of_cluster(
            CONSISTENCY,
            DataType::String,
            "SESSION|EVENTUAL|GLOBAL|OFF",
            "Sets the consistency of reads in sessions that forward writes.",
        ),
        span(
            CONNECT_TIMEOUT,
            "Sets the maximum wait in seconds for a connection to the primary; 0 disables it.",
        ),
        span(
            IDLE_IN_TRANSACTION_TIMEOUT,
            "Sets the maximum idle time in milliseconds of a forwarded session within a \
             transaction; 0 disables it.",
        ),
        span(
            IDLE_TIMEOUT,
            "Sets the maximum idle time in milliseconds of a forwarded session; 0 disables it.",
        ),
        of_cluster(
            GLOBAL_DB_RPO,
            DataType::Integer,
            "-1|20..2147483647",
            "Recovery point objective threshold in seconds that blocks commits when every \
             secondary cluster's lag exceeds it.",
        ),
    ]
});

/// The setting of that name, in any letters.
pub fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.get(&name.to_ascii_lowercase())
}

impl Parameter {
    /// What one of write forwarding is where no group says otherwise.
    pub(crate) fn default(&self) -> Option<&'static str> {
        match self.name.as_str() {
            CONSISTENCY => Some("SESSION"),
            CONNECT_TIMEOUT => Some("30"),
            IDLE_IN_TRANSACTION_TIMEOUT => Some("86400000"),
            IDLE_TIMEOUT => Some("300000"),
            _ => None,
        }
    }

    /// Its values as RDS lists them: `0-10` or `on,off`.
    pub fn allowed(&self) -> Option<String> {
        let text = self.values.replace("..", "-").replace('|', ",");
        (!text.is_empty()).then_some(text)
    }

    /// Can it have that value? PostgreSQL takes it as it is, so no other spelling will do.
    pub fn takes(&self, value: &str) -> bool {
        if let Some((off, range)) = self.values.split_once('|')
            && let Some((least, most)) = range.split_once("..")
        {
            return value == off || is_within::<u64>(value, least, most);
        }
        match (self.data_type, self.values.split_once("..")) {
            (DataType::Integer, Some((least, most))) => is_within::<i64>(value, least, most),
            (DataType::Float, Some((least, most))) => {
                is_within::<f64>(value, least, most) && value.len() <= MAX_TEXT
            }
            _ if self.values.is_empty() => {
                let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
                value.len() <= MAX_TEXT && value.bytes().all(is_plain)
            }
            _ => self.values.split('|').any(|one| one == value),
        }
    }
}

fn is_within<T: std::str::FromStr + PartialOrd>(value: &str, least: &str, most: &str) -> bool {
    let is_plain = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"-.e+".contains(&byte));
    let is_plain = is_plain && !value.starts_with('+');
    let number = |text: &str| text.parse::<T>().ok();
    match (
        number(value).filter(|_| is_plain),
        number(least),
        number(most),
    ) {
        (Some(value), Some(least), Some(most)) => least <= value && value <= most,
        _ => false,
    }
}

/// The settings of an instance's server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InstanceParameters {
    /// Their values.
    pub values: Parameters,
    /// The names of those that it takes when it starts, not before.
    pub at_restart: BTreeSet<String>,
}

/// The settings that an instance's server is to have: those of its class, those of its parameter
/// group, and of a replica never less than PostgreSQL demands. What is the same for every server,
/// whoever starts it knows.
pub fn of_instance(instance: &Instance, group: Option<&ParameterGroup>) -> InstanceParameters {
    let mut values = classes::parameters(&instance.class);
    let mut at_restart = STATIC.clone();
    let set = group.into_iter().flat_map(|group| &group.parameters);
    for (name, (value, applied)) in set {
        // What an older program let in and this one doesn't is not given to a server.
        if !find(name).is_some_and(|known| known.is_modifiable && known.takes(value)) {
            continue;
        }
        values.insert(name.clone(), value.clone());
        if *applied == Applied::PendingReboot {
            at_restart.insert(name.clone());
        }
    }
    if let Some(source) = &instance.source {
        raise(&mut values, &source.floors);
    }
    InstanceParameters { values, at_restart }
}

/// Raises those that are less than a standby's may be.
pub(crate) fn raise(values: &mut Parameters, floors: &BTreeMap<String, u64>) {
    for (name, least) in floors {
        let is_less = values
            .get(name)
            .and_then(|value| value.parse::<u64>().ok())
            .is_none_or(|value| value < *least);
        if is_less {
            values.insert(name.clone(), least.to_string());
        }
    }
}

/// The least values that a standby of a server with those settings may have.
pub(crate) fn floors(of: &Parameters) -> BTreeMap<String, u64> {
    let floor = |(name, default): &(&str, u64)| {
        let value = of.get(*name).and_then(|value| value.parse().ok());
        ((*name).to_owned(), value.unwrap_or(*default))
    };
    FLOORS.iter().map(floor).collect()
}

/// Those of the least values that another Region says of a source which can be such: others are
/// left out, for nobody sets anything else of a replica from there.
pub(crate) fn real_floors(told: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let is_real = |(name, value): &(String, u64)| {
        let is_floor = FLOORS.iter().any(|(floor, _)| floor == name);
        is_floor && find(name).is_some_and(|known| known.takes(&value.to_string()))
    };
    told.into_iter().filter(is_real).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        assert_eq!(all().count(), 307);
        assert_eq!(all().filter(|it| it.is_modifiable).count(), 183);
        for parameter in all().filter(|it| it.is_modifiable) {
            let name = &parameter.name;
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            let (least, most) = parameter.values.split_once("..").unwrap_or_default();
            assert_eq!(
                parameter.takes(least),
                !least.is_empty() || parameter.allowed().is_none()
            );
            assert!(least.is_empty() || parameter.takes(most), "{name}");
        }
        assert!(find("TimeZone").is_some() && find("no_such").is_none());
    }

    #[test]
    fn nothing_that_reaches_the_host_or_bears_replication_can_be_set() {
        let ends = [
            "_command",
            "_library",
            "_libraries",
            "_file",
            "_directory",
            "_directories",
            "_path",
            "_provider",
            "_conninfo",
        ];
        let begins = [
            "primary_",
            "recovery_",
            "archive_",
            "ssl",
            "unix_",
            "listen_",
            "syslog",
            "krb_",
            "wal_level",
            "wal_sender",
            "wal_receiver",
            "wal_log",
            "fsync",
            "full_page",
            "synchronous_standby",
            "max_wal_senders",
            "max_replication",
            "password_encryption",
            "standard_conforming",
            "superuser_",
        ];
        for parameter in all().filter(|it| it.is_modifiable) {
            let name = parameter.name.as_str();
            let is_dangerous = ends.iter().any(|end| name.ends_with(end))
                || begins.iter().any(|begin| name.starts_with(begin))
                || ["port", "hot_standby"].contains(&name);
            assert!(!is_dangerous || name == "search_path", "{name}");
        }
    }

    #[test]
    fn a_recovery_point_objective_is_off_or_twenty_seconds_at_least() {
        let rpo = of_clusters().find(|it| it.name == GLOBAL_DB_RPO).unwrap();
        for value in ["-1", "20", "2147483647"] {
            assert!(rpo.takes(value), "{value}");
        }
        for value in [
            "",
            "0",
            "19",
            "-2",
            "-20",
            "2147483648",
            "20.5",
            "+20",
            "on",
            "-1|20",
        ] {
            assert!(!rpo.takes(value), "{value}");
        }
        assert_eq!(rpo.allowed().as_deref(), Some("-1,20-2147483647"));
    }

    #[test]
    fn values_are_taken_by_type_and_range() {
        let takes = |name: &str, value: &str| find(name).unwrap().takes(value);
        for (name, value) in [
            ("autovacuum", "1"),
            ("work_mem", "64"),
            ("log_min_duration_statement", "-1"),
            ("random_page_cost", "1.1"),
            ("log_statement", "ddl"),
            ("search_path", "\"$user\", public"),
        ] {
            assert!(takes(name, value), "{name} {value}");
        }
        for (name, value) in [
            ("autovacuum", "on"),
            ("work_mem", "63"),
            ("work_mem", "64MB"),
            ("work_mem", ""),
            ("work_mem", "+64"),
            ("work_mem", "{DBInstanceClassMemory/32768}"),
            ("random_page_cost", "-1"),
            ("random_page_cost", "nan"),
            ("random_page_cost", "inf"),
            ("log_statement", "DDL"),
            ("search_path", "a\nb"),
        ] {
            assert!(!takes(name, value), "{name} {value}");
        }
    }
}
