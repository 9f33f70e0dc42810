//! What the file stands on: the kind of file system, and the room that is left.

use std::path::Path;

use crate::checkup::{Finding, bytes};

/// With less room than this jobs will soon be refused.
const LITTLE_ROOM: u64 = 1_000_000_000;
/// With less room than this a checkpoint may fail any moment.
const NO_ROOM: u64 = 32_000_000;

/// What a file system means for a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A disk of this machine, as far as is known.
    Local,
    /// Gone when the machine restarts.
    Memory(&'static str),
    /// Shared with other machines, whose locks and memory maps cannot be relied on.
    Network(&'static str),
    /// A program serves it; what that does with locks and syncs is not known.
    Served(&'static str),
}

/// File systems by the number that Linux gives them.
const KINDS: [(u64, Kind); 14] = [
    (0x6969, Kind::Network("NFS")),
    (0x517B, Kind::Network("SMB")),
    (0xFF53_4D42, Kind::Network("CIFS")),
    (0xFE53_4D42, Kind::Network("SMB")),
    (0x5346_414F, Kind::Network("AFS")),
    (0x00C3_6400, Kind::Network("CephFS")),
    (0x0BD0_0BD0, Kind::Network("Lustre")),
    (0x4750_4653, Kind::Network("GPFS")),
    (0x0116_1970, Kind::Network("GFS2")),
    (0x7461_636F, Kind::Network("OCFS2")),
    (0x0102_1997, Kind::Network("9P")),
    (0x6573_5546, Kind::Served("FUSE")),
    (0x0102_1994, Kind::Memory("tmpfs")),
    (0x8584_58F6, Kind::Memory("ramfs")),
];

fn kind(number: u64) -> Kind {
    KINDS.iter().find(|(known, _)| *known == number).map_or(Kind::Local, |(_, kind)| *kind)
}

fn file_system(kind: Kind) -> Finding {
    const CHECK: &str = "file system";
    match kind {
        Kind::Local => Finding::good(CHECK, "a file system of this machine"),
        Kind::Memory(name) => {
            Finding::doubtful(CHECK, format!("{name} is memory: every job is lost when the machine restarts"))
                .advise("put the file on a disk")
        }
        Kind::Network(name) => {
            let detail = format!("{name} is shared between machines: locks fail there, and the file will be damaged");
            Finding::bad(CHECK, detail).advise("put the file on a local disk, or use Redis")
        }
        Kind::Served(name) => {
            let detail = format!("{name}: what it does with locks and syncs is not known; many lose both");
            Finding::doubtful(CHECK, detail).advise("put the file on a local disk, or use Redis")
        }
    }
}

fn room(free: u64) -> Finding {
    const CHECK: &str = "disk";
    let detail = format!("{} free", bytes(free));
    match free {
        LITTLE_ROOM.. => Finding::good(CHECK, detail),
        NO_ROOM..LITTLE_ROOM => Finding::doubtful(CHECK, format!("{detail}; jobs are refused when it is full"))
            .advise("make room on the disk"),
        _ => {
            Finding::bad(CHECK, format!("{detail}: jobs are refused, or soon will be")).advise("make room on the disk")
        }
    }
}

/// What can be said of the place of this file.
#[cfg(target_os = "linux")]
pub(super) fn findings(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    match rustix::fs::statfs(path) {
        // The type of this field differs between processors; the numbers fit 32 bits.
        Ok(found) => findings.push(file_system(kind((found.f_type as u64) & 0xFFFF_FFFF))),
        Err(error) => findings.push(Finding::doubtful("file system", format!("could not be read: {error}"))),
    }
    match rustix::fs::statvfs(path) {
        Ok(found) => findings.push(room(found.f_bavail.saturating_mul(found.f_frsize))),
        Err(error) => findings.push(Finding::doubtful("disk", format!("could not be read: {error}"))),
    }
    findings
}

/// What can be said of the place of this file: nothing, on systems other than Linux.
#[cfg(not(target_os = "linux"))]
pub(super) fn findings(_path: &Path) -> Vec<Finding> {
    let unknown = |check| Finding::doubtful(check, "cannot be read on this system");
    vec![unknown("file system"), unknown("disk")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkup::Grade;

    #[test]
    fn a_network_file_system_is_bad_and_memory_is_doubtful() {
        let grade = |number| file_system(kind(number)).grade;
        assert_eq!(grade(0x6969), Grade::Bad);
        assert_eq!(grade(0xFF53_4D42), Grade::Bad);
        assert_eq!(grade(0x0102_1994), Grade::Doubtful);
        assert_eq!(grade(0xEF53), Grade::Good, "ext4");
    }

    #[test]
    fn the_room_that_is_left_decides() {
        let grades = [2_000_000_000, 500_000_000, 1_000].map(|free| room(free).grade);
        assert_eq!(grades, [Grade::Good, Grade::Doubtful, Grade::Bad]);
    }
}
