//! DNS servers side by side: zones that all of them serve, the queries, the servers, and the
//! program that loads them. And what steers names in a lab: its API, endpoints that fail when told.

pub mod dnsperf;
pub mod endpoint;
pub mod names;
pub mod query;
pub mod serve;
pub mod servers;
pub mod zones;

/// The processors of the loaded server and of the load: apart where there are two.
pub fn processors() -> Option<(usize, usize)> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (count > 1 && std::path::Path::new(TASKSET).exists()).then_some((0, count - 1))
}

/// What keeps a program on a processor.
const TASKSET: &str = "/usr/bin/taskset";

/// The words that run a program on a processor, or anywhere.
pub fn pinned(processor: Option<usize>, program: &str) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(processor) = processor {
        words.extend([TASKSET.to_owned(), "-c".to_owned(), processor.to_string()]);
    }
    words.push(program.to_owned());
    words
}
