//! Reads the raw data files of the official code of Long and Bartlett (`sam_edge.py` of google-deepmind/sam_edge,
//! `--raw_data_output`): for every check of the Hessian one line of eight numbers with single spaces, without a header.
//!
//! 1. seconds since the training loop began, checks included (the options for the time limit and the gap between checks
//!    are in hours, though the help of the latter says seconds);
//! 2. ‖H‖: the magnitude of its power iteration's Rayleigh quotient, or with several components the largest norm of a
//!    product;
//! 3. 2/η;
//! 4. the SAM-edge, which is 2/η when ρ = 0;
//! 5. ‖g‖, the gradient's norm over the batch of the step;
//! 6. the loss of that batch, before the update;
//! 7. the cosine of g and its eigenvector, which `more_tree_utils` gives as a magnitude;
//! 8. the cosine of the gradient at w + ρg/(‖g‖ + 1e-5) and that vector.
//!
//! It has no number of updates. The file is appended to, so it may hold several runs: a run begins where the time
//! decreases. `nan` means that training had diverged.

use std::path::{Path, PathBuf};

use crate::files::read_text;
use crate::text::counted;

/// Numbers in a line.
const COLUMNS: usize = 8;

/// The errors of a raw file. Each message names the file, and the line if there is one.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}; give a run folder or a raw file of the official code", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A line is not one of eight numbers.
    #[error(
        "{}, line {line}: {problem}; a raw file of the official code has 8 numbers in every line, with spaces between \
         them",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Its fault.
        problem: String,
    },
    /// It has no lines.
    #[error("{} is empty; give a run folder or a raw file of the official code", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// One check of the official code. See the module text for each number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawRow {
    /// Seconds since training began.
    pub secs: f64,
    /// ‖H‖ as estimated by that code.
    pub hessian_norm: f64,
    /// 2/η
    pub gd_edge: f64,
    /// The SAM-edge.
    pub sam_edge: f64,
    /// ‖g‖
    pub grad_norm: f64,
    /// The loss.
    pub loss: f64,
    /// |cos(g, v)|
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v)|
    pub sam_grad_alignment: f64,
}

/// Reads a raw file: the rows of each of the runs in it, at least one run of at least one row. Empty lines are skipped.
///
/// # Errors
/// [`RawError`].
pub fn read_raw(path: &Path) -> Result<Vec<Vec<RawRow>>, RawError> {
    let text = read_text(path).map_err(|cause| RawError::Read { path: path.into(), cause })?;
    let mut runs: Vec<Vec<RawRow>> = vec![];
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = row(line).map_err(|problem| RawError::Line { path: path.into(), line: i + 1, problem })?;
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| row.secs > last.secs) => run.push(row),
            _ => runs.push(vec![row]),
        }
    }
    if runs.is_empty() { Err(RawError::Empty { path: path.into() }) } else { Ok(runs) }
}

fn row(line: &str) -> Result<RawRow, String> {
    let cells: Vec<&str> = line.split_whitespace().collect();
    let number = |cell: &&str| cell.parse::<f64>().map_err(|_| format!("`{cell}` is not a number"));
    let numbers: Vec<f64> = cells.iter().map(number).collect::<Result<_, _>>()?;
    let [secs, hessian_norm, gd_edge, sam_edge, grad_norm, loss, grad_alignment, sam_grad_alignment] = numbers[..]
    else {
        return Err(format!("it has {} instead of {COLUMNS}", counted(cells.len(), "number")));
    };
    if !(secs >= 0.0 && secs.is_finite()) {
        return Err(format!("`{}` is not a time in seconds", cells[0]));
    }
    Ok(RawRow { secs, hessian_norm, gd_edge, sam_edge, grad_norm, loss, grad_alignment, sam_grad_alignment })
}
