//! How much memory there is for what runs here: the machine's, or less where this process is in a
//! control group that may take less. It is read once, and judged elsewhere.

use std::io;

use types::ByteSize;

/// The kernel's account of memory (proc_meminfo(5)).
const OF_THE_MACHINE: &str = "/proc/meminfo";

/// The bound of the control group that this process sees as the root (Linux, cgroup v2): `max`, or
/// bytes. In a container it is the container's; elsewhere there is none.
const OF_THE_GROUP: &str = "/sys/fs/cgroup/memory.max";

/// How much memory there is for what runs here.
///
/// # Errors
/// The kernel doesn't say.
pub fn machine_memory() -> io::Result<ByteSize> {
    let text = std::fs::read_to_string(OF_THE_MACHINE)?;
    let missing = || io::Error::other("/proc/meminfo has no MemTotal");
    let machine = total(&text).ok_or_else(missing)?;
    let group = match std::fs::read_to_string(OF_THE_GROUP) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        // `max` is no number: no bound.
        text => text?.trim().parse().ok(),
    };
    Ok(ByteSize(group.map_or(machine, |group| machine.min(group))))
}

/// `MemTotal:       24684084 kB`, in bytes.
fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let count: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    count.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_account_is_read_as_it_is_written() {
        let text = "MemTotal:       24684084 kB\nMemFree:        10602512 kB\n";
        assert_eq!(total(text), Some(24_684_084 * 1024));
        for text in [
            "",
            "MemFree: 1 kB\n",
            "MemTotal: 1 MB\n",
            "MemTotal: -1 kB\n",
        ] {
            assert_eq!(total(text), None);
        }
    }

    #[test]
    fn this_machine_has_some() {
        assert!(machine_memory().unwrap().0 > 64 << 20);
    }
}
