//! `UpdateContinuousBackups`: point-in-time recovery stays off, and may be told to. Turning it on
//! is refused by name. (Terraform says "off" of every replica that it makes.)

use bytes::Bytes;
use serde::Deserialize;
use store::Engine;

use super::describe_continuous_backups::describe;
use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::Constraints;
use crate::settings::refuse_unbuilt;
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    point_in_time_recovery_specification: Option<Specification>,
}

/// `PointInTimeRecoverySpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    point_in_time_recovery_enabled: Option<bool>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            table: self.table_name.as_deref(),
            ..Subject::default()
        }
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let input = self;
        let specification = input.point_in_time_recovery_specification;
        let mut constraints = Constraints::default();
        constraints.table(input.table_name.as_deref());
        constraints.present("pointInTimeRecoverySpecification", specification.as_ref());
        let enabled = specification.and_then(|given| {
            constraints.present(
                "pointInTimeRecoverySpecification.pointInTimeRecoveryEnabled",
                given.point_in_time_recovery_enabled.as_ref(),
            );
            given.point_in_time_recovery_enabled
        });
        constraints.check()?;
        let description = describe(
            tables,
            allowed,
            input.table_name.as_deref().unwrap_or_default(),
        )?;
        refuse_unbuilt(&[(
            "PointInTimeRecoverySpecification with PointInTimeRecoveryEnabled",
            enabled == Some(true),
        )])?;
        Ok(description)
    }
}
