//! What a run was going to take of the device's memory against what it took, and the accounts that both come from.

use std::fs;
use std::path::Path;

use edgewalk::curvature::{EigenOptions, Track};
use edgewalk::device::{Buffer, Device, DeviceError, Recording};
use edgewalk::folder::RunDir;
use edgewalk::folder::state::RunState;
use edgewalk::optim::Moment;
use serde_json::Value;

use super::training::train;

/// Planned and measured bytes of a finished run.
fn planned_and_measured(run: &RunDir) -> (f64, f64) {
    let manifest = fs::read_to_string(run.path().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let bytes = |value: &Value| value.as_f64().unwrap();
    (bytes(&manifest["memory_plan"]["device_bytes"]), bytes(&manifest["memory_peak_bytes"]))
}

/// Trains, and returns the measured peak, from which the plan must not be further than 10 %.
fn peak(name: &str, sets: &[&str]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let run = train(None, &folder.path().join("run"), sets, None).unwrap();
    let (planned, measured) = planned_and_measured(&run);
    println!("{name}: planned {planned}, measured {measured}, ratio {:.4}", planned / measured);
    assert!((planned / measured - 1.0).abs() < 0.1, "{name}: planned {planned}, measured {measured}");
    measured
}

#[test]
fn the_memory_of_a_full_batch_run_is_known_before_its_first_step() {
    let small = ["train=96", "width=12", "steps=5"];
    let bare = peak("GD", &[&small[..], &["optim.kind=gd", "measure.every=0", "test=0"]].concat());
    // The examples with their labels, parameters and a gradient are there in any case.
    let parameters = 784 * 12 + 12 + 2 * (12 * 12 + 12) + 12 * 10 + 10;
    assert!(bare > 4.0 * f64::from(96 * 785 + 2 * parameters), "{bare}");

    let measured = ["measure.every=9", "measure.at=midpoint", "momentum=0.5", "window=8", "test=40", "steps=10"];
    let full = peak("SAM at midpoints, swings followed", &[&small[..], &measured].concat());
    assert!(full - bare > 4.0 * f64::from(40 * 785 + 8 * parameters), "{bare}, {full}");
}

#[test]
fn the_memory_of_a_run_in_parts_is_known_before_its_first_step() {
    let small = ["train=96", "test=40", "width=12", "steps=5", "measure.every=3"];
    peak("m-SAM, official method", &[&small[..], &["micro_batch=32", "measure.method=official"]].concat());
    let on = ["batch=16", "measure.on=fixed", "measure.examples=24"];
    peak("minibatches, a measuring set", &[&small[..], &on].concat());
}

#[test]
fn the_memory_of_a_cnn_is_known_before_its_first_step() {
    peak(
        "CNN",
        &["model.kind=cnn", "blocks=1", "channels=4", "lr=0.01", "train=24", "test=10", "steps=3", "measure.every=2"],
    );
}

#[test]
fn the_memory_of_a_transformer_is_known_before_its_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("poem.txt");
    fs::write(&text, "Tyger Tyger, burning bright,\nIn the forests of the night;\n".repeat(8)).unwrap();
    let path = format!("data.path={}", text.display());
    let sets = "data.name=text data.train=12 data.test=3 model.kind=transformer layers=1 heads=2 key_size=4 model_size=8 \
                seq_len=8 loss.kind=cross-entropy batch=5 steps=4 measure.every=2 measure.on=fixed measure.examples=7";
    let sets: Vec<&str> = sets.split_whitespace().chain([path.as_str()]).collect();
    peak("Transformer", &sets);
}

#[test]
fn bytes_count_until_the_last_handle_is_gone() {
    let device = Device::open(super::device::adapter().as_deref()).unwrap();
    for device in [&device, &device.dry()] {
        assert_eq!(device.memory().now, 0);
        let make = |len: usize| -> Buffer { device.buffer("numbers", len).unwrap() };
        let (a, b) = (make(100), make(1000));
        assert_eq!(device.memory().now, 4400);
        let copy = Recording::copy(&a, &b, 0).unwrap();
        let clone = b.clone();
        drop((a, b));
        assert_eq!(device.memory().now, 4400, "a recording and a clone are handles");
        device.run([&copy]).unwrap();
        assert_eq!(device.read::<f32>(&clone).unwrap(), [0.0; 1000]);
        drop(copy);
        // The processor needs nothing to read through.
        let read_back = if super::device::is_native() { 0 } else { 4000 };
        assert_eq!(device.memory().now, 4000 + read_back, "b, and what it was read through");
        drop(clone);
        let memory = device.memory();
        assert_eq!((memory.now, memory.peak), (read_back, 4400 + read_back));
    }
}

#[test]
fn a_dry_device_refuses_what_the_adapter_cannot_bind() {
    let device = super::device::the_device();
    let before = device.memory();
    let most = usize::try_from(device.max_binding_bytes()).unwrap() / 4;
    let dry = device.dry();
    let fits = dry.buffer("numbers", most).unwrap();
    assert!(dry.memory().now >= 4 * fits.len() as u64);
    assert!(matches!(dry.buffer("numbers", most + 4), Err(DeviceError::BufferTooLarge { .. })));
    assert_eq!(device.memory(), before, "nothing was made");
}

/// A network too wide for the adapter's buffers is refused while nothing but the plan has been made.
#[test]
fn a_run_that_cannot_fit_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let error = train(None, &out, &["width=20000"], None).unwrap_err().to_string();
    assert!(error.contains("iB") && error.contains("smaller model"), "{error}");
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_checkpoint_takes_less_than_the_measurement_before_it() {
    const N: usize = 20_000;
    for (top, bottom) in [(1, 0), (3, 0), (10, 0), (5, 5)] {
        let options = EigenOptions { top, bottom, ..Default::default() };
        let wanted = top + bottom;
        let track = Track {
            values: vec![1.0; wanted + 10],
            vectors: vec![vec![0.5; N]; wanted + 10],
            wanted,
            changes: vec![vec![0.25; N]; wanted],
            persistence: 0.5,
        };
        let held = 8 * N * (track.vectors.len() + track.changes.len());
        let state = RunState {
            step: 1,
            secs: 1.0,
            tables: [0; 3],
            cursor: None,
            moments_since: 0,
            held: None,
            moments: vec![(Moment::Momentum, vec![0.5; N])],
            before: None,
            track: Some(track),
            update_track: None,
            window: None,
            known: Default::default(),
        };
        let mut bytes = vec![];
        let taken = allocation_counter::measure(|| bytes = state.to_bytes().unwrap()).bytes_max as usize;
        assert!(bytes.len() > held && taken >= bytes.len(), "{taken} of {}", bytes.len());
        let planned = 8 * N * options.most_vectors(N);
        println!("{wanted} wanted: {held} held, {taken} for the bytes of the file, {planned} planned");
        assert!(held + taken < planned, "{wanted} wanted: {held} + {taken}, {planned} planned");
    }
}
