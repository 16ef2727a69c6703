//! What is done to a node in the middle of the load. The default is the plain kill; the others are the
//! losses that an operator fears: the index gone, or the whole folder back from an old copy.

use super::error::DemoError;
use super::place::{Place, XIANNING, YUEYANG};
use super::rig::{Node, Rig};
use std::path::{Path, PathBuf};

/// What happens to the victim between SIGKILL and its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Nothing more. 只杀进程
    Kill,
    /// Its index (data/index) is deleted. 删除索引
    Index,
    /// Its data folder is replaced by a copy made earlier in the load, while it ran. 恢复旧备份
    Restore,
}

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Victim {
    /// 岳阳, the receiving place.
    #[value(name = "430600")]
    Yueyang,
    /// 咸宁, the competent place.
    #[value(name = "421200")]
    Xianning,
}

impl Victim {
    /// The city.
    pub(super) fn place(self) -> &'static Place {
        match self {
            Self::Yueyang => &YUEYANG,
            Self::Xianning => &XIANNING,
        }
    }

    /// Its node.
    pub(super) fn node(self, rig: &mut Rig) -> &mut Node {
        match self {
            Self::Yueyang => &mut rig.yueyang,
            Self::Xianning => &mut rig.xianning,
        }
    }
}

/// Copies a data folder as it lies there, its node running or not.
pub(super) fn back_up(data: &Path) -> Result<PathBuf, DemoError> {
    let copy = data.with_file_name("backup");
    copy_folder(data, &copy)?;
    Ok(copy)
}

/// Does to the data folder of a killed node what the fault says; `backup` is of [`back_up`].
pub(super) fn strike(fault: Fault, data: &Path, backup: Option<&Path>) -> Result<(), DemoError> {
    let remove = |path: &Path| std::fs::remove_dir_all(path).map_err(DemoError::file(path));
    match (fault, backup) {
        (Fault::Kill, _) | (Fault::Restore, None) => Ok(()),
        (Fault::Index, _) => remove(&data.join("index")),
        (Fault::Restore, Some(backup)) => {
            remove(data)?;
            std::fs::rename(backup, data).map_err(DemoError::file(data))
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(to).map_err(DemoError::file(to))?;
    for entry in std::fs::read_dir(from).map_err(DemoError::file(from))? {
        let entry = entry.map_err(DemoError::file(from))?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(DemoError::file(&entry.path()))?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if let Err(error) = std::fs::copy(entry.path(), &target) {
            // A file that a running node removes meanwhile is not in the copy.
            if error.kind() != std::io::ErrorKind::NotFound {
                return Err(DemoError::file(&target)(error));
            }
        }
    }
    Ok(())
}
