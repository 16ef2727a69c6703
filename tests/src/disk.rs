//! A small disk: a file system in a file, mounted over a folder. Needs root and a loop device; where
//! there is none, tests that need it say so and end.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where version 1 of control groups limits block devices.
const BLOCK_GROUPS: &str = "/sys/fs/cgroup/blkio";

const MIB: u64 = 1024 * 1024;

/// A mounted file system; unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

fn done(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

impl SmallDisk {
    /// Mounts a new file system of `mib` MiB, kept in `image`, over `folder`. `None`: not possible here.
    pub fn mount(image: &Path, folder: &Path, mib: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder can be made");
        let file = std::fs::File::create(image).expect("a file can be made");
        file.set_len(mib * MIB).expect("a sparse file");
        let (image, shown) = (image.to_str().expect("a path"), folder.to_str().expect("a path"));
        let mounted = done("mkfs.ext4", &["-q", "-F", "-m", "0", image])
            && done("mount", &["-o", "loop", image, shown]);
        if !mounted {
            eprintln!("skipped: this machine cannot mount a small file system (needs root, mkfs.ext4, loop)");
        }
        mounted.then(|| Self { folder: folder.to_owned() })
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Somebody else's file takes all room but `mib` MiB.
    pub fn fill_but(&self, mib: u64) {
        let room = || {
            let shown = self.folder.to_str().expect("a path");
            let output = Command::new("df").args(["-B1", "--output=avail", shown]).output().expect("df runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().last().and_then(|line| line.trim().parse::<u64>().ok()).expect("a number")
        };
        let bytes = room().saturating_sub(mib * MIB).to_string();
        let filler = self.filler();
        assert!(done("fallocate", &["-l", &bytes, filler.to_str().expect("a path")]), "the disk is filled");
    }

    /// The loop device under the file system, as in `/dev`.
    fn device(&self) -> String {
        let mounts = std::fs::read_to_string("/proc/mounts").expect("/proc is mounted");
        let here = self.folder.to_str().expect("a path");
        let line = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some(here)).expect("it is mounted");
        let device = line.split(' ').next().expect("a device");
        device.strip_prefix("/dev/").expect("a loop device").to_owned()
    }

    /// From now on the disk lets a process write so many times a second; the kernel delays the others.
    /// `None`: control groups of version 1 for block devices are not here.
    pub fn slow(&self, process: u32, writes_per_second: u32) -> Option<SlowDisk> {
        let numbers = std::fs::read_to_string(format!("/sys/class/block/{}/dev", self.device())).ok()?;
        let group = PathBuf::from(BLOCK_GROUPS).join(format!("tongban-{process}"));
        let limit = format!("{} {writes_per_second}", numbers.trim());
        let made = std::fs::create_dir(&group).is_ok()
            && std::fs::write(group.join("blkio.throttle.write_iops_device"), limit).is_ok()
            && std::fs::write(group.join("cgroup.procs"), process.to_string()).is_ok();
        if !made {
            eprintln!("skipped: this machine cannot slow a disk down (needs root and {BLOCK_GROUPS})");
        }
        made.then_some(SlowDisk { group })
    }

    /// The file system meets an error and becomes read-only under whoever writes to it, as ext4 does when
    /// its disk fails (`errors=remount-ro`). Whether that is possible here.
    pub fn becomes_read_only(&self) -> bool {
        let here = self.folder.to_str().expect("a path");
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device());
        let broken = done("mount", &["-o", "remount,errors=remount-ro", here])
            && std::fs::write(trigger, "a test broke it").is_ok()
            && std::fs::write(self.folder.join("probe"), "x").is_err();
        if !broken {
            eprintln!("skipped: this machine cannot break a file system (needs root and ext4 in /sys/fs)");
        }
        broken
    }

    /// The disk is repaired and mounted again from its image; nobody may use it meanwhile.
    pub fn repaired(&self, image: &Path) {
        let (image, here) = (image.to_str().expect("a path"), self.folder.to_str().expect("a path"));
        assert!(done("umount", &[here]), "nobody uses the disk any more");
        // 0: clean, 1: errors were corrected.
        let checked = Command::new("fsck.ext4").args(["-y", image]).output().expect("fsck runs");
        assert!(checked.status.code().is_some_and(|code| code <= 1), "{checked:?}");
        assert!(done("mount", &["-o", "loop", image, here]), "it mounts again");
    }

    /// That file is deleted.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler is deleted");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that was killed a moment ago may still be letting go of its files.
        done("umount", &["-l", self.folder.to_str().expect("a path")]);
    }
}

/// A disk that is slowed down for one process, until this is dropped.
pub struct SlowDisk {
    group: PathBuf,
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // A group can be removed when nobody is in it.
        let members = std::fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines() {
            let _ = std::fs::write(Path::new(BLOCK_GROUPS).join("cgroup.procs"), member);
        }
        let _ = std::fs::remove_dir(&self.group);
    }
}
