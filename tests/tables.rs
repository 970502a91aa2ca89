//! What tables and summaries say of numbers that are none, and of eigenvalues that have not converged.

use std::fs;
use std::path::Path;

use edgewalk::data;
use edgewalk::folder::RunDir;
use edgewalk::folder::rows::{BatchRow, CurvatureColumns, CurvatureRow, OfficialRow};
use edgewalk::folder::tables::{CurvatureWriter, read_curvature, read_metrics};
use edgewalk::model::{Activation, Layout, Mlp};
use edgewalk::optim::Rule;
use edgewalk::results::summary::Summary;

use super::training::{train, write_init};

/// No cell of any table in a folder is a number that is none.
fn scan(folder: &Path) {
    let mut tables = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let text = fs::read_to_string(&path).unwrap();
            let strange = |cell: &&str| ["nan", "inf", "-inf"].contains(&cell.to_lowercase().as_str());
            let found = text.lines().flat_map(|line| line.split(',')).find(strange);
            assert_eq!(found, None, "{}:\n{text}", path.display());
            tables += 1;
        }
    }
    assert!(tables >= 2, "{folder:?}");
}

const SMALL: [&str; 6] = ["width=4", "depth=2", "train=20", "test=0", "measure.top=2", "log_every=1"];

fn small(folder: &Path, name: &str, sets: &[&str]) -> RunDir {
    train(None, &folder.join(name), &[&SMALL[..], sets].concat(), None).unwrap()
}

#[test]
fn no_cell_is_ever_a_number_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    // No edge, the official code's estimate, minibatches.
    let asam = ["optim.kind=asam", "rho=0.5", "measure.method=official", "batch=5", "steps=4", "measure.every=2"];
    let run = small(folder.path(), "asam", &asam);
    scan(run.path());
    let rows = read_curvature(&run.curvature()).unwrap();
    let official = rows[0].official.as_ref().unwrap();
    assert!(official.edge_ratio.is_nan() && official.hessian_norm > 0.0, "{official:?}");
    assert_eq!(rows[0].converged, [true, true]);
    // A run that overflows.
    let diverging = [&SMALL[..], &["lr=1e6", "rho=0", "steps=40", "measure.every=2"]].concat();
    let out = folder.path().join("diverging");
    train(None, &out, &diverging, None).unwrap_err();
    scan(&out);
    read_metrics(&RunDir::open(&out).unwrap().metrics()).unwrap();
}

/// Weights of 0 that fit the one example exactly, so that the gradient is 0 and the Hessian is not.
#[test]
fn what_is_0_over_0_where_the_gradient_is_0_is_an_empty_cell() {
    let data = data::load(&data::Request { train: 1, ..data::Request::new(data::DataName::Embedded) }).unwrap();
    let mlp = Mlp { inputs: 784, width: 4, depth: 2, outputs: 10, activation: Activation::Relu };
    let layout = Layout::of(&mlp).unwrap();
    let (last, offset) = layout.iter().last().unwrap();
    assert_eq!(last.shape, [10]);
    let mut params = vec![0.0; layout.len()];
    params[offset + data.train.labels()[0] as usize] = 1.0;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    write_init(&file, &layout, &params);
    let sets =
        ["width=4", "depth=2", "data.train=1", "test=0", "measure.top=1", "steps=1", "measure.every=1", "rho=0.1"];
    let run = train(None, &folder.path().join("run"), &sets, Some(&file)).unwrap();
    scan(run.path());
    for row in read_curvature(&run.curvature()).unwrap() {
        assert_eq!((row.loss, row.grad_norm), (0.0, 0.0));
        // ε stands in for the norm of the gradient.
        assert!(row.hessian_norm > 0.0 && row.gauge.is_finite() && row.edge_ratio.is_finite(), "{row:?}");
        assert!(row.grad_alignment.is_nan() && row.sam_grad_alignment.is_nan(), "{row:?}");
        assert_eq!((row.grad_subspace, row.sam_grad_subspace), (None, None));
    }
}

#[test]
fn what_is_not_finite_is_empty_and_reads_back_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let columns = CurvatureColumns { top: 1, batch: true, official: true, ..Default::default() };
    let nan = f64::NAN;
    let row = CurvatureRow {
        lambdas: vec![1.0],
        residuals: vec![f64::INFINITY],
        edge_ratio: f64::INFINITY,
        converged: vec![false],
        batch: Some(BatchRow { sharpness: nan, grad_norm: 0.0, fresh: None }),
        official: Some(OfficialRow {
            hessian_norm: 1.0,
            edge_ratio: nan,
            grad_alignment: nan,
            sam_grad_alignment: 0.5,
            hvps: 3,
        }),
        ..Default::default()
    };
    CurvatureWriter::create(&path, columns).unwrap().write(&row).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.to_lowercase().contains("nan,") && !text.contains("inf"), "{text}");
    let last = ",update_error,batch_sharpness_mean,batch_sharpness_error,batch_sharpness_batches,follows_1";
    assert!(text.lines().next().unwrap().ends_with(&format!(",converged_1,update_sharpness{last}")), "{text}");
    assert!(text.trim_end().ends_with(",0,,,,,,"), "{text}");
    let read = read_curvature(&path).unwrap().remove(0);
    let (batch, official) = (read.batch.unwrap(), read.official.unwrap());
    assert!(batch.sharpness.is_nan() && batch.grad_norm == 0.0 && read.edge_ratio.is_nan());
    assert!(official.edge_ratio.is_nan() && official.grad_alignment.is_nan() && official.sam_grad_alignment == 0.5);
    assert_eq!(read.converged, [false]);
}

#[test]
fn eigenvalues_follow_those_of_the_row_before() {
    let folder = tempfile::tempdir().unwrap();
    let run = small(folder.path(), "run", &["steps=20", "measure.every=2", "lr=0.01", "measure.top=3"]);
    let rows = read_curvature(&run.curvature()).unwrap();
    assert!(rows[0].follows.is_empty() && rows.len() > 8);
    for row in &rows[1..] {
        // Two steps turn no eigenvector far, and no two continue one.
        let mut numbers: Vec<u64> = row.follows.iter().flatten().copied().collect();
        assert_eq!(row.follows[0], Some(1), "{row:?}");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), row.follows.iter().flatten().count(), "{row:?}");
        assert!(numbers.iter().all(|number| (1..=3).contains(number)), "{row:?}");
    }
    // A table of an early version, which lacks the columns.
    let text = fs::read_to_string(run.curvature()).unwrap();
    let early = |line: &str| line.rsplitn(4, ',').last().map(|rest| format!("{rest}\n"));
    fs::write(run.curvature(), text.lines().filter_map(early).collect::<String>()).unwrap();
    let old = read_curvature(&run.curvature()).unwrap();
    assert!(old.iter().zip(&rows).all(|(old, new)| old.follows.is_empty() && old.lambdas == new.lambdas));
}

#[test]
fn there_is_no_verdict_from_what_has_not_converged() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["measure.top=1", "measure.method=power", "max_iterations=1", "steps=4", "measure.every=1"];
    let run = small(folder.path(), "power", &sets);
    let rows = read_curvature(&run.curvature()).unwrap();
    assert!(rows.iter().all(|row| row.converged == [false]), "{rows:?}");
    let text = Summary::of(&[], &rows, Rule::sam(1.0, 1.0)).to_string();
    assert!(!text.contains("the edge") && text.contains("3 rows of the second half not judged"), "{text}");
    assert!(text.contains("raise measure.max_iterations"), "{text}");
    let page = fs::read_to_string(run.path().join("report.html")).unwrap();
    assert!(page.contains("not judged") && page.contains("not converged") && !page.contains("below the edge"));
    // One that has converged is judged by itself.
    let mut mixed = rows;
    let last = mixed.len() - 1;
    mixed[last] = CurvatureRow { converged: vec![true], edge_ratio: 0.97, gauge: 0.96, ..mixed[last].clone() };
    let summary = Summary::of(&[], &mixed, Rule::sam(1.0, 1.0));
    assert_eq!((summary.left_out, summary.edge.as_ref().unwrap().ratio.unwrap().min), (2, 0.97));
    assert!(summary.to_string().contains("2 rows of the second half not judged"), "{summary}");
}
