//! A small disk: a file system in a file, mounted over a folder. Needs root and a loop device; where
//! there is none, tests that need it say so and end.

use std::path::{Path, PathBuf};
use std::process::Command;

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
