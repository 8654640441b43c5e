//! Keys and indexes as `CreateTable` brings them: the request's shapes, the service's
//! cross-checks in its words, and the schema they make.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::request::Constraints;
use crate::table::{
    Index, IndexId, IndexKind, IndexProjection, KeyAttribute, KeySchema, ScalarType, Throughput,
};
use crate::{TablesError, limits};

/// `AttributeDefinition`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeDefinition {
    attribute_name: Option<String>,
    attribute_type: Option<String>,
}

/// `KeySchemaElement`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeySchemaElement {
    attribute_name: Option<String>,
    key_type: Option<String>,
}

/// `Projection`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProjectionInput {
    projection_type: Option<String>,
    non_key_attributes: Option<Vec<String>>,
}

/// `ProvisionedThroughput`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ThroughputInput {
    read_capacity_units: Option<i64>,
    write_capacity_units: Option<i64>,
}

/// `GlobalSecondaryIndex` and `LocalSecondaryIndex`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct IndexInput {
    index_name: Option<String>,
    key_schema: Option<Vec<KeySchemaElement>>,
    projection: Option<ProjectionInput>,
    provisioned_throughput: Option<ThroughputInput>,
}

/// The parts of a request that make a schema. Judged once `constrain` found no fault.
pub(crate) struct SchemaInput<'a> {
    pub(crate) attributes: &'a Option<Vec<AttributeDefinition>>,
    pub(crate) keys: &'a Option<Vec<KeySchemaElement>>,
    pub(crate) local: &'a Option<Vec<IndexInput>>,
    pub(crate) global: &'a Option<Vec<IndexInput>>,
    /// Is the table paid per request?
    pub(crate) on_demand: bool,
}

/// What they make.
pub(crate) struct Schema {
    pub(crate) attributes: Vec<KeyAttribute>,
    pub(crate) keys: KeySchema,
    pub(crate) indexes: Vec<Index>,
}

impl ThroughputInput {
    pub(crate) fn constrain(&self, at: &str, constraints: &mut Constraints) {
        for (name, units) in [
            ("readCapacityUnits", self.read_capacity_units),
            ("writeCapacityUnits", self.write_capacity_units),
        ] {
            let at = format!("{at}.{name}");
            constraints.present(&at, units.as_ref());
            constraints.range(&at, units, 1, i64::MAX);
        }
    }

    /// The capacity, once `constrain` found no fault.
    pub(crate) fn judge(&self) -> Result<Throughput, TablesError> {
        Ok(Throughput {
            read: units("ReadCapacityUnits", self.read_capacity_units)?,
            write: units("WriteCapacityUnits", self.write_capacity_units)?,
        })
    }
}

fn units(name: &str, value: Option<i64>) -> Result<u64, TablesError> {
    let value = value.unwrap_or_default();
    if value > limits::THROUGHPUT {
        return Err(TablesError::Validation(format!(
            "Given value {value} for {name} is out of bounds"
        )));
    }
    u64::try_from(value).map_err(|_| {
        TablesError::Validation(format!("Given value {value} for {name} is out of bounds"))
    })
}

impl SchemaInput<'_> {
    /// Lists the constraints of the model that these parts fail.
    pub(crate) fn constrain(&self, constraints: &mut Constraints) {
        constraints.present("attributeDefinitions", self.attributes.as_ref());
        for (index, definition) in self.attributes.iter().flatten().enumerate() {
            let at = format!("attributeDefinitions.{}.member", index + 1);
            constrain_name(constraints, &at, definition.attribute_name.as_deref());
            let (at, kind) = (
                format!("{at}.attributeType"),
                definition.attribute_type.as_deref(),
            );
            constraints.present(&at, kind.as_ref());
            constraints.one_of(&at, kind, &["B", "N", "S"]);
        }
        constrain_keys(constraints, "keySchema", self.keys.as_deref());
        for (list, indexes) in [
            ("localSecondaryIndexes", self.local),
            ("globalSecondaryIndexes", self.global),
        ] {
            for (number, index) in indexes.iter().flatten().enumerate() {
                index.constrain(constraints, &format!("{list}.{}.member", number + 1));
            }
        }
    }

    /// The schema, or the first of the service's cross-checks that fails.
    pub(crate) fn judge(&self) -> Result<Schema, TablesError> {
        let attributes = self.definitions()?;
        let keys = judge_keys(self.keys.as_deref().unwrap_or_default(), &attributes)?;
        let mut indexes = Vec::new();
        let mut names = BTreeSet::new();
        let lists = [
            (IndexKind::Local, self.local),
            (IndexKind::Global, self.global),
        ];
        for (kind, list) in lists {
            let Some(list) = list else { continue };
            check_list(kind, list, &keys)?;
            for input in list {
                let index = self.judge_index(kind, input, &attributes, &keys, indexes.len())?;
                if !names.insert(index.name.clone()) {
                    let name = index.name;
                    return Err(TablesError::invalid(format!(
                        "Duplicate index name: {name}"
                    )));
                }
                indexes.push(index);
            }
        }
        check_included(&indexes)?;
        check_used(&attributes, &keys, &indexes)?;
        Ok(Schema {
            attributes,
            keys,
            indexes,
        })
    }

    fn definitions(&self) -> Result<Vec<KeyAttribute>, TablesError> {
        let mut attributes: Vec<KeyAttribute> = Vec::new();
        for definition in self.attributes.iter().flatten() {
            let name = definition.attribute_name.clone().unwrap_or_default();
            let kind = match definition.attribute_type.as_deref() {
                Some("S") => ScalarType::String,
                Some("N") => ScalarType::Number,
                _ => ScalarType::Binary,
            };
            if attributes.iter().any(|other| other.name == name) {
                return Err(TablesError::invalid(format!(
                    "Duplicate AttributeName in AttributeDefinitions: {name}"
                )));
            }
            attributes.push(KeyAttribute { name, kind });
        }
        Ok(attributes)
    }

    fn judge_index(
        &self,
        kind: IndexKind,
        input: &IndexInput,
        attributes: &[KeyAttribute],
        table: &KeySchema,
        position: usize,
    ) -> Result<Index, TablesError> {
        let name = input.index_name.clone().unwrap_or_default();
        let schema = judge_keys(input.key_schema.as_deref().unwrap_or_default(), attributes)?;
        if kind == IndexKind::Local {
            check_local(&name, &schema, table)?;
        }
        let throughput = match &input.provisioned_throughput {
            Some(_) if self.on_demand => {
                return Err(TablesError::invalid(format!(
                    "ProvisionedThroughput should not be specified for index: {name} when \
                     BillingMode is PAY_PER_REQUEST"
                )));
            }
            None if !self.on_demand && kind == IndexKind::Global => {
                return Err(TablesError::invalid(format!(
                    "ProvisionedThroughput is not specified for index: {name}"
                )));
            }
            given => given.as_ref().map(ThroughputInput::judge).transpose()?,
        };
        Ok(Index {
            id: IndexId(u32::try_from(position + 1).expect("at most 25 indexes")),
            projection: judge_projection(input.projection.as_ref())?,
            name,
            kind,
            schema,
            throughput,
        })
    }
}

impl IndexInput {
    fn constrain(&self, constraints: &mut Constraints, at: &str) {
        constraints.name(&format!("{at}.indexName"), self.index_name.as_deref());
        constrain_keys(
            constraints,
            &format!("{at}.keySchema"),
            self.key_schema.as_deref(),
        );
        let projection_at = format!("{at}.projection");
        constraints.present(&projection_at, self.projection.as_ref());
        if let Some(projection) = &self.projection {
            constraints.one_of(
                &format!("{projection_at}.projectionType"),
                projection.projection_type.as_deref(),
                &["ALL", "INCLUDE", "KEYS_ONLY"],
            );
            if let Some(names) = &projection.non_key_attributes {
                constraints.length(
                    &format!("{projection_at}.nonKeyAttributes"),
                    format!("[{}]", names.join(", ")),
                    names.len(),
                    1,
                    limits::INCLUDED_ATTRIBUTES as usize,
                );
            }
        }
        if let Some(throughput) = &self.provisioned_throughput {
            throughput.constrain(&format!("{at}.provisionedThroughput"), constraints);
        }
    }
}

fn constrain_name(constraints: &mut Constraints, at: &str, name: Option<&str>) {
    let at = format!("{at}.attributeName");
    constraints.present(&at, name.as_ref());
    if let Some(name) = name {
        constraints.length(&at, name, name.len(), 1, 255);
    }
}

fn constrain_keys(constraints: &mut Constraints, at: &str, keys: Option<&[KeySchemaElement]>) {
    constraints.present(at, keys.as_ref());
    let Some(keys) = keys else { return };
    let shown = keys.iter().map(|key| {
        let (name, kind) = (key.attribute_name.as_deref(), key.key_type.as_deref());
        let (name, kind) = (name.unwrap_or("null"), kind.unwrap_or("null"));
        format!("KeySchemaElement(attributeName={name}, keyType={kind})")
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    constraints.length(at, format!("[{shown}]"), keys.len(), 1, 2);
    for (index, key) in keys.iter().enumerate() {
        let at = format!("{at}.{}.member", index + 1);
        constrain_name(constraints, &at, key.attribute_name.as_deref());
        let (at, kind) = (format!("{at}.keyType"), key.key_type.as_deref());
        constraints.present(&at, kind.as_ref());
        constraints.one_of(&at, kind, &["HASH", "RANGE"]);
    }
}

fn judge_keys(
    keys: &[KeySchemaElement],
    attributes: &[KeyAttribute],
) -> Result<KeySchema, TablesError> {
    let name = |key: &KeySchemaElement| key.attribute_name.clone().unwrap_or_default();
    let names: Vec<String> = keys.iter().map(name).collect();
    let find = |name: &String| attributes.iter().find(|a| a.name == *name).cloned();
    let kind = |index: usize| keys.get(index).and_then(|key| key.key_type.as_deref());
    if kind(0) != Some("HASH") {
        return Err(TablesError::validation(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ));
    }
    if keys.len() > 1 && kind(1) != Some("RANGE") {
        return Err(TablesError::validation(
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ));
    }
    if names.len() > 1 && names[0] == names[1] {
        return Err(TablesError::validation(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    let mut found = names.iter().map(find);
    let undefined = || {
        let defined = attributes.iter().map(|a| a.name.as_str());
        let defined = defined.collect::<Vec<_>>().join(", ");
        TablesError::invalid(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
             AttributeDefinitions: [{defined}]",
            names.join(", ")
        ))
    };
    let partition = found.next().flatten().ok_or_else(undefined)?;
    let sort = match found.next() {
        None => None,
        Some(attribute) => Some(attribute.ok_or_else(undefined)?),
    };
    Ok(KeySchema { partition, sort })
}

fn check_list(kind: IndexKind, list: &[IndexInput], table: &KeySchema) -> Result<(), TablesError> {
    let (name, most) = match kind {
        IndexKind::Local => ("LocalSecondaryIndexes", limits::LOCAL_INDEXES),
        IndexKind::Global => ("GlobalSecondaryIndexes", limits::GLOBAL_INDEXES),
    };
    if list.is_empty() {
        return Err(TablesError::invalid(format!("List of {name} is empty")));
    }
    if kind == IndexKind::Local && table.sort.is_none() {
        return Err(TablesError::invalid(
            "Table KeySchema does not have a range key, which is required when specifying a \
             LocalSecondaryIndex",
        ));
    }
    if list.len() > most {
        return Err(TablesError::invalid(match kind {
            IndexKind::Local => {
                format!("Number of LocalSecondaryIndexes exceeds per-table limit of {most}")
            }
            IndexKind::Global => {
                format!("GlobalSecondaryIndex count exceeds the per-table limit of {most}")
            }
        }));
    }
    Ok(())
}

fn check_local(name: &str, schema: &KeySchema, table: &KeySchema) -> Result<(), TablesError> {
    if schema.sort.is_none() {
        return Err(TablesError::invalid(format!(
            "Index KeySchema does not have a range key for index: {name}"
        )));
    }
    if schema.partition != table.partition {
        return Err(TablesError::invalid(format!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for \
             index: {name}. index hash key: {}, table hash key: {}",
            schema.partition.name, table.partition.name
        )));
    }
    Ok(())
}

fn judge_projection(input: Option<&ProjectionInput>) -> Result<IndexProjection, TablesError> {
    let kind = input.and_then(|input| input.projection_type.as_deref());
    let names = input.and_then(|input| input.non_key_attributes.clone());
    let refuse_names = |projection, kind: &str| match names {
        None => Ok(projection),
        Some(_) => Err(TablesError::invalid(format!(
            "ProjectionType is {kind}, but NonKeyAttributes is specified"
        ))),
    };
    match kind {
        Some(kind @ "ALL") => refuse_names(IndexProjection::All, kind),
        Some(kind @ "KEYS_ONLY") => refuse_names(IndexProjection::KeysOnly, kind),
        Some("INCLUDE") => names.map(IndexProjection::Include).ok_or_else(|| {
            TablesError::invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        }),
        _ => Err(TablesError::invalid("Unknown ProjectionType: null")),
    }
}

fn check_included(indexes: &[Index]) -> Result<(), TablesError> {
    let included = indexes.iter().map(|index| match &index.projection {
        IndexProjection::Include(names) => names.len(),
        IndexProjection::All | IndexProjection::KeysOnly => 0,
    });
    if included.sum::<usize>() > limits::PROJECTED_ATTRIBUTES {
        return Err(TablesError::invalid(format!(
            "The total number of projected attributes across all indexes exceeds the limit of {}",
            limits::PROJECTED_ATTRIBUTES
        )));
    }
    Ok(())
}

/// Every attribute that is defined must be part of a key.
fn check_used(
    attributes: &[KeyAttribute],
    keys: &KeySchema,
    indexes: &[Index],
) -> Result<(), TablesError> {
    let schemas = std::iter::once(keys).chain(indexes.iter().map(|index| &index.schema));
    let mut used: Vec<&str> = Vec::new();
    for attribute in schemas.flat_map(KeySchema::attributes) {
        if !used.contains(&attribute.name.as_str()) {
            used.push(&attribute.name);
        }
    }
    if attributes.len() <= used.len() {
        return Ok(());
    }
    if indexes.is_empty() {
        return Err(TablesError::invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes \
             defined in AttributeDefinitions",
        ));
    }
    let defined: Vec<&str> = attributes.iter().map(|a| a.name.as_str()).collect();
    Err(TablesError::invalid(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        defined.join(", "),
        used.join(", ")
    )))
}
