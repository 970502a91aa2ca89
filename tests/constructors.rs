//! Callers of the library who hand over anything at all: every constructor refuses it by name or computes.
//!
//! `PROPTEST_CASES` says how many random calls are made of each kind.

use std::sync::Arc;

use edgewalk::curvature::edge::felt_curvature;
use edgewalk::curvature::{
    DensityOptions, EigenOptions, FnOperator, Operator, Order, TraceOptions, lanczos, official, power_iteration,
    spectral_density, trace,
};
use edgewalk::data::{DataName, Examples, Features, Request, made_up};
use edgewalk::device::Recording;
use edgewalk::model::{
    Activation, Cnn, Layout, Loss, Mlp, Model, Norm, Pool, Readout, Reduction, ResNet, Transformer, Vgg, Vit,
    initial_params,
};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Ascent, Batches, Optimizer, Probe, Rule};
use proptest::prelude::*;

use super::device::{the_device, wgpu};

/// The message of a refusal, which must say something of each of `words`.
pub fn refused<T>(result: Result<T, impl std::error::Error>, words: &[&str]) {
    let Err(error) = result else { panic!("not refused: {words:?}") };
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

fn real(values: &[f32]) -> Features {
    Features::Real(values.to_vec())
}

fn mlp(inputs: usize, outputs: usize) -> Mlp {
    Mlp { inputs, width: 3, depth: 2, outputs, activation: Activation::Tanh }
}

fn two_points() -> Examples {
    Examples::new(real(&[1.0, 0.0, 0.0, 1.0]), [2], vec![0, 1], 2).unwrap()
}

fn objective() -> Objective {
    Objective::new(the_device(), Arc::new(mlp(2, 2)), Loss::CrossEntropy, &two_points(), 0).unwrap()
}

#[test]
fn examples_say_what_does_not_fit() {
    refused(Examples::new(real(&[]), [2], vec![], 2), &["no example"]);
    refused(Examples::new(real(&[1.0]), [2, 0], vec![0], 2), &["shape [2, 0]"]);
    refused(Examples::new(real(&[1.0, 2.0, 3.0]), [2], vec![0], 2), &["3 features", "shape [2]"]);
    refused(Examples::new(real(&[1.0]), [usize::MAX, 2], vec![0], 2), &["1 feature cannot"]);
    refused(Examples::new(real(&[1.0, 2.0]), [2], vec![0, 1], 2), &["2 labels", "1 example of 1 label each", "give 1"]);
    refused(Examples::new(Features::Tokens(vec![1, 2, 3, 4]), [2], vec![1, 2], 5), &["2 labels", "2 examples of 2"]);
    refused(Examples::new(real(&[1.0, 2.0]), [1], vec![0, 2], 2), &["label 2 of example 1", "`classes` = 2"]);
    refused(Examples::new(real(&[1.0]), [1], vec![0], 0), &["0 classes"]);
    refused(Examples::new(real(&[1.0, 2.0, 3.0, f32::NAN]), [2], vec![0, 1], 2), &["feature 1 of example 1 is NaN"]);
    refused(two_points().select(&[0, 2]), &["example 2", "there are 2"]);
    refused(two_points().select(&[]), &["no example"]);
    refused(made_up::images(0, [2, 2, 1]), &["no example"]);
    refused(made_up::windows(usize::MAX, usize::MAX), &["memory does not hold"]);
    let text = Request { seq_len: 0, path: Some("/dev/null".into()), ..Request::new(DataName::Text) };
    refused(edgewalk::data::load(&text), &["seq_len is 0"]);
}

#[test]
fn objectives_say_what_does_not_fit() {
    let of = |outputs: usize, loss: Loss, data: &Examples| {
        Objective::new(the_device(), Arc::new(mlp(2, outputs)), loss, data, 0).map(|_| ())
    };
    refused(of(3, Loss::CrossEntropy, &two_points()), &["[1, 3]", "2 classes", "[1, 2]"]);
    refused(of(1, Loss::Mse(Reduction::Mean), &two_points()), &["[1, 1]", "[1, 2]"]);
    refused(of(2, Loss::Output, &two_points()), &["[1, 2]", "[1, 1]"]);
    refused(of(0, Loss::CrossEntropy, &two_points()), &["Mlp.outputs = 0", "from 1"]);
    refused(of(2, Loss::Custom(|_, outputs, _| outputs), &two_points()), &["one value for each label", "[2,2]"]);
    let transformer = Transformer { layers: 1, heads: 1, key_size: 2, model_size: 4, length: 2, vocabulary: 5 };
    let text = |token: u32| Examples::new(Features::Tokens(vec![1, token]), [2], vec![1, 1], 5).unwrap();
    let reads =
        |token| Objective::new(the_device(), Arc::new(transformer.clone()), Loss::CrossEntropy, &text(token), 0);
    refused(reads(5).map(|_| ()), &["token 5", "5 codes"]);
    assert!(reads(4).is_ok());

    let mut objective = objective();
    let three = Examples::new(real(&[0.0; 6]), [2], vec![0, 1, 0], 2).unwrap();
    refused(objective.replace(&three), &["3 examples in the place of 2"]);
    let flat = Examples::new(real(&[0.0; 2]), [1], vec![0, 1], 2).unwrap();
    refused(objective.replace(&flat), &["2 F32 features"]);
    let w = objective.vector("w").unwrap();
    let len = objective.layout().len();
    refused(objective.set_params(&w, &vec![0.0; len - 1]), &[&format!("{} parameters", len - 1), &len.to_string()]);
    let mut params = initial_params(objective.layout(), 0);
    params[2 * 3 + 1] = f32::INFINITY;
    refused(objective.set_params(&w, &params), &["dense0.bias", "inf at index 1"]);
    refused(objective.set_params(&the_device().buffer("a short one", 3).unwrap(), &vec![0.0; len]), &["3 elements"]);
    refused(objective.chunk_gradient(7, &w, &w, false, None), &["no chunk 7"]);
    let short = the_device().buffer("a short one", 3).unwrap();
    refused(objective.gradient(&w, &short, None), &["slot 4", "3"]);
    refused(objective.difference(&short, &w, &w), &["3 elements"]);
    refused(Probe::new(&mut objective, Rule::sam(0.1, 0.1), &short).map(|_| ()), &["3 elements"]);
    refused(Optimizer::new(&mut objective, Rule::gd(f64::NAN), &w).map(|_| ()), &["Rule.lr = NaN"]);
    refused(
        Optimizer::new(&mut objective, Rule { momentum: 1.0, ..Rule::gd(0.1) }, &w).map(|_| ()),
        &["momentum = 1.0"],
    );
    let no_steps = Rule { ascent_steps: 0, ..Rule::sam(0.1, 0.1) };
    refused(Optimizer::new(&mut objective, no_steps, &w).map(|_| ()), &["ascent_steps = 0"]);
    let groups = Rule { micro_batch: 1, ..Rule::sam(0.1, 0.1) };
    refused(Optimizer::new(&mut objective, groups, &w).map(|_| ()), &["groups of 1", "2"]);
    refused(Batches::new(5, 6, 0), &["batches of 6 out of 5"]);
    let mut batches = Batches::new(5, 5, 0).unwrap();
    assert_eq!(batches.indices(u64::MAX).len(), 5);

    let mut hessian = HessianOperator::new(&mut objective, &w).unwrap();
    let (right, mut out) = (vec![0.0; len], vec![0.0; len]);
    refused(hessian.apply(&vec![0.0; len + 1], &mut out), &[&format!("{} entries", len + 1)]);
    refused(hessian.apply(&right, &mut vec![0.0; len - 1]), &[&format!("{} entries", len - 1)]);
    refused(hessian.apply_block(&[&right, &right], &mut [out]), &["2 vectors", "1 products"]);
}

#[test]
fn buffers_say_what_does_not_fit() {
    let (short, long) = (the_device().buffer("short", 2).unwrap(), the_device().buffer("long", 5).unwrap());
    refused(the_device().buffer("too long", usize::MAX), &["too long needs a buffer", "MiB"]);
    refused(the_device().write(&short, &[0.0_f32; 3]), &["3 elements", "buffer of 2"]);
    refused(Recording::copy(&long, &short, 0), &["5 elements", "buffer of 2"]);
    refused(Recording::copy(&short, &long, usize::MAX), &["2 elements"]);
    let dry = the_device().dry().buffer("dry", 2).unwrap();
    refused(the_device().write(&dry, &[0.0_f32]), &["dry device"]);
    refused(the_device().read::<f32>(&dry), &["dry device"]);
    refused(Recording::copy(&dry, &long, 0), &["dry device"]);
    refused(wgpu().repeated_secs(&Recording::default(), usize::MAX), &["repetitions"]);
}

#[test]
fn sizes_that_make_no_network_are_refused() {
    let cnn = Cnn::paper([8, 8, 1], 4, 10);
    for (model, words) in [
        (Box::new(mlp(0, 2)) as Box<dyn Model>, "Mlp.inputs = 0"),
        (Box::new(Mlp { depth: 0, ..mlp(2, 2) }), "Mlp.depth = 0"),
        (Box::new(Mlp { depth: usize::MAX, ..mlp(2, 2) }), "from 1 to 65535"),
        (Box::new(Mlp { width: 1 << 32, ..mlp(2, 2) }), "Mlp.width"),
        (Box::new(Mlp { width: 1 << 20, ..mlp(1 << 20, 2) }), "dense0.kernel"),
        (Box::new(Cnn { growth: 0, ..cnn.clone() }), "Cnn.growth = 0"),
        (Box::new(Cnn { stride: 0, ..cnn.clone() }), "Cnn.stride = 0"),
        (Box::new(Cnn { blocks: 60, growth: 3, ..cnn.clone() }), "growth^(blocks − 1)"),
        (Box::new(Cnn { blocks: 9, growth: 1, ..cnn.clone() }), "pooling leaves something"),
        (Box::new(Cnn { blocks: 60_000, growth: 1, layers_per_block: 60_000, ..cnn.clone() }), "layers_per_block"),
        (Box::new(Cnn { norm: Norm::Group, groups: 3, ..cnn.clone() }), "Cnn.groups = 3"),
        (Box::new(Cnn { norm: Norm::Group, groups: 0, ..cnn }), "divisor of the 4 channels"),
        (Box::new(ResNet { blocks: 0, ..resnet() }), "ResNet.blocks = 0"),
        (Box::new(ResNet { blocks: usize::MAX, ..resnet() }), "from 1 to 65535"),
        (Box::new(ResNet { channels: 1 << 31, ..resnet() }), "4 · ResNet.channels"),
        (Box::new(ResNet { norm: Norm::Group, groups: 3, ..resnet() }), "ResNet.groups = 3"),
        (Box::new(Vgg { image: [31, 32, 3], ..vgg() }), "Vgg.image[0] = 31"),
        (Box::new(Vgg { channels: usize::MAX, ..vgg() }), "Vgg.channels"),
        (Box::new(Vit { patch_size: 5, ..vit() }), "Vit.patch_size = 5"),
        (Box::new(Vit { patch_size: 0, ..vit() }), "Vit.patch_size = 0"),
        (Box::new(Vit { image: [1 << 31, 1 << 31, 1], patch_size: 1, ..vit() }), "the number of patches"),
    ] {
        refused(Layout::of(&*model), &[words]);
    }
}

fn resnet() -> ResNet {
    let (image, norm, activation) = ([8, 8, 1], Norm::Group, Activation::Relu);
    ResNet { image, blocks: 1, channels: 4, norm, groups: 2, activation, outputs: 10 }
}

fn vgg() -> Vgg {
    let (image, norm, activation, pool) = ([32, 32, 3], Norm::Group, Activation::Relu, Pool::Max);
    Vgg { image, channels: 4, norm, groups: 2, activation, pool, outputs: 10 }
}

fn vit() -> Vit {
    let (image, readout) = ([8, 8, 1], Readout::Class);
    Vit { image, patch_size: 4, layers: 1, heads: 1, key_size: 2, model_size: 4, readout, outputs: 10 }
}

/// Sizes at both ends and beyond.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0_usize..5, 1 => Just(usize::MAX), 1 => Just(1 << 31), 1 => Just(65_536)]
}

fn float() -> impl Strategy<Value = f64> {
    let special = prop::sample::select(vec![0.0, -1.0, 1.0, f64::NAN, f64::INFINITY, 1e-320, 1e300, -1e300]);
    prop_oneof![1 => special, 2 => 1e-4..2.0_f64]
}

/// One of the models.
#[derive(Clone, Debug)]
enum Network {
    Mlp(Mlp),
    Cnn(Cnn),
    ResNet(ResNet),
    Vgg(Vgg),
    Vit(Vit),
    Transformer(Transformer),
}

impl Network {
    /// The same for these examples, whether it can read their kind or not.
    fn reading(self, data: &Examples) -> Arc<dyn Model> {
        let (inputs, outputs) = (data.dim(), data.classes());
        let image = data.shape().try_into().unwrap_or([inputs, 1, 1]);
        match self {
            Self::Mlp(mlp) => Arc::new(Mlp { inputs, outputs, ..mlp }),
            Self::Cnn(cnn) => Arc::new(Cnn { image, outputs, ..cnn }),
            Self::ResNet(resnet) => Arc::new(ResNet { image, outputs, ..resnet }),
            Self::Vgg(vgg) => Arc::new(Vgg { image, outputs, ..vgg }),
            Self::Vit(vit) => Arc::new(Vit { image, outputs, ..vit }),
            Self::Transformer(transformer) => {
                Arc::new(Transformer { length: inputs, vocabulary: outputs, ..transformer })
            }
        }
    }

    fn any(self) -> Arc<dyn Model> {
        match self {
            Self::Mlp(mlp) => Arc::new(mlp),
            Self::Cnn(cnn) => Arc::new(cnn),
            Self::ResNet(resnet) => Arc::new(resnet),
            Self::Vgg(vgg) => Arc::new(vgg),
            Self::Vit(vit) => Arc::new(vit),
            Self::Transformer(transformer) => Arc::new(transformer),
        }
    }

    fn model(&self) -> &dyn Model {
        match self {
            Self::Mlp(mlp) => mlp,
            Self::Cnn(cnn) => cnn,
            Self::ResNet(resnet) => resnet,
            Self::Vgg(vgg) => vgg,
            Self::Vit(vit) => vit,
            Self::Transformer(transformer) => transformer,
        }
    }
}

fn network() -> impl Strategy<Value = Network> {
    let activation = prop::sample::select(vec![Activation::Relu, Activation::Softplus]);
    let mlp = (size(), size(), size(), size(), activation).prop_map(|(inputs, width, depth, outputs, activation)| {
        Network::Mlp(Mlp { inputs, width, depth, outputs, activation })
    });
    let cnn =
        ([size(), size(), size()], [size(), size(), size(), size(), size(), size()]).prop_map(|(image, sizes)| {
            let [blocks, layers_per_block, channels, growth, stride, outputs] = sizes;
            let (activation, norm, pool) = (Activation::Tanh, Norm::Layer, Pool::Max);
            Network::Cnn(Cnn {
                image,
                blocks,
                layers_per_block,
                channels,
                growth,
                stride,
                activation,
                norm,
                groups: 1,
                pool,
                outputs,
            })
        });
    let norms = prop::sample::select(vec![Norm::Group, Norm::Batch, Norm::None]);
    let image = || [size(), size(), size()];
    let resnet = (image(), [size(), size(), size(), size()], norms.clone()).prop_map(|(image, sizes, norm)| {
        let [blocks, channels, groups, outputs] = sizes;
        Network::ResNet(ResNet { image, blocks, channels, norm, groups, activation: Activation::Tanh, outputs })
    });
    let vgg = (image(), [size(), size(), size()], norms).prop_map(|(image, sizes, norm)| {
        let ([channels, groups, outputs], activation, pool) = (sizes, Activation::Relu, Pool::None);
        Network::Vgg(Vgg { image, channels, norm, groups, activation, pool, outputs })
    });
    let vit = (image(), [size(), size(), size(), size(), size(), size()], any::<bool>()).prop_map(
        |(image, [patch_size, layers, heads, key_size, model_size, outputs], mean)| {
            let readout = if mean { Readout::Mean } else { Readout::Class };
            Network::Vit(Vit { image, patch_size, layers, heads, key_size, model_size, readout, outputs })
        },
    );
    let transformer = [size(), size(), size(), size(), size(), size()].prop_map(|sizes| {
        let [layers, heads, key_size, model_size, length, vocabulary] = sizes;
        Network::Transformer(Transformer { layers, heads, key_size, model_size, length, vocabulary })
    });
    prop_oneof![mlp, cnn, resnet, vgg, vit, transformer]
}

/// Examples that are mostly sound.
fn examples() -> impl Strategy<Value = Result<Examples, edgewalk::data::ExamplesError>> {
    let shape = prop_oneof![prop::collection::vec(0_usize..4, 0..4), Just(vec![usize::MAX, usize::MAX])];
    (any::<bool>(), shape, 0_usize..4, 0_usize..5, 0_usize..30).prop_flat_map(
        |(tokens, shape, count, classes, more)| {
            let dim = shape.iter().try_fold(1_usize, |a, &b| a.checked_mul(b)).unwrap_or(0);
            // One in thirty has something left over.
            let len = count * dim + usize::from(more == 0);
            let each = if tokens { dim } else { 1 };
            let labels = prop::collection::vec(0..(classes as u32).max(1), count * each);
            let features = if tokens {
                prop::collection::vec(0..6_u32, len).prop_map(Features::Tokens).boxed()
            } else {
                let value = prop_oneof![40 => -2.0_f32..2.0, 1 => Just(f32::NAN)];
                prop::collection::vec(value, len).prop_map(Features::Real).boxed()
            };
            (features, labels)
                .prop_map(move |(features, labels)| Examples::new(features, shape.clone(), labels, classes))
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let ascent = prop_oneof![
        Just(Ascent::Sam),
        Just(Ascent::Usam),
        (float(), any::<bool>()).prop_map(|(eta, biases)| Ascent::Asam { eta, biases })
    ];
    let numbers = [float(), float(), float(), float(), float()];
    (ascent, numbers, prop_oneof![1_usize..4, Just(0), Just(usize::MAX)], 0_usize..3, any::<bool>()).prop_map(
        |(ascent, [lr, rho, epsilon, momentum, weight_decay], ascent_steps, micro_batch, nesterov)| Rule {
            ascent,
            rho,
            epsilon,
            momentum,
            weight_decay,
            ascent_steps,
            micro_batch,
            nesterov,
            ..Rule::gd(lr)
        },
    )
}

/// A symmetric matrix by its first rows; of no rows too.
fn operator(dim: usize, scale: f64) -> impl Operator {
    FnOperator::new(dim, move |v: &[f64], out: &mut [f64]| {
        for (i, x) in out.iter_mut().enumerate() {
            *x = scale * v.iter().enumerate().map(|(j, v)| v / (1 + i + j) as f64).sum::<f64>();
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_model_has_a_layout_or_says_why_not(network in network()) {
        if let Ok(layout) = Layout::of(network.model()) {
            let named = layout.iter().map(|(param, _)| param.shape.iter().product::<usize>());
            prop_assert_eq!(named.sum::<usize>(), layout.len());
            prop_assert!(!layout.is_empty() && u32::try_from(layout.device_len()).is_ok());
        }
    }

    #[test]
    fn any_numbers_make_examples_or_say_why_not(examples in examples()) {
        if let Ok(examples) = examples {
            prop_assert!(examples.labels().iter().all(|&label| (label as usize) < examples.classes()));
            prop_assert_eq!(examples.features().len(), examples.len() * examples.dim());
            prop_assert_eq!(examples.labels().len(), examples.len() * examples.labels_each());
        }
    }

    #[test]
    fn any_rule_is_recorded_or_refused(rule in rule(), grad_norm in float(), lambda in float()) {
        let climb = rule.climb(&[grad_norm]);
        let (edge, _) = (rule.edge(&climb), rule.gauge(felt_curvature(&climb, lambda)));
        prop_assert!(edge.is_some() || !rule.keeps_modes());
        // As many steps of ascent are as many recordings.
        if rule.ascent_steps < 10 {
            let mut objective = objective();
            let w = objective.vector("w").unwrap();
            let made = Optimizer::new(&mut objective, rule, &w);
            prop_assert!(rule.check().is_ok() || made.is_err());
            if let Ok(optimizer) = made {
                the_device().run([&*optimizer.logged_step(0).unwrap()]).unwrap();
                the_device().wait().unwrap();
            }
        }
    }

    #[test]
    fn any_options_find_something_finite_or_are_refused(
        dim in 0_usize..6,
        scale in prop::sample::select(vec![0.0, 1.0, -3.0, 1e-300, 1e140, 1e308, f64::NAN, f64::INFINITY]),
        [top, bottom, block, spend, steps] in [size(), size(), size(), size(), size()],
        [tol, level, above] in [float(), float(), float()],
        is_tracked in any::<bool>(),
        order in prop::sample::select(vec![Order::Magnitude, Order::Algebraic]),
        seed in any::<u64>(),
    ) {
        // What it may spend it may have to spend.
        let max_iterations = spend.min(5000);
        let above = is_tracked.then_some(above);
        let options = EigenOptions { top, order, bottom, above, block, tol, max_iterations, seed };
        for solve in [lanczos, power_iteration] {
            if let Ok(found) = solve(&mut operator(dim, scale), None, &options) {
                prop_assert!(found.pairs.iter().all(|pair| pair.value.is_finite() && pair.residual.is_finite()));
                prop_assert!(solve(&mut operator(dim, scale), Some(&found.track), &options).is_ok());
                prop_assert!(solve(&mut operator(dim + 1, scale), Some(&found.track), &options).is_err());
            }
        }
        if let Ok(found) = trace(&mut operator(dim, scale), &TraceOptions { products: spend, block, level, seed }) {
            prop_assert!(found.estimate.value.is_finite() && found.estimate.interval.0.is_finite());
        }
        let options = DensityOptions { probes: spend.min(70_000) / 1000 + top.min(3), steps, block, level, seed };
        if let Ok(found) = spectral_density(&mut operator(dim, scale), &options) {
            prop_assert!(found.trace().value.is_finite());
        }
        prop_assert!(official(&mut operator(dim, scale), seed, seed).is_ok() || dim == 0 || scale.abs() != 1.0);
    }

    #[test]
    fn any_model_on_any_examples_computes_or_is_refused(
        examples in examples(),
        network in network(),
        chunk in size(),
        is_fitted in prop::bool::weighted(0.8),
        loss in prop::sample::select(vec![0, 1, 2, 3]),
    ) {
        let loss = [Loss::CrossEntropy, Loss::Mse(Reduction::HalfSum), Loss::Output, Loss::Mse(Reduction::Mean)][loss];
        let Ok(data) = examples else { return Ok(()) };
        let model = if is_fitted { network.reading(&data) } else { network.any() };
        if let Ok(mut objective) = Objective::new(the_device(), model, loss, &data, chunk) {
            let w = objective.vector("w").unwrap();
            objective.set_params(&w, &initial_params(objective.layout(), 0)).unwrap();
            let partials = the_device().buffer("sums", objective.partials_len()).unwrap();
            let recording = objective.loss(&w, &partials).unwrap();
            the_device().run([&recording]).unwrap();
            let metrics = objective.metrics(&the_device().read(&partials).unwrap());
            prop_assert!(metrics.loss.is_finite() && (0.0..=1.0001).contains(&metrics.error), "{:?}", metrics);
        }
    }
}
