//! Sound files to begin with, most of them by the program's own writers.

use std::fs;
use std::io::Write;
use std::path::Path;

use edgewalk::config::preset::PRESETS;
use edgewalk::config::{MeasureAt, MeasureOn, MeasuringSet};
use edgewalk::curvature::Track;
use edgewalk::folder::RunDir;
use edgewalk::folder::checkpoint::{Checkpoint, DONE};
use edgewalk::folder::choices::parse;
use edgewalk::folder::manifest::{Ended, InitFile, Manifest, Resumed};
use edgewalk::folder::rows::OscillationRow;
use edgewalk::folder::rows::{
    BatchRow, CurvatureColumns, CurvatureRow, Extreme, FreshBatches, MetricsRow, OfficialRow, PreconditionedRow,
};
use edgewalk::folder::state::{OscillationWindow, RunState};
use edgewalk::folder::tables::OscillationWriter;
use edgewalk::folder::tables::{CurvatureWriter, MetricsWriter};
use edgewalk::model::params_to_safetensors;
use edgewalk::optim::{Cursor, Moment};
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::parsers::folders::cache;
use super::parsers::tensors::{STATE_PARAMS, layout};
use super::{Parts, sample_manifest};

/// Choices of kernels, as in a manifest.
const CHOICES: &str =
    r#"{"choices": {"matmul 1x64x64x1024 At": "tile 64x64 by 8x4", "conv 1x1024x16x32": "subgroup 4x16"}}"#;

/// The file that `write` makes.
fn written(write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write(&path);
    fs::read(path).unwrap()
}

fn text(text: &str) -> Parts {
    vec![text.as_bytes().to_vec()]
}

pub fn idx() -> Vec<Parts> {
    let file = |dims: &[u32], bytes: Vec<u8>| {
        let header = [0x0800 + dims.len() as u32].into_iter().chain(dims.iter().copied());
        header.flat_map(u32::to_be_bytes).chain(bytes).collect::<Vec<u8>>()
    };
    let input = |count: u32, options: [u8; 2]| {
        let labels = file(&[count], (0..count).map(|i| (i % 10) as u8).collect());
        let images = file(&[count, 28, 28], (0..784 * count).map(|i| i as u8).collect());
        vec![options.to_vec(), labels, images]
    };
    vec![input(3, [0, 0]), input(3, [2, 3]), input(2, [1, 1]), input(1, [0, 2])]
}

pub fn cifar() -> Vec<Parts> {
    let records = |labels: &[u8]| labels.iter().flat_map(|&label| [vec![label], vec![7; 3072]].concat()).collect();
    vec![vec![vec![0], records(&[1, 9]), records(&[0])], vec![vec![2], records(&[3]), records(&[4, 5])]]
}

pub fn characters() -> Vec<Parts> {
    let lines: Vec<u8> = (0..40).flat_map(|i| format!("line {i}, and more\n").into_bytes()).collect();
    vec![vec![vec![5, 0, 0, 0], lines.clone()], vec![vec![16, 2, 1, 0], lines], vec![vec![1, 1, 0, 0], b"ab".to_vec()]]
}

pub fn archive() -> Vec<Parts> {
    let tar = |files: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(vec![]);
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let long = format!("{}/one.bin", "long".repeat(40));
    let plain = tar(&[("pictures/readme.html", "<html>"), ("pictures/one.bin", "first")]);
    vec![vec![vec![1], plain], vec![vec![1], tar(&[(&long, "first"), ("other.bin", "second")])]]
}

/// A file of numpy.
fn numpy(header: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{{header}}}\n");
    [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), elements].concat()
}

/// Four examples of two floats, and their classes.
fn four() -> [Vec<u8>; 2] {
    let x: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let y: Vec<u8> = [0_i64, 2, 1, 2].iter().flat_map(|label| label.to_le_bytes()).collect();
    [
        numpy("'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), ", &x),
        numpy("'descr': '<i8', 'fortran_order': False, 'shape': (4,), ", &y),
    ]
}

pub fn npy() -> Vec<Parts> {
    let [x, y] = four();
    let columns = numpy("'shape': (3, 2), 'fortran_order': True, 'descr': '>f8'", &[0; 48]);
    let bytes = numpy("'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), ", &[1, 2, 3, 4, 5, 6]);
    let halves = numpy("'descr': '<f2', 'fortran_order': False, 'shape': (3,), ", &[0, 0x3c, 1, 0x40, 2, 0x80]);
    vec![vec![vec![0], x, y], vec![vec![0], columns, halves], vec![vec![1], bytes.clone(), bytes]]
}

pub fn arrays() -> Vec<Parts> {
    let [x, y] = four();
    let npz = |method: zip::CompressionMethod| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
        for (name, bytes) in [("x_train.npy", &x), ("y_train.npy", &y)] {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let tensors = serialize([("x_train", view(&[2, 2], &[0; 16])), ("y_train", view(&[2, 1], &[0; 8]))], None).unwrap();
    vec![
        vec![vec![0], npz(zip::CompressionMethod::Stored)],
        vec![vec![2], npz(zip::CompressionMethod::Deflated)],
        vec![vec![1], tensors],
    ]
}

pub fn table() -> Vec<Parts> {
    let rows = "a,b,y\n1,2,0\n-1.5,2e3,1\n\"3\", 4 ,2\n";
    vec![vec![vec![0], rows.into()], vec![vec![1], rows.into()], vec![vec![0], "x,y\r\n0.5,0.25\r\n".into()]]
}

pub fn params() -> Vec<Parts> {
    let layout = layout();
    let values = |scale: f32| (0..layout.len()).map(|i| scale * i as f32).collect::<Vec<_>>();
    [0.0, -1.5, 1e30].map(|scale| vec![params_to_safetensors(&layout, &values(scale)).unwrap()]).to_vec()
}

/// Networks that PyTorch and the tests' script have written.
/// The networks, and the graphs of all operators.
pub fn network() -> Vec<Parts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let networks = ["mlp", "cnn", "residual", "resnet", "vit-erf"];
    let mut files: Vec<_> = networks.map(|name| folder.join(format!("pytorch/{name}/net.onnx"))).into();
    let graphs = fs::read_dir(folder.join("operators")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(graphs.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")));
    files.sort_unstable();
    files.iter().map(|file| vec![fs::read(file).unwrap()]).collect()
}

fn states() -> [RunState; 2] {
    let least = RunState {
        step: 3,
        secs: 0.5,
        tables: [120, 0, 0],
        cursor: None,
        moments: vec![],
        moments_since: 0,
        held: None,
        before: None,
        track: None,
        update_track: None,
        window: None,
        known: Default::default(),
    };
    let vector = vec![0.25; STATE_PARAMS];
    let most = RunState {
        cursor: Some(Cursor { epoch: 1, position: 20 }),
        moments_since: 2,
        held: Some(0.25),
        moments: Moment::ALL.map(|moment| (moment, vec![1.0; STATE_PARAMS])).into(),
        before: Some(vec![-1.0; STATE_PARAMS]),
        track: Some(Track {
            values: vec![3.0, 2.0],
            vectors: vec![vector.clone(), vector.clone()],
            wanted: 1,
            changes: vec![vector.clone()],
            persistence: -0.5,
        }),
        window: Some(OscillationWindow {
            first_step: 2,
            lambda: 3.0,
            origin: vector.clone(),
            v1: vector.clone(),
            rise: vector,
            slope: 0.1,
            gradient: 0.2,
            alignment: 0.7,
            along: vec![0.0, 1.0],
            drift: vec![0.0, 0.5],
        }),
        known: parse(CHOICES).unwrap(),
        ..least.clone()
    };
    [least, most]
}

pub fn state() -> Vec<Parts> {
    states().map(|state| vec![state.to_bytes().unwrap()]).to_vec()
}

pub fn config() -> Vec<Parts> {
    let short =
        "# mine\n[optim]\nkind = \"gd\"\nlr = 1e-3\nrho = 0\n[run]\nuntil = 'loss<0.1'\ntune = 2\nsteps = 0x10\n";
    let files = PRESETS.iter().map(|preset| text(&preset.config.to_toml()));
    files.chain([text(short), text("optim = { lr = 1 }\nrun.init = \"\"\"\\u0041\"\"\"")]).collect()
}

pub fn sets() -> Vec<Parts> {
    let long = "name=mnist\npath=a b/c\nlr=0.25\noptim.rho = 0\nsteps=1_000\nactivation='tanh'\nuntil=error < 0.5\n\
                tune=auto\ncheckpoint_every=10\nnesterov=true\nmomentum=0.9";
    vec![text(long), text("optim.kind=asam\nseed=7"), text("measure.every=8\nwindow=8\nkernels=\"a\"")]
}

pub fn sweep() -> Vec<Parts> {
    let axes = "name = \"quickstart\"\nadapter = \"llvm\"\n[[axis]]\nkey = \"optim.lr\"\nvalues = [\"0.1\", \"0.2\"]\n\
                [[axis]]\nkey = \"optim.kind\"\nvalues = [\"gd\", \"sam\"]\n";
    let paths = "name = \"x\"\n[[axis]]\nkey = \"run.init\"\nvalues = [\"'a/b'\", \"A/B\", \"../c\"]\n";
    vec![text(axes), text(paths)]
}

pub fn metrics() -> Vec<Parts> {
    let row = |step: u64, test: Option<f64>| MetricsRow {
        step,
        secs: 0.1 * step as f64,
        loss: 1.0 / (step + 1) as f64,
        error: 0.5,
        grad_norm: 1e-7,
        test_loss: test,
        test_error: test,
        lr: test,
    };
    let table = |rows: &[MetricsRow]| {
        vec![written(|path| {
            let mut writer = MetricsWriter::create(path, CurvatureColumns::default()).unwrap();
            rows.iter().for_each(|row| {
                writer.write(row).unwrap();
            });
        })]
    };
    vec![table(&[row(0, Some(0.25)), row(1, None), row(2, Some(f64::NAN))]), table(&[])]
}

pub fn curvature() -> Vec<Parts> {
    let row = |step: u64| CurvatureRow {
        step,
        secs: 0.25,
        loss: 0.1,
        grad_norm: 1e-3,
        lambdas: vec![-3.0, 2.0],
        residuals: vec![1e-5, 2e-5],
        hessian_norm: 3.0,
        gd_edge: 5.0,
        sam_edge: 4.0,
        edge_ratio: 0.75,
        gauge: 0.7,
        grad_alignment: 0.5,
        sam_grad_alignment: 0.75,
        hvps: 12,
        ..Default::default()
    };
    let full = CurvatureRow {
        errors: vec![1e-9, 1e-8],
        bottoms: vec![-3.0],
        bottom_errors: vec![1e-7],
        lambda_max: Some(Extreme { value: 2.0, error: f64::INFINITY }),
        lambda_min: Some(Extreme { value: -3.0, error: 0.0 }),
        grad_subspace: Some(0.5),
        sam_grad_subspace: Some(0.5),
        solve_secs: Some(0.01),
        batch: Some(BatchRow {
            sharpness: 2.5,
            grad_norm: 0.1,
            fresh: Some(FreshBatches { mean: 2.0, error: 0.25, batches: 16 }),
        }),
        at: Some(MeasureAt::Midpoint),
        measured: Some(MeasuringSet { on: MeasureOn::Fixed, examples: 200 }),
        official: Some(OfficialRow {
            hessian_norm: 3.1,
            edge_ratio: 0.8,
            grad_alignment: 0.4,
            sam_grad_alignment: 0.7,
            hvps: 100,
        }),
        preconditioned: Some(PreconditionedRow {
            sharpness: 3e4,
            error: 0.1,
            edge: 3.8e4,
            gauge: 0.79,
            participation: 0.01,
        }),
        ..row(10)
    };
    let table = |columns: CurvatureColumns, rows: &[CurvatureRow]| {
        vec![written(|path| {
            let mut writer = CurvatureWriter::create(path, columns).unwrap();
            rows.iter().for_each(|row| {
                writer.write(row).unwrap();
            });
        })]
    };
    let all = CurvatureColumns { top: 3, bottom: 1, batch: true, official: true, adaptive: true };
    let few = CurvatureColumns { top: 2, ..Default::default() };
    let no_edge = CurvatureRow { sam_edge: f64::NAN, edge_ratio: f64::NAN, gauge: f64::NAN, ..row(20) };
    vec![table(all, &[row(0), full]), table(few, &[row(0), row(10), no_edge])]
}

pub fn oscillation() -> Vec<Parts> {
    let row = |step: u64, predicted: Option<f64>| OscillationRow {
        step,
        updates: 8,
        lambda_1: 3.0,
        amplitude: 0.01,
        amplitude_predicted: predicted,
        period: predicted.map(|_| 2),
        drift: -1e-4,
        drift_of_gradient: 1e-5,
        drift_predicted: predicted,
        amplitude_aligned: predicted,
        drift_aligned: predicted,
    };
    vec![vec![written(|path| {
        let mut writer = OscillationWriter::open(path, CurvatureColumns::default(), None).unwrap();
        [row(0, None), row(8, Some(0.02))].iter().for_each(|row| {
            writer.write(row).unwrap();
        });
    })]]
}

pub fn summary() -> Vec<Parts> {
    let header = "job,optim.lr,optim.kind,state,steps,loss,error,grad_norm,test_loss,test_error,hessian_norm,\
                  edge_ratio,edge_ratio_low,edge_ratio_high,gauge,worst_residual,wall_secs,message\n";
    let rows = "\"lr=0.1,optim.kind=gd\",0.1,gd,done,400,0.5,0.1,1e-3,0.6,0.2,3.0,0.9,0.8,1.1,1.0,1e-5,2.5,\n\
                \"lr=0.2,optim.kind=sam\",0.2,sam,failed,,,,,,,,,,,,,,\"it said \"\"no\"\",\nand ended\"\n";
    vec![text(&format!("{header}{rows}"))]
}

pub fn official() -> Vec<Parts> {
    let lines = "0.5 3.0 20.0 4.0 0.1 0.05 0.3 0.9\n1.5 3.5 20.0 4.5 0.1 0.04 nan 0.9\n\n0.4 2.5e0 20 -4 0 inf 0.3 0.9";
    vec![text(lines), text("0 1 2 3 4 5 6 7\n")]
}

pub fn manifest() -> Vec<Parts> {
    let manifest = Manifest {
        commit: Some("abc".into()),
        command: vec!["edgewalk".into(), "train".into(), "--set=path=\"a\\b\"\n".into()],
        network: Some(InitFile { path: "some/net.onnx".into(), sha256: "ef".into() }),
        init: Some(InitFile { path: "some/weights".into(), sha256: "cd".into() }),
        ..sample_manifest::manifest()
    };
    let ends = [
        Ended::Running,
        Ended::Reached { until: "loss < 0.1".into() },
        Ended::Diverged { step: 7 },
        Ended::Failed { error: "lost".into() },
    ];
    let file = |ended: Ended| {
        let resumed = vec![Resumed::at(4, &manifest)];
        text(&Manifest { ended, resumed, ..manifest.clone() }.to_json())
    };
    ends.map(file).to_vec()
}

pub fn kernels() -> Vec<Parts> {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    cache.write(&parse(CHOICES).unwrap()).unwrap();
    let some = fs::read(cache.path()).unwrap();
    cache.write(&Default::default()).unwrap();
    vec![vec![some], vec![fs::read(cache.path()).unwrap()]]
}

pub fn checkpoint() -> Vec<Parts> {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(Some(&folder.path().join("run")), "x").unwrap();
    let written = states().map(|state| {
        let (params, state) = (params().remove(1).remove(0), state.to_bytes().unwrap());
        let path = Checkpoint::write(&run, 3, &params, &state).unwrap();
        vec![fs::read(path.join(DONE)).unwrap(), state, params]
    });
    written.to_vec()
}
