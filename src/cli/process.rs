//! What a process can say about itself: the clock all processes of a machine share, its processor time, its memory.

use rustix::time::{ClockId, clock_gettime};

/// Now, in nanoseconds of the machine's monotonic clock: the same clock in every process, so instants can be compared.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// The processor time this process has used, all its threads together, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Resident memory of this process in bytes; `None` where the system does not tell.
pub(crate) fn resident() -> Option<u64> {
    status_field("VmRSS:")
}

/// The most memory that was ever resident, in bytes; `None` where the system does not tell.
pub(crate) fn peak_resident() -> Option<u64> {
    status_field("VmHWM:")
}

fn status_field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward() {
        let (wall, cpu) = (monotonic_ns(), cpu_ns());
        assert!(wall > 0 && cpu > 0);
        assert!(monotonic_ns() >= wall && cpu_ns() >= cpu);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_knows_its_memory() {
        assert!(resident().unwrap() > 0 && peak_resident() >= resident());
    }
}
