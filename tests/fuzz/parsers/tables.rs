//! Tables: those of a run, that of a sweep, and the raw files of the official code.

use std::fmt::Debug;
use std::path::Path;

use edgewalk::folder::rows::{CurvatureColumns, CurvatureRow};
use edgewalk::folder::table::RecordError;
use edgewalk::folder::tables::{CurvatureWriter, MetricsWriter, read_curvature, read_metrics};
use edgewalk::folder::tables::{OscillationWriter, read_oscillation};
use edgewalk::results::official_raw::read_raw;
use edgewalk::results::summary::Summary;
use edgewalk::sweep::read_summary;

use super::{bounded, in_folder, put, refused};

/// `metrics.csv`.
pub fn metrics(input: &[u8]) -> bool {
    let rows = table(input, read_metrics, |path, rows| {
        let mut writer = MetricsWriter::create(path, CurvatureColumns::default())?;
        rows.iter().try_for_each(|row| writer.write(row).map(|_| ()))
    });
    rows.is_some_and(|rows| {
        assert_eq!(rows.iter().map(|row| row.step.to_string()).collect::<Vec<_>>(), column(input, "step"));
        assert!(!Summary::of(&rows, &[], edgewalk::optim::Rule::sam(1.0, 1.0)).to_string().is_empty());
        true
    })
}

/// `curvature.csv`.
pub fn curvature(input: &[u8]) -> bool {
    let rows = table(input, read_curvature, |path, rows| {
        let most = |count: fn(&CurvatureRow) -> usize| rows.iter().map(count).max().unwrap_or_default();
        let columns = CurvatureColumns {
            top: most(|row| row.lambdas.len().max(row.residuals.len()).max(row.errors.len()).max(row.converged.len())),
            bottom: most(|row| row.bottoms.len().max(row.bottom_errors.len())),
            batch: rows.iter().any(|row| row.batch.is_some()),
            official: rows.iter().any(|row| row.official.is_some()),
            adaptive: rows.iter().any(|row| row.preconditioned.is_some()),
        };
        let mut writer = CurvatureWriter::create(path, columns)?;
        rows.iter().try_for_each(|row| writer.write(row).map(|_| ()))
    });
    rows.is_some_and(|rows| {
        assert_eq!(rows.iter().map(|row| row.step.to_string()).collect::<Vec<_>>(), column(input, "step"));
        assert!(!Summary::of(&[], &rows, edgewalk::optim::Rule::sam(1.0, 1.0)).to_string().is_empty());
        true
    })
}

/// `oscillation.csv`.
pub fn oscillation(input: &[u8]) -> bool {
    let rows = table(input, read_oscillation, |path, rows| {
        let mut writer = OscillationWriter::open(path, CurvatureColumns::default(), None)?;
        rows.iter().try_for_each(|row| writer.write(row).map(|_| ()))
    });
    rows.is_some()
}

/// `summary.csv` of a sweep, which only the sweep itself writes.
pub fn summary(input: &[u8]) -> bool {
    let rows = table(input, read_summary, |path, _| {
        put(path, input);
        Ok(())
    });
    rows.is_some_and(|rows| {
        assert_eq!(rows.iter().map(|row| row.job.clone()).collect::<Vec<_>>(), column(input, "job"));
        true
    })
}

/// Reads a table; if it is one, writes its rows and reads them again.
fn table<R: Debug>(
    input: &[u8],
    read: fn(&Path) -> Result<Vec<R>, RecordError>,
    write: impl Fn(&Path, &[R]) -> Result<(), RecordError>,
) -> Option<Vec<R>> {
    in_folder(|folder| {
        let path = folder.join("table.csv");
        put(&path, input);
        match bounded(input.len(), || read(&path)) {
            Ok(rows) => {
                write(&path, &rows).expect("rows that were read can be written");
                let again = read(&path).expect("a table that was written can be read");
                assert_eq!(format!("{again:?}"), format!("{rows:?}"));
                Some(rows)
            }
            Err(error) => {
                refused(&error, "table.csv");
                None
            }
        }
    })
}

/// The cells of a column, numbers without a sign or zeros in front of them.
fn column(input: &[u8], name: &str) -> Vec<String> {
    let end = input.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&input[..end]);
    let place = reader.headers().expect("it was accepted").iter().position(|header| header == name);
    let cells = reader.records().map(|line| {
        let line = line.expect("it was accepted");
        let cell = place.and_then(|place| line.get(place)).expect("it was accepted");
        cell.parse::<u64>().map_or_else(|_| cell.to_owned(), |number| number.to_string())
    });
    cells.collect()
}

/// A raw file of the official code.
pub fn official(input: &[u8]) -> bool {
    in_folder(|folder| {
        let path = folder.join("raw.txt");
        put(&path, input);
        match bounded(input.len(), || read_raw(&path)) {
            Ok(runs) => {
                let text = str::from_utf8(input).expect("it was accepted");
                let numbers: Vec<f64> =
                    text.split_whitespace().map(|cell| cell.parse().expect("it was accepted")).collect();
                let read = runs.iter().flatten().flat_map(|row| {
                    let edges = [row.secs, row.hessian_norm, row.gd_edge, row.sam_edge];
                    [edges, [row.grad_norm, row.loss, row.grad_alignment, row.sam_grad_alignment]].concat()
                });
                assert!(read.map(f64::to_bits).eq(numbers.into_iter().map(f64::to_bits)));
                assert!(runs.iter().all(|run| run.is_sorted_by(|a, b| a.secs < b.secs) && !run.is_empty()));
                true
            }
            Err(error) => {
                refused(&error, "raw.txt");
                false
            }
        }
    })
}
