//! The full data sets, for the tests that need them: `EDGEWALK_DATA` names the folder that has them.
//!
//! Without that variable at build time those tests are ignored, each by name (`build.rs`).

use std::path::{Path, PathBuf};

use edgewalk::data::DATA_VARIABLE;

/// The folder of one data set, such as `mnist`.
pub fn real_data(folder: &str) -> PathBuf {
    let root = std::env::var_os(DATA_VARIABLE);
    let root = root.unwrap_or_else(|| panic!("this test reads the full data: set {DATA_VARIABLE} to their folder"));
    Path::new(&root).join(folder)
}
