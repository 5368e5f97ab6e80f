//! File systems on which LMDB's locks and syncs cannot be relied on.

use std::path::Path;

/// The kind of file system at `path` when it is one of those; only Linux tells.
#[cfg(target_os = "linux")]
pub(super) fn unsafe_kind(path: &Path) -> std::io::Result<Option<&'static str>> {
    let magic = u64::try_from(rustix::fs::statfs(path)?.f_type);
    Ok(magic.ok().and_then(kind_of))
}

/// The kind of file system at `path` when it is one of those; only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn unsafe_kind(_path: &Path) -> std::io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(any(target_os = "linux", test))]
fn kind_of(magic: u64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Some("CIFS"),
        0x0102_1997 => Some("9p"),
        0x6573_5546 => Some("FUSE"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x00C3_6400 => Some("Ceph"),
        0x0BD0_0BD3 => Some("Lustre"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_42_remote_file_systems_are_told_from_local_ones() {
        assert_eq!(kind_of(0x6969), Some("NFS"));
        assert_eq!(kind_of(0x0102_1997), Some("9p"));
        assert_eq!(kind_of(0x6573_5546), Some("FUSE"));
        for (name, magic) in
            [("ext4", 0xEF53), ("xfs", 0x5846_5342), ("tmpfs", 0x0102_1994), ("btrfs", 0x9123_683E)]
        {
            assert_eq!(kind_of(magic), None, "{name}");
        }
    }
}
