//! DB instance classes: which RDS offers for PostgreSQL, and what follows from one here. A class
//! decides how many connections there may be, as at RDS, and how much memory for buffers, far less
//! than at RDS, since many instances share one machine. What all of them may take together is
//! `memory`'s.

use crate::model::Parameters;

/// A class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its memory in GiB.
    pub(crate) memory: u64,
}

const fn class(name: &'static str, memory: u64) -> Class {
    Class { name, memory }
}

/// RDS User Guide, "Hardware specifications for DB instance classes".
pub(crate) const CLASSES: &[Class] = &[
    class("db.t3.micro", 1),
    class("db.t3.small", 2),
    class("db.t3.medium", 4),
    class("db.t3.large", 8),
    class("db.t3.xlarge", 16),
    class("db.t3.2xlarge", 32),
    class("db.t4g.micro", 1),
    class("db.t4g.small", 2),
    class("db.t4g.medium", 4),
    class("db.t4g.large", 8),
    class("db.t4g.xlarge", 16),
    class("db.t4g.2xlarge", 32),
    class("db.m5.large", 8),
    class("db.m5.xlarge", 16),
    class("db.m5.2xlarge", 32),
    class("db.m5.4xlarge", 64),
    class("db.m6g.large", 8),
    class("db.m6g.xlarge", 16),
    class("db.m6g.2xlarge", 32),
    class("db.m6g.4xlarge", 64),
    class("db.m6i.large", 8),
    class("db.m6i.xlarge", 16),
    class("db.m6i.2xlarge", 32),
    class("db.m6i.4xlarge", 64),
    class("db.m7g.large", 8),
    class("db.m7g.xlarge", 16),
    class("db.m7g.2xlarge", 32),
    class("db.m7g.4xlarge", 64),
    class("db.r5.large", 16),
    class("db.r5.xlarge", 32),
    class("db.r5.2xlarge", 64),
    class("db.r5.4xlarge", 128),
    class("db.r6g.large", 16),
    class("db.r6g.xlarge", 32),
    class("db.r6g.2xlarge", 64),
    class("db.r6g.4xlarge", 128),
    class("db.r6i.large", 16),
    class("db.r6i.xlarge", 32),
    class("db.r6i.2xlarge", 64),
    class("db.r6i.4xlarge", 128),
    class("db.r7g.large", 16),
    class("db.r7g.xlarge", 32),
    class("db.r7g.2xlarge", 64),
    class("db.r7g.4xlarge", 128),
];

/// Bytes of memory for each connection: RDS's default of `max_connections` is
/// `LEAST({DBInstanceClassMemory/9531392},5000)`.
const MEMORY_OF_A_CONNECTION: u64 = 9_531_392;

/// The most connections that a class gives.
const MAX_CONNECTIONS: u64 = 5000;

/// Bytes of a block.
const BLOCK: u64 = 8192;

/// Buffers of a class, in blocks of 8 KiB, for each GiB: 16 MiB.
const BLOCKS_OF_A_GIB: u64 = 2048;

/// The most buffers that a class gives, in blocks of 8 KiB: 256 MiB.
const MAX_BLOCKS: u64 = 32_768;

/// The class of that name.
pub(crate) fn find(name: &str) -> Option<Class> {
    CLASSES.iter().copied().find(|class| class.name == name)
}

/// Its memory in GiB; of one that isn't known any more, that of the smallest.
fn memory(class: &str) -> u64 {
    find(class).map_or(1, |class| class.memory)
}

fn blocks(class: &str) -> u64 {
    (memory(class) * BLOCKS_OF_A_GIB).min(MAX_BLOCKS)
}

/// The bytes of buffers that a class gives.
pub(crate) fn buffers(class: &str) -> u64 {
    blocks(class) * BLOCK
}

/// The settings that follow from a class; of one that isn't known any more, those of the smallest.
pub(crate) fn parameters(class: &str) -> Parameters {
    let connections = ((memory(class) << 30) / MEMORY_OF_A_CONNECTION).min(MAX_CONNECTIONS);
    let blocks = blocks(class);
    Parameters::from([
        ("max_connections".to_owned(), connections.to_string()),
        ("shared_buffers".to_owned(), blocks.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_gives_connections_as_rds_does_and_few_buffers() {
        let of = |class: &str, name: &str| parameters(class)[name].clone();
        assert_eq!(of("db.t3.micro", "max_connections"), "112");
        assert_eq!(of("db.t3.micro", "shared_buffers"), "2048");
        assert_eq!(of("db.m5.large", "max_connections"), "901");
        assert_eq!(of("db.r5.4xlarge", "max_connections"), "5000");
        assert_eq!(of("db.r5.4xlarge", "shared_buffers"), "32768");
    }
}
