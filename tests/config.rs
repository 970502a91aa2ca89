//! The configuration: where it comes from, what it refuses, and that it survives being written and read.

use std::fs;
use std::path::Path;

use edgewalk::config::preset::PRESETS;
use edgewalk::config::{
    Activation, CheckpointEvery, Config, ConfigError, DataName, LossKind, MeasureMethod, MeasureOn, OptimKind,
    Reduction, TestSize, resolve,
};
use proptest::prelude::*;

fn with(sets: &[&str]) -> Result<Config, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|&set| set.into()).collect();
    resolve(None, &sets).map(|resolved| resolved.config)
}

fn message(sets: &[&str]) -> String {
    with(sets).expect_err("must be refused").to_string()
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my run.toml");
    fs::write(&path, text).unwrap();
    let resolved = resolve(path.to_str(), &[])?;
    assert_eq!(resolved.name, "my run");
    Ok(resolved.config)
}

fn file_message(text: &str) -> String {
    from_file(text).expect_err("must be refused").to_string()
}

#[test]
fn every_preset_resolves_to_itself_and_survives_writing() {
    for preset in PRESETS {
        let resolved = resolve(Some(preset.name), &[]).unwrap();
        assert_eq!((resolved.name.as_str(), &resolved.config), (preset.name, &preset.config));
        assert_eq!(from_file(&preset.config.to_toml()).unwrap(), preset.config);
    }
    assert_eq!(resolve(None, &[]).unwrap().name, "quickstart");
}

#[test]
fn sets_change_what_they_name_and_nothing_else() {
    let plain = with(&[]).unwrap();
    let changed = with(&["lr=0.25", "optim.rho = 0", "seed=7", "name=mnist", "path=a b/c"]).unwrap();
    let mut expected = plain;
    expected.optim.lr = 0.25;
    expected.optim.rho = 0.0;
    expected.run.seed = 7;
    expected.data.name = DataName::Mnist;
    expected.data.path = Some("a b/c".into());
    assert_eq!(changed, expected);
    assert!(!changed.optim.perturbs());
}

#[test]
fn values_may_be_written_in_more_than_one_way() {
    assert_eq!(with(&["lr=1"]).unwrap().optim.lr, 1.0);
    assert_eq!(with(&["lr=1e-3"]).unwrap().optim.lr, 1e-3);
    assert_eq!(with(&["steps=1_000"]).unwrap().run.steps, 1000);
    assert_eq!(with(&["activation=tanh"]).unwrap().model.activation, Activation::Tanh);
    assert_eq!(with(&["activation='tanh'"]).unwrap().model.activation, Activation::Tanh);
    assert_eq!(with(&["lr=1", "lr=2"]).unwrap().optim.lr, 2.0, "the last one counts");
    let numeric = with(&["name=mnist", "path=2024"]).unwrap();
    assert_eq!(numeric.data.path.as_deref(), Some(Path::new("2024")));
    assert_eq!(with(&["path="]).unwrap().data.path, None);
}

#[test]
fn a_file_changes_what_it_names() {
    let config = from_file("[optim]\nkind = \"gd\"\nrho = 0\n[run]\nsteps = 3\n").unwrap();
    let mut expected = with(&[]).unwrap();
    expected.optim.kind = OptimKind::Gd;
    expected.optim.rho = 0.0;
    expected.run.steps = 3;
    assert_eq!(config, expected);
}

#[test]
fn a_file_needs_no_extension_if_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings");
    fs::write(&path, "[run]\nsteps = 5").unwrap();
    let resolved = resolve(path.to_str(), &["run.seed=9".into()]).unwrap();
    assert_eq!((resolved.config.run.steps, resolved.config.run.seed), (5, 9));
}

#[test]
fn bad_values_name_the_key_the_value_and_what_is_allowed() {
    let cases = [
        ("lr=0", "above 0"),
        ("lr=-0.1", "above 0"),
        ("lr=nan", "32 bits"),
        ("lr=inf", "32 bits"),
        ("lr=1e300", "32 bits"),
        ("lr=1e-300", "above 0"),
        ("lr=fast", "above 0"),
        ("lr=", "above 0"),
        ("lr=0.03,0.1", "above 0"),
        ("rho=-1", "0 or above"),
        ("rho=nan", "32 bits"),
        ("epsilon=-1e-5", "0 or above"),
        ("momentum=1", "below 1"),
        ("momentum=0.99999999", "below 1"),
        ("momentum=-0.1", "0 or above"),
        ("nesterov=yes", "true or false"),
        ("nesterov=1", "true or false"),
        ("weight_decay=-1", "0 or above"),
        ("asam_eta=-1", "0 or above"),
        ("ascent_steps=0", "from 1 to"),
        ("micro_batch=-1", "from 0 to"),
        ("sam_from=-1", "from 0 to 9223372036854775807"),
        ("optim.kind=adam", "\"gd\", \"flow\", \"sam\", \"usam\", \"asam\""),
        ("base=sam", "\"sgd\", \"rmsprop\", \"adam\", \"adamw\""),
        ("beta1=1", "below 1"),
        ("beta2=0.99999999", "below 1"),
        ("eps=0", "above 0"),
        ("schedule=none", "\"constant\", \"cosine\", \"linear\", \"step\", \"inverse-sqrt\""),
        ("warmup=0.1", "from 0 to"),
        ("drop_every=0", "from 1 to"),
        ("drop_factor=1", "below 1"),
        ("memory=1", "below 1"),
        ("steps=0", "from 1 to 9223372036854775807"),
        ("steps=-5", "from 1 to"),
        ("steps=1.5", "whole number"),
        ("steps=99999999999999999999", "whole number"),
        ("seed=-1", "from 0 to"),
        ("seed=9223372036854775808", "from 0 to 9223372036854775807"),
        ("depth=0", "from 1 to"),
        ("width=0", "from 1 to"),
        ("width=65536", "from 1 to 65535"),
        ("train=4294967296", "from 0 to 4294967295"),
        ("log_every=0", "from 1 to"),
        ("top=0", "from 1 to"),
        ("tol=1", "below 1"),
        ("tol=0", "above 0"),
        ("max_iterations=0", "from 1 to"),
        ("batch=-1", "from 0 to 4294967295"),
        ("batch=all", "from 0 to 4294967295"),
        ("measure.on=test", "\"fixed\", \"train\", \"batch\""),
        ("measure.examples=-1", "from 0 to"),
        ("activation=relu6", "\"relu\", \"tanh\", \"gelu\", \"elu\", \"softplus\""),
        ("loss.kind=hinge", "\"mse\", \"cross-entropy\""),
        ("model.kind=rnn", "\"mlp\", \"cnn\", \"resnet\", \"vgg\", \"vit\", \"transformer\""),
        ("until=loss", "loss < NUMBER"),
        ("until=accuracy < 0.1", "error < NUMBER"),
        ("until=loss < nan", "loss < NUMBER"),
        ("until=loss < inf", "loss < NUMBER"),
        ("until=error < 0", "above 0 and at most 1"),
        ("until=error < 1.5", "above 0 and at most 1"),
        ("until=error > 1", "above 0 and at most 1"),
        ("until=0.1 < loss", "loss < NUMBER"),
        ("time_limit=-1", "0 or above"),
        ("time_limit=2h", "0 or above"),
        ("checkpoint_every=-1", "\"auto\", or a whole number"),
        ("checkpoint_every=often", "\"auto\", or a whole number"),
        ("checkpoint_every=9223372036854775808", "from 0 to 9223372036854775807"),
        ("keep=-1", "from 0 to"),
        ("tensorboard=1", "true or false"),
        ("per_decade=1001", "from 0 to 1000"),
        ("method=arnoldi", "\"lanczos\", \"power\", \"official\""),
    ];
    for (set, allowed) in cases {
        let (key, value) = set.split_once('=').unwrap();
        let text = message(&[set]);
        let leaf = key.rsplit('.').next().unwrap();
        assert!(text.contains(&format!(".{leaf} = ")), "{set}: {text}");
        assert!(text.contains(value), "{set}: {text}");
        assert!(text.contains(allowed), "{set}: {text}");
    }
}

#[test]
fn wrong_types_in_a_file_are_refused_by_name() {
    for (text, key) in [
        ("[optim]\nlr = \"0.1\"", "optim.lr"),
        ("[optim]\nlr = true", "optim.lr"),
        ("[optim.lr]\nx = 1", "optim.lr"),
        ("[run]\nsteps = 10.0", "run.steps"),
        ("[run]\nsteps = [1]", "run.steps"),
        ("[data]\npath = 3", "data.path"),
        ("[model]\nactivation = 1", "model.activation"),
        ("optim = 3", "optim = 3"),
    ] {
        let text = file_message(text);
        assert!(text.contains(key) && text.contains("must be"), "{text}");
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    for (set, nearest) in [
        ("learning_rate=1", "optim.lr"),
        ("optim.learning_rate=1", "optim.lr"),
        ("run.lr=1", "optim.lr"),
        ("optimizer.lr=1", "optim.lr"),
        ("step=1", "run.steps"),
        ("stpes=1", "run.steps"),
        ("run.step=1", "run.steps"),
        ("measure.evry=1", "measure.every"),
        ("activaton=relu", "model.activation"),
        ("hidden_width=1", "model.width"),
        ("data.nam=mnist", "data.name"),
        ("batch_size=1", "optim.batch"),
        ("optimizer.kind=sam", "optim.kind"),
        ("epsilo=1", "optim.epsilon"),
    ] {
        let text = message(&[set]);
        assert!(text.contains(&format!("did you mean `{nearest}`?")), "{set}: {text}");
    }
    for (text, unknown, nearest) in [
        ("lr = 1", "`lr`", "optim.lr"),
        ("[optimizer]\nlr = 1", "`optimizer.lr`", "optim.lr"),
        ("[optim]\nlearning_rate = 1", "`optim.learning_rate`", "optim.lr"),
        ("[mesure]\nevery = 1", "`mesure.every`", "measure.every"),
        ("[run]\nsteps = 1\nsede = 1", "`run.sede`", "run.seed"),
        ("[empty]", "`empty`", ""),
    ] {
        let text = file_message(text);
        assert!(text.contains(unknown) && text.contains(nearest), "{text}");
    }
}

#[test]
fn what_other_programs_have_is_said_to_be_missing_or_elsewhere() {
    for (set, says) in [
        ("optim.warmup_steps=100", "set `optim.warmup`"),
        ("lr-scheduler=cosine", "did you mean `optim.schedule`?"),
        ("gamma=0.1", "did you mean `optim.drop_factor`?"),
        ("betas=0.9", "did you mean `optim.beta1` and `optim.beta2`?"),
        ("optimizer=adam", "did you mean `optim.kind`?"),
        ("optim.kind=adam", "values of `optim.base`"),
        ("optim.base=lion", "RMSProp, Adam and AdamW alone"),
        ("optim.schedule=cosin", "did you mean \"cosine\"?"),
        ("optim.kind=sgd", "`optim.batch` above 0"),
        ("optim.kind=sma", "did you mean \"sam\"?"),
        ("activation=reluu", "did you mean \"relu\"?"),
        ("device=cuda", "`--adapter`"),
        ("epochs=3", "set `run.steps`"),
        ("dropout=0.1", "there is no dropout"),
    ] {
        let text = message(&[set]);
        assert!(text.contains(says), "{set}: {text}");
    }
    // What is near nothing suggests nothing.
    for text in [message(&["frobnicate=1"]), message(&["zz.colour_of_the_sky=1"]), message(&["optim.kind=lookahead"])] {
        assert!(!text.contains("did you mean"), "{text}");
    }
    let text = resolve(Some("adam"), &[]).unwrap_err().to_string();
    assert!(!text.contains("did you mean") && text.contains("known presets: quickstart"), "{text}");
    // Nothing of what is asked for reaches the terminal as a command to it.
    let text = message(&["\u{1b}[2J=1"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn shared_short_names_list_their_candidates() {
    let text = message(&["kind=sam"]);
    assert!(text.contains("model.kind, loss.kind, optim.kind"), "{text}");
    assert!(matches!(with(&["lr"]), Err(ConfigError::NotKeyValue { .. })));
}

#[test]
fn values_that_exclude_one_another_are_refused_with_a_way_out() {
    assert!(!with(&["optim.kind=gd"]).unwrap().optim.perturbs());
    assert!(!with(&["rho=0"]).unwrap().optim.perturbs());
    let text = message(&["loss.kind=cross-entropy", "reduction=half-sum"]);
    assert!(text.contains("half-sum") && text.contains("\"mse\""), "{text}");
    assert!(with(&["loss.kind=cross-entropy"]).is_ok());
    assert!(with(&["reduction=half-sum"]).is_ok());
    for (sets, parts) in [
        (&["sam_from=5", "sam_until=5"][..], ["sam_until = 5", "0 is the end"]),
        (&["nesterov=true"], ["without momentum", "optim.momentum"]),
        (&["micro_batch=10", "chunk=20"], ["run.chunk = 20", "run.chunk = 0"]),
        (&["micro_batch=65", "batch=64"], ["optim.batch = 64", "lower optim.micro_batch"]),
        (&["micro_batch=1001"], ["data.train = 1000", "lower optim.micro_batch"]),
        (&["measure.examples=5"], ["measure.examples = 5", "set measure.on = \"fixed\""]),
        (&["measure.examples=5", "measure.on=batch"], ["measure.on = \"batch\"", "measure.examples = 0"]),
        (&["window=8", "per_decade=3"], ["measure.window = 8", "measure.per_decade = 0"]),
    ] {
        let text = message(sets);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    for sets in [
        &["sam_from=5"][..],
        &["sam_from=5", "sam_until=6"],
        &["nesterov=true", "momentum=0.9"],
        &["micro_batch=64", "batch=64"],
    ] {
        assert!(with(sets).is_ok(), "{sets:?}");
    }
    let text = message(&["path=/data"]);
    assert!(text.contains("/data") && text.contains("data.name"), "{text}");
}

#[test]
fn unknown_presets_and_files_say_what_there_is() {
    let text = resolve(Some("quikstart"), &[]).unwrap_err().to_string();
    assert!(text.contains("did you mean `quickstart`"), "{text}");
    let text = resolve(Some("minst-mlp"), &[]).unwrap_err().to_string();
    assert!(text.contains("did you mean `mnist-mlp`") && text.contains(".toml"), "{text}");
    let text = resolve(Some("no/such.toml"), &[]).unwrap_err().to_string();
    assert!(text.contains("no/such.toml"), "{text}");
    let text = file_message("[run]\nsteps = = 3");
    assert!(text.contains("my run.toml") && text.contains("line 2"), "{text}");
}

#[test]
fn measuring_by_decades_counts_what_it_does() {
    let due = |set: &str, steps: u64| -> Vec<u64> {
        let measure = with(&[set]).unwrap().measure;
        (0..steps).filter(|&step| measure.due(step)).collect()
    };
    assert_eq!(due("per_decade=1", 20_000), [0, 1, 10, 100, 1000, 10_000]);
    assert_eq!(due("per_decade=3", 300), [0, 1, 2, 5, 10, 22, 46, 100, 215]);
    assert_eq!(due("measure.every=7", 22), [0, 7, 14, 21]);
    assert_eq!(due("measure.every=0", 100), [0; 0]);
    for set in ["per_decade=1", "per_decade=3", "per_decade=10", "per_decade=1000", "measure.every=7"] {
        for steps in [1, 2, 9, 10, 11, 14, 100, 1000, 5000] {
            // The end of the run counts too.
            assert_eq!(with(&[set]).unwrap().measure.count(steps), due(set, steps).len() as u64 + 1, "{set} {steps}");
        }
    }
    assert!(
        with(&["per_decade=1000", &format!("steps={}", i64::MAX)]).unwrap().measure.count(i64::MAX as u64) < 20_000
    );
    let measure = with(&["measure.every=0"]).unwrap().measure;
    assert!(!measure.is_on() && measure.count(10) == 0);
}

prop_compose! {
    fn any_config()(
        examples in (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        model in (1..=1000_usize, 1..=65_535_usize, 0..5_usize),
        words in (any::<bool>(), any::<bool>(), any::<bool>()),
        rule in (0..4_usize, 1..=1000_usize, 0..i64::MAX as u64, 0.0..0.999_f64, 0.0..=f32::MAX),
        path in proptest::option::of("[^\0]{1,20}"),
        reals in (f32::MIN_POSITIVE..=f32::MAX, 0.0..=f32::MAX, 0.0..1.0_f64, 1e-9..0.99_f64),
        run in (1..=i64::MAX as u64, 0..=i64::MAX as u64, 1..=i64::MAX as u64),
        measure in (0..=i64::MAX as u64, 1..=100_usize, 1..=u32::MAX as usize),
        until in proptest::option::of(prop_oneof![
            (-1e9..1e9_f64).prop_map(|below| format!("loss < {below:?}")),
            (1e-9..=1.0_f64).prop_map(|below| format!("error < {below:?}")),
        ]),
        ends in (0.0..1e9_f64, proptest::option::of(0..=i64::MAX as u64)),
    ) -> Config {
        let mut config = PRESETS[1].config.clone();
        config.data.path = path.map(Into::into);
        (config.data.train, config.data.test) = (examples.0 as usize, TestSize::First(examples.1 as usize));
        config.run.chunk = examples.2 as usize;
        (config.optim.batch, config.measure.examples) = (examples.3 as usize, examples.4 as usize);
        (config.model.depth, config.model.width) = (model.0, model.1);
        config.model.activation = [
            Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Elu, Activation::Softplus,
        ][model.2];
        if words.0 { config.loss.kind = LossKind::CrossEntropy } else { config.loss.reduction = Reduction::HalfSum }
        if words.1 {
            (config.measure.method, config.measure.examples) = (MeasureMethod::Power, 0);
        } else {
            config.measure.on = MeasureOn::Fixed;
        }
        config.optim.lr = f64::from(reals.0);
        config.optim.rho = f64::from(reals.1);
        config.optim.kind = [OptimKind::Gd, OptimKind::Sam, OptimKind::Usam, OptimKind::Asam][rule.0];
        if rule.0 == 0 { config.optim.rho = 0.0 }
        (config.optim.ascent_steps, config.optim.sam_from, config.optim.momentum) = (rule.1, rule.2, rule.3);
        config.optim.sam_until = if words.2 { rule.2 + 1 } else { 0 };
        config.optim.nesterov = words.2 && rule.3 > 0.0;
        (config.optim.weight_decay, config.optim.asam_eta) = (f64::from(rule.4), f64::from(rule.4));
        config.optim.epsilon = reals.2;
        config.measure.tol = reals.3;
        config.run.until = until.map(|text| text.parse().unwrap());
        config.run.time_limit = ends.0;
        config.run.checkpoint_every = ends.1.map_or(CheckpointEvery::AUTO, CheckpointEvery::Steps);
        (config.run.keep, config.run.tensorboard) = (examples.0 as usize, words.0);
        (config.run.steps, config.run.seed, config.run.log_every) = run;
        (config.measure.every, config.measure.top, config.measure.max_iterations) = measure;
        config
    }
}

proptest! {
    #[test]
    fn written_and_read_back_is_identical(config in any_config()) {
        prop_assert_eq!(from_file(&config.to_toml()).unwrap(), config);
    }
}
