//! The folders of data sets, each named by its catalogue entry, under one of two roots.

use std::path::PathBuf;

use super::{DataError, DataName, catalogue};
use crate::environment::variable;
use crate::files::shown;

/// The environment variable that names the folder holding `mnist/`, `cifar-10-batches-bin/` and so on.
pub const DATA_VARIABLE: &str = "EDGEWALK_DATA";

/// The folders that may hold data sets, each in a subfolder of its own. The first that has a data set is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// What [`DATA_VARIABLE`] names.
    pub variable: Option<PathBuf>,
    /// The folder of fetched data, by the platform's convention: `~/.cache/edgewalk/data` on Linux,
    /// `~/Library/Caches/edgewalk/data` on macOS, `%LOCALAPPDATA%\edgewalk\data` on Windows.
    pub cache: Option<PathBuf>,
}

impl Roots {
    /// The roots of this machine and user.
    pub fn of_this_machine() -> Self {
        Self {
            variable: variable(DATA_VARIABLE).map(PathBuf::from),
            cache: dirs::cache_dir().map(|cache| cache.join("edgewalk").join("data")),
        }
    }

    /// The folder of a data set.
    ///
    /// # Errors
    /// [`DataError::NotHere`] with all remedies; [`DataError::NoPathForText`] and [`DataError::NoPathForArrays`] for
    /// data of one's own.
    pub fn find(&self, name: DataName) -> Result<PathBuf, DataError> {
        let Some(set) = catalogue::find(name) else {
            return Err(if name == DataName::Arrays { DataError::NoPathForArrays } else { DataError::NoPathForText });
        };
        let candidates: Vec<PathBuf> =
            [&self.variable, &self.cache].into_iter().flatten().map(|root| root.join(set.folder)).collect();
        candidates.iter().find(|folder| folder.is_dir()).cloned().ok_or_else(|| DataError::NotHere {
            name,
            searched: candidates.iter().map(|folder| shown(folder)).collect::<Vec<_>>().join(", "),
            files: set.files().iter().map(|file| file.name).collect::<Vec<_>>().join(", "),
            folder: set.folder,
        })
    }
}
