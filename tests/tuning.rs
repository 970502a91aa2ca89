//! The choice of kernels: how it is written, remembered, repeated, and when timing overrules the default rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edgewalk::data::{Dataset, made_up};
use edgewalk::device::{AdapterSummary, Device};
use edgewalk::folder::choices::{Known, parse, words};
use edgewalk::gpu::Gpu;
use edgewalk::kernel::{Choices, Kernel, ShapeClass, Target, Variant};
use edgewalk::model::{Activation, Loss, Mlp, Reduction};
use edgewalk::objective::Objective;
use edgewalk::objective::tune::{Tuner, decide};
use edgewalk::run::kernel_cache::KernelCache;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds, text};
use super::device::wgpu;
use super::program::{edgewalk_on_wgpu, wgpu_adapter};
use super::whole_runs::{assemble, config};

/// Runs of a second or so.
const TINY: [&str; 9] = ["train", "--set", "width=12", "--set", "train=50", "--set", "test=20", "--set", "steps=6"];

/// What kernels are compiled for.
fn own_target() -> Target {
    wgpu().target().unwrap().clone()
}

fn class(text: &str) -> ShapeClass {
    text.parse().unwrap()
}

fn variant(text: &str) -> Variant {
    text.parse().unwrap()
}

fn some_choices() -> Known {
    [
        (class("matmul 1x1024x64x256"), variant("subgroup 4x32")),
        (class("matmul 8x64x16x1024 At"), variant("tile 64x16 by 4x4")),
        (class("conv 1x128x8x32"), variant("rows 8x16")),
    ]
    .into()
}

#[test]
fn classes_and_variants_are_read_as_they_are_written() {
    for &variant in Variant::ALL {
        assert_eq!(variant.to_string().parse(), Ok(variant));
    }
    for text in ["matmul 1x1024x64x256", "matmul 8x64x16x1024 At", "conv 1x128x8x32", "conv 32x32x8x4096 At"] {
        assert_eq!(class(text).to_string(), text);
    }
    for text in ["", "matmul", "matmul 1x2x4", "matmul 1x2x4x8x16", "matmul 1x2x4x-8", "dot 1x2x4x8", "conv 1x2x4x8 Bt"]
    {
        assert_eq!(text.parse::<ShapeClass>(), Err(()), "{text}");
    }
    for text in ["", "tile", "tile 1x1", "subgroup 4x32 ", "Tile 64x64"] {
        assert_eq!(text.parse::<Variant>(), Err(()), "{text}");
    }
    let text = json!({ "choices": words(&some_choices()), "other": [1, 2] }).to_string();
    assert_eq!(parse(&text), Ok(some_choices()));
}

#[test]
fn the_rule_of_thumb_stands_unless_another_is_clearly_faster() {
    let [a, b, c] = [0, 1, 2].map(|i| Variant::ALL[i]);
    assert_eq!(decide(a, &[(a, 1.0), (b, 0.89), (c, 0.95)]), b);
    assert_eq!(decide(b, &[(a, 0.95), (b, 1.0), (c, 0.91)]), b);
    assert_eq!(decide(a, &[(a, 1.0), (b, 0.9), (c, 0.5)]), c);
    // Nothing timed, or no time for all: nothing is known.
    assert_eq!(decide(a, &[]), a);
    assert_eq!(decide(a, &[(b, 0.5)]), a);
}

fn adapter(name: &str) -> AdapterSummary {
    AdapterSummary { name: name.into(), ..wgpu().adapter().clone() }
}

#[test]
fn what_is_remembered_is_read_back_for_the_same_adapter_only() {
    let folder = tempdir().unwrap();
    let cache = KernelCache::within(folder.path(), &adapter("An Adapter (256 bits)"));
    assert_eq!(cache.read(), Ok(Known::new()));
    let lock = cache.lock().unwrap();
    cache.write(&some_choices()).unwrap();
    drop(lock);
    assert_eq!(cache.read(), Ok(some_choices()));
    let file: Value = serde_json::from_slice(&fs::read(cache.path()).unwrap()).unwrap();
    assert_eq!(file["choices"]["matmul 1x1024x64x256"], "subgroup 4x32");
    assert_eq!(file["adapter"], "An Adapter (256 bits)");
    assert!(cache.path().file_name().unwrap().to_str().unwrap().starts_with("an-adapter"), "{:?}", cache.path());

    let other = KernelCache::within(folder.path(), &adapter("An Adapter [256 bits]"));
    assert_eq!(other.read(), Ok(Known::new()));
    fs::copy(cache.path(), other.path()).unwrap();
    assert!(other.read().unwrap_err().contains("another adapter"));
}

#[test]
fn damaged_files_are_refused_in_words() {
    let folder = tempdir().unwrap();
    let cache = KernelCache::within(folder.path(), wgpu().adapter());
    cache.write(&some_choices()).unwrap();
    let good = fs::read_to_string(cache.path()).unwrap();
    let cases: [(&str, Vec<u8>); 6] = [
        ("EOF", good.as_bytes()[..good.len() / 2].to_vec()),
        ("UTF-8", vec![0xff; 100]),
        ("1024 KiB", format!("{good}{}", " ".repeat(2 << 20)).into_bytes()),
        ("`subgroup 5x5`", good.replace("subgroup 4x32", "subgroup 5x5").into_bytes()),
        ("`matmul 1x2`", good.replace("matmul 1x1024x64x256", "matmul 1x2").into_bytes()),
        ("choices", b"{}".to_vec()),
    ];
    for (part, bytes) in cases {
        fs::write(cache.path(), bytes).unwrap();
        let problem = cache.read().unwrap_err();
        assert!(problem.contains(part) && problem.contains("delete that file"), "{part}: {problem}");
    }
}

fn objective() -> Objective {
    let mlp = Mlp { inputs: 784, width: 20, depth: 3, outputs: 10, activation: Activation::Relu };
    Objective::new(wgpu(), Arc::new(mlp), Loss::Mse(Reduction::Mean), &made_up::images(64, [28, 28, 1]).unwrap(), 0)
        .unwrap()
}

#[test]
fn every_class_gets_a_choice_whatever_the_time() {
    let objective = objective();
    let mut tuner = Tuner::new(wgpu(), &objective).unwrap();
    let contractions = tuner.contractions().to_vec();
    assert!(contractions.len() > 2 && contractions.is_sorted_by(|a, b| a.flops >= b.flops));
    // No time at all: the default rules, except for what is known.
    let other = Variant::ALL.iter().copied().find(|v| v.suits(&own_target()) && *v != contractions[1].default).unwrap();
    let known: Known = [(contractions[1].class, other)].into();
    let chosen = tuner.choose(&known, Instant::now()).unwrap();
    assert_eq!(chosen.len(), contractions.len());
    for (i, contraction) in contractions.iter().enumerate() {
        assert_eq!(chosen[&contraction.class], if i == 1 { other } else { contraction.default });
    }
    // Time for all: every variant that suits is timed, the default rule's first, and nothing stays behind on the device.
    let before = wgpu().memory();
    let times = tuner.time(&contractions[0], None).unwrap();
    assert_eq!(wgpu().memory(), before);
    assert_eq!(times[0].0, contractions[0].default);
    assert_eq!(times.len(), Variant::ALL.iter().filter(|variant| variant.suits(&own_target())).count());
    assert!(times.iter().all(|(_, secs)| *secs > 0.0 && *secs < 1.0), "{times:?}");
}

#[test]
fn choices_belong_to_a_handle_of_the_device() {
    let device = wgpu();
    let default = device.target().unwrap().choices.clone();
    let known = some_choices();
    let tuned = device.with_choices(Choices { tried: None, known: known.clone() });
    assert_eq!(tuned.target().unwrap().choices.known, known);
    assert_eq!(tuned.dry().target().unwrap().choices.known, known);
    assert_eq!(device.target().unwrap().choices, default);
}

#[test]
fn what_a_run_records_leads_to_the_same_kernels() {
    let seen: Arc<Mutex<Vec<Kernel>>> = Arc::default();
    let loaded = Arc::clone(&seen);
    let opened =
        Gpu::open_altered(Some(&wgpu_adapter()), move |kernel| loaded.lock().unwrap().push(kernel.clone())).unwrap();
    let mlp = Arc::new(Mlp { inputs: 64, width: 12, depth: 3, outputs: 10, activation: Activation::Tanh });
    let data = Dataset { train: made_up::images(50, [8, 8, 1]).unwrap(), test: None };
    let config = config(&[]);
    // The kernels of a run on a device that knows this, and what is recorded.
    let run = |target: &Target, known: Known| {
        let choices = Arc::new(Choices { tried: None, known });
        let device = Device::Gpu(opened.dry_for(Target { choices, ..target.clone() }));
        assemble(&device, &config, mlp.clone(), &data);
        (std::mem::take(&mut *seen.lock().unwrap()), device.variants())
    };
    let mut mixed = 0;
    for (subgroup, max_bindings) in [(Some(8), 16), (Some(8), 4), (None, 16), (None, 4)] {
        let target = Target { subgroup, max_bindings, cpu: true, ..own_target() };
        let (plain, _) = run(&target, Known::new());
        let classes: BTreeSet<ShapeClass> = plain.iter().filter_map(|kernel| Some(kernel.variant?.0)).collect();
        for variant in Variant::ALL.iter().copied().filter(|variant| variant.suits(&target)) {
            let (kernels, recorded) = run(&target, classes.iter().map(|&class| (class, variant)).collect());
            let mut taken: BTreeMap<ShapeClass, BTreeSet<Variant>> = BTreeMap::new();
            for (class, variant) in kernels.iter().filter_map(|kernel| kernel.variant) {
                taken.entry(class).or_default().insert(variant);
            }
            // Not every epilogue is for every block.
            mixed += taken.values().filter(|variants| variants.len() > 1).count();
            let (repeated, again) = run(&target, recorded.clone());
            let sources = |kernels: &[Kernel]| kernels.iter().map(|kernel| kernel.wgsl.clone()).collect::<Vec<_>>();
            assert!(sources(&repeated) == sources(&kernels), "{variant} everywhere: {taken:?} becomes {again:?}");
            assert_eq!(again, recorded);
        }
    }
    assert!(mixed > 0, "no class got two variants");
}

/// The columns of metrics.csv that may not differ.
fn curve(run: &Path) -> String {
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let without_secs =
        |line: &str| line.split(',').enumerate().filter(|(i, _)| *i != 1).map(|(_, x)| x).collect::<Vec<_>>().join(",");
    assert_eq!(text.lines().next().unwrap().split(',').nth(1), Some("secs"));
    text.lines().map(without_secs).collect::<Vec<_>>().join("\n")
}

fn choices(run: &Path) -> Value {
    let manifest: Value = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    manifest["choices"].clone()
}

#[test]
fn a_tuned_run_repeats_from_the_cache_and_from_its_manifest() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let run = |out: &str, sets: &[&str]| {
        let mut command = edgewalk_on_wgpu(here, &[&TINY[..], &["--out", out], sets].concat());
        command.env("EDGEWALK_CACHE", here.join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let tune = ["--set", "run.tune=0.5"];
    // Looking ahead times nothing.
    succeeds({
        let mut command = edgewalk_on_wgpu(here, &[&TINY[..], &tune, &["--dry-run"]].concat());
        command.env("EDGEWALK_CACHE", here.join("cache"));
        command
    });
    assert!(!here.join("cache").exists());

    let said = run("first", &tune);
    assert!(said.contains("kernels timed in"), "{said}");
    let files = || fs::read_dir(here.join("cache/kernels")).unwrap().map(|entry| entry.unwrap().path());
    let file = files().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let remembered = fs::read(&file).unwrap();
    let said = run("second", &tune);
    assert!(!said.contains("kernels timed in"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), remembered);
    assert_eq!(curve(&here.join("second")), curve(&here.join("first")));
    assert_eq!(choices(&here.join("second")), choices(&here.join("first")));

    // All that is remembered and used is in the manifest, and the manifest is enough.
    let stored: Value = serde_json::from_slice(&remembered).unwrap();
    for (class, variant) in stored["choices"].as_object().unwrap() {
        assert_eq!(choices(&here.join("first"))[class], *variant, "{class}");
    }
    fs::remove_dir_all(here.join("cache")).unwrap();
    run("repeated", &["--set", "kernels=first/manifest.json"]);
    assert!(!here.join("cache").exists());
    assert_eq!(curve(&here.join("repeated")), curve(&here.join("first")));
    assert_eq!(choices(&here.join("repeated")), choices(&here.join("first")));

    // The checkpoint says the same.
    let state = fs::read(here.join("first/checkpoints/step_00000006/state.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&state).unwrap();
    let noted: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["choices"]).unwrap();
    assert_eq!(noted, choices(&here.join("first")));

    // Without time the cache is not even read, and the default rules decide.
    let spoiled = here.join("cache/kernels").join(file.file_name().unwrap());
    fs::create_dir_all(spoiled.parent().unwrap()).unwrap();
    fs::write(&spoiled, "spoiled").unwrap();
    assert_eq!(run("plain", &["--set", "run.tune=0"]), "");
    // With time, a spoiled file is pointed out once, left alone, and the run goes on with them.
    let said = run("warned", &tune);
    assert!(said.matches("warning: ").count() == 1 && said.contains("delete that file"), "{said}");
    assert_eq!(fs::read_to_string(&spoiled).unwrap(), "spoiled");
    assert_eq!(curve(&here.join("warned")), curve(&here.join("plain")));
    assert_eq!(choices(&here.join("warned")), choices(&here.join("plain")));
}

#[test]
fn choices_that_fix_a_run_are_taken_or_refused() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let kernels = |content: &str| {
        fs::write(here.join("k.json"), content).unwrap();
        edgewalk_on_wgpu(here, &[&TINY[..], &["--set", "kernels=k.json", "--out", "run"]].concat())
    };
    refuses(kernels("{"), 2, &["k.json", "run.kernels", "manifest.json"]);
    refuses(kernels("{}"), 2, &["choices"]);
    refuses(
        kernels(r#"{"choices": {"matmul 1x2x4x8": "tile 3x3"}}"#),
        2,
        &["`tile 3x3`", "matmul 1x2x4x8", "tile 64x64 by 8x4"],
    );
    refuses(kernels(r#"{"choices": {"matmul 1x2": "tile 64x64 by 8x4"}}"#), 2, &["`matmul 1x2`"]);
    let unsuitable = Variant::ALL.iter().find(|variant| !variant.suits(&own_target())).unwrap();
    let content = json!({ "choices": { "matmul 1x64x16x1024": unsuitable.to_string() } }).to_string();
    refuses(kernels(&content), 2, &["kind of adapter", &unsuitable.to_string()]);
    refuses(edgewalk_on_wgpu(here, &[&TINY[..], &["--set", "kernels=none.json"]].concat()), 2, &["none.json"]);

    // Another variant than the default rule's, for the first layer: it is the one that is used.
    let objective = objective();
    let first = Tuner::new(wgpu(), &objective).unwrap().contractions()[0].clone();
    let other = Variant::ALL.iter().find(|v| v.suits(&own_target()) && **v != first.default).unwrap();
    let content = json!({ "choices": { first.class.to_string(): other.to_string() } }).to_string();
    succeeds(kernels(&content));
    let used = choices(&here.join("run"));
    assert!(used.as_object().unwrap().len() > 1, "{used}");
    if let Some(variant) = used.get(first.class.to_string()) {
        assert_eq!(*variant, json!(other.to_string()));
    }
}

#[test]
fn times_to_spend_are_checked() {
    let folder = tempdir().unwrap();
    for value in ["-1", "nan", "inf", "1e9", "soon"] {
        refuses(
            edgewalk(folder.path(), &["train", "--set", &format!("tune={value}")]),
            2,
            &["run.tune", "auto", "seconds"],
        );
    }
    for (value, written) in [("auto", "tune = \"auto\""), ("2", "tune = 2.0"), ("0.5", "tune = 0.5")] {
        let set = format!("tune={value}");
        let printed = succeeds(edgewalk(folder.path(), &["train", "--print-config", "--set", &set]));
        assert!(printed.contains(written), "{printed}");
    }
    // On a GPU about a second, once.
    assert!(Duration::from_secs_f64(edgewalk::config::Tune::AUTO.secs(false)) <= Duration::from_secs(1));
}

#[test]
fn all_variants_are_listed_with_their_times() {
    let folder = tempdir().unwrap();
    // A kernel gradient stores its product and nothing else, which every variant can do.
    let args = ["bench", "--variants", "--set", "depth=2", "--set", "width=64", "--set", "train=20"];
    let printed = succeeds(edgewalk_on_wgpu(folder.path(), &args));
    for part in ["quickstart on ", "20 examples at a time", "°", "*", "share", "contraction", "matmul 1x32x64x1024"] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    for variant in Variant::ALL.iter().filter(|variant| variant.suits(&own_target())) {
        assert!(printed.contains(&variant.to_string()), "{variant} is not in\n{printed}");
    }
    // Each line has a best.
    let lines: Vec<&str> = printed.lines().filter(|line| line.contains("matmul ")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("1.00")), "{printed}");
}
