//! The database engine that instances run: the installed PostgreSQL, by its version. Which others
//! RDS has is known by name only.

/// The installed PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Engine {
    version: String,
    major: String,
}

/// The text is no version of PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no version of PostgreSQL, such as 15.14")]
pub struct InvalidVersion(pub String);

/// RDS's name of the engine.
pub const POSTGRES: &str = "postgres";

/// RDS's name of the engine of clusters: the same PostgreSQL here.
pub(crate) const AURORA: &str = "aurora-postgresql";

/// Engines that RDS has and that aren't built.
pub(crate) const OTHER_ENGINES: &[&str] = &[
    "aurora-mysql",
    "custom-oracle-ee",
    "custom-oracle-ee-cdb",
    "custom-oracle-se2",
    "custom-oracle-se2-cdb",
    "custom-sqlserver-ee",
    "custom-sqlserver-se",
    "custom-sqlserver-web",
    "custom-sqlserver-dev",
    "db2-ae",
    "db2-se",
    "mariadb",
    "mysql",
    "oracle-ee",
    "oracle-ee-cdb",
    "oracle-se2",
    "oracle-se2-cdb",
    "sqlserver-dev-ee",
    "sqlserver-ee",
    "sqlserver-ex",
    "sqlserver-se",
    "sqlserver-web",
];

impl Engine {
    /// The engine of that version: `15.14`. Since PostgreSQL 10 a version has two numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidVersion`].
    pub fn new(version: &str) -> Result<Engine, InvalidVersion> {
        let is_number = |part: &str| {
            (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let parts = version.split_once('.');
        match parts.filter(|(major, minor)| is_number(major) && is_number(minor)) {
            Some((major, _)) => Ok(Engine {
                version: version.to_owned(),
                major: major.to_owned(),
            }),
            None => Err(InvalidVersion(version.to_owned())),
        }
    }

    /// Its version: `15.14`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its major version: `15`.
    pub fn major(&self) -> &str {
        &self.major
    }

    /// The family of its parameter groups: `postgres15`.
    pub fn family(&self) -> String {
        format!("{POSTGRES}{}", self.major)
    }

    /// The parameter group of those who name none: `default.postgres15`.
    pub fn default_parameter_group(&self) -> String {
        format!("default.{}", self.family())
    }

    /// The family of clusters' parameter groups: `aurora-postgresql15`.
    pub fn cluster_family(&self) -> String {
        format!("{AURORA}{}", self.major)
    }

    /// The option group of those who name none: `default:postgres-15`.
    pub fn default_option_group(&self) -> String {
        format!("default:{POSTGRES}-{}", self.major)
    }

    /// Is it what an `EngineVersion` asks for? `15` asks for any of that major version.
    pub fn is(&self, asked: &str) -> bool {
        asked == self.version || asked == self.major
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_numbers() {
        let engine = Engine::new("15.14").unwrap();
        assert_eq!((engine.version(), engine.major()), ("15.14", "15"));
        assert_eq!(engine.default_parameter_group(), "default.postgres15");
        assert_eq!(engine.default_option_group(), "default:postgres-15");
        assert!(engine.is("15") && engine.is("15.14"));
        assert!(!engine.is("15.1") && !engine.is("16") && !engine.is(""));
        for text in ["", "15", "15.", "a.1", "15.14.1", "15.14 (Debian)"] {
            assert!(Engine::new(text).is_err(), "{text}");
        }
    }
}
