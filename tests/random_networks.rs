//! Random networks of every kind, on random examples, in random chunks, as the adapter computes them: loss, error, gradient
//! and H·v agree with the interpreter within what rounding allows, whatever the chunks.

use std::sync::Arc;

use edgewalk::data::{Examples, Features};
use edgewalk::device::Device;
use edgewalk::graph::{NodeId, Tensor, eval};
use edgewalk::model::{Activation, Cnn, Layout, Loss, Mlp, Model, Norm, Pool, Readout, ResNet, Transformer, Vit};
use edgewalk::objective::{Metrics, Objective};
use proptest::prelude::*;
use proptest::sample::select;

use super::device::{native, the_device};
use super::interpreted::{Sums, sums};
use super::models::params;
use super::networks::{ACTIVATIONS, LOSSES};
use super::objective_cases::{OnDevice, Product, direction, widen};
use super::oracle::Numbers;
use super::random;
use super::rounding::{Bounds, excess};

/// Errors are measured in units of a bound of first order on the sum over all examples (rounding.rs). The adapter divides by
/// their number and adds up chunks besides.
const MOST: f64 = 2.0;

/// A network, the shape of an example, its classes, and labels of each example.
#[derive(Clone)]
struct Network {
    model: Arc<dyn Model>,
    text: String,
    shape: Vec<usize>,
    classes: usize,
    tokens: bool,
}

// Proptest prints what fails.
impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn network(model: impl Model + std::fmt::Debug + 'static, shape: &[usize], classes: usize, tokens: bool) -> Network {
    Network { text: format!("{model:?}"), model: Arc::new(model), shape: shape.to_vec(), classes, tokens }
}

fn activations() -> impl Strategy<Value = Activation> {
    select(ACTIVATIONS.to_vec())
}

fn mlps() -> impl Strategy<Value = Network> {
    (1..10usize, 1..14usize, 1..4usize, 2..6usize, activations()).prop_map(
        |(inputs, width, depth, outputs, activation)| {
            network(Mlp { inputs, width, depth, outputs, activation }, &[inputs], outputs, false)
        },
    )
}

fn cnns() -> impl Strategy<Value = Network> {
    let image = (4..8usize, 4..8usize, 1..3usize).prop_map(|(height, width, channels)| [height, width, channels]);
    let layers = (1..3usize, 1..6usize, 1..3usize, 1..3usize);
    let norms = prop_oneof![Just((Norm::Layer, 1)), Just((Norm::None, 1)), (1..4usize).prop_map(|n| (Norm::Group, n))];
    let ends = (norms, select(vec![Pool::Max, Pool::Average, Pool::None]));
    let cnns = (image, layers, activations(), ends, 2..5usize).prop_map(
        |(image, (blocks, channels, growth, stride), activation, ((norm, groups), pool), outputs)| {
            let (layers_per_block, channels) = (1, channels * groups);
            Cnn { image, blocks, layers_per_block, channels, growth, stride, activation, norm, groups, pool, outputs }
        },
    );
    let is_left = |cnn: &Cnn| cnn.flattened().is_some_and(|left| !left.contains(&0));
    cnns.prop_filter("nothing is left of the images", is_left).prop_map(|cnn| {
        let (shape, outputs) = (cnn.image, cnn.outputs);
        network(cnn, &shape, outputs, false)
    })
}

fn resnets() -> impl Strategy<Value = Network> {
    let image = (3..8usize, 3..8usize, 1..3usize).prop_map(|(height, width, channels)| [height, width, channels]);
    let norms = select(vec![Norm::Layer, Norm::Group, Norm::None]);
    (image, 1..3usize, (1..3usize, 1..3usize), norms, activations(), 2..5usize).prop_map(
        |(image, blocks, (groups, each), norm, activation, outputs)| {
            let channels = groups * each;
            network(ResNet { image, blocks, channels, norm, groups, activation, outputs }, &image, outputs, false)
        },
    )
}

fn vits() -> impl Strategy<Value = Network> {
    let image = (1..3usize, 1..3usize, 1..3usize);
    let sizes = (1..3usize, 1..4usize, 1..5usize, 2..9usize, 1..4usize);
    (image, sizes, select(vec![Readout::Mean, Readout::Class]), 2..5usize).prop_map(
        |((rows, columns, channels), (layers, heads, key_size, model_size, patch_size), readout, outputs)| {
            let image = [rows * patch_size, columns * patch_size, channels];
            let model = Vit { image, patch_size, layers, heads, key_size, model_size, readout, outputs };
            network(model, &image, outputs, false)
        },
    )
}

fn transformers() -> impl Strategy<Value = Network> {
    let sizes = (1..3usize, 1..4usize, 1..5usize, 2..9usize, 2..7usize, 3..10usize);
    sizes.prop_map(|(layers, heads, key_size, model_size, length, vocabulary)| {
        let model = Transformer { layers, heads, key_size, model_size, length, vocabulary };
        network(model, &[length], vocabulary, true)
    })
}

/// Random examples; windows of text have padding.
fn examples(network: &Network, n: usize, seed: u64) -> Examples {
    let mut numbers = Numbers::new(seed);
    let mut below = |end: usize| ((numbers.number() + 1.0) / 2.0 * end as f64) as u32;
    let dim: usize = network.shape.iter().product();
    let labels = (0..n * if network.tokens { dim } else { 1 }).map(|_| below(network.classes)).collect();
    let features = if network.tokens {
        let mut codes: Vec<u32> = (0..n * dim).map(|_| below(network.classes)).collect();
        // At least one label counts.
        codes[0] = 1;
        Features::Tokens(codes)
    } else {
        Features::Real((0..n * dim).map(|_| numbers.number() as f32).collect())
    };
    Examples::new(features, network.shape.clone(), labels, network.classes).unwrap()
}

/// A value and a bound on its error, as flat vectors.
struct Bounded {
    value: Tensor,
    bound: Tensor,
}

impl Bounded {
    fn check(&self, what: &str, found: Vec<f64>) -> Result<(), TestCaseError> {
        let found = Tensor { shape: vec![found.len()], data: found };
        let error = excess(&found, &self.value, Some(&self.bound));
        prop_assert!(error <= MOST, "{what} is off by {error} bounds\nfound {found:?}\nexpected {:?}", self.value);
        Ok(())
    }
}

/// What the interpreter says of a network, and how far off f32 may be: loss, gradient, H·v, and the number of errors.
struct Expected {
    loss: Bounded,
    gradient: Bounded,
    hvp: Bounded,
    errors: f64,
    counted: usize,
}

/// `None` if rounding could flip a decision of the network (a ReLU, a maximum, a classification).
fn expect(network: &Network, loss: Loss, data: &Examples, w: &[f32], v: &[f64]) -> Option<Expected> {
    let Sums { mut graph, inputs, counted, loss, errors, gradient, hvp, .. } =
        sums(&*network.model, loss, data, &widen(w), v);
    let outputs = [&[loss, errors], &gradient[..], &hvp].concat();
    let bounds = Bounds::new(&mut graph, &outputs);
    if !bounds.decide(&graph, &outputs, &inputs) {
        return None;
    }
    let mut means = |ids: &[NodeId]| {
        let ends: Vec<NodeId> = ids
            .iter()
            .map(|&id| {
                let shape = graph.shape(id).to_vec();
                bounds.of(id).unwrap_or_else(|| graph.full(0.0, &shape))
            })
            .collect();
        let [value, bound] = [ids, &ends].map(|ids| {
            let values = eval(&graph, ids, &inputs).unwrap();
            let data: Vec<f64> = values.iter().flat_map(|t| t.data.iter().map(|x| x / counted as f64)).collect();
            Tensor { shape: vec![data.len()], data }
        });
        Bounded { value, bound }
    };
    let [loss, errors, gradient, hvp] = [&[loss], &[errors], &gradient[..], &hvp].map(&mut means);
    Some(Expected { loss, gradient, hvp, errors: (errors.value.data[0] * counted as f64).round(), counted })
}

/// Checks so many networks on a device of each thread.
fn check(device: impl Fn() -> Device + Sync, cases: u64) {
    let strategy = || {
        let networks = prop_oneof![mlps(), cnns(), resnets(), vits(), transformers()];
        // One at a time, as ragged as can be, and at once.
        let chunks = prop_oneof![Just(1), 2..16usize, Just(usize::MAX)];
        (networks, select(LOSSES.to_vec()), 1..12usize, chunks, 0..1_000_000u64)
    };
    random::check(20_230_917, cases, strategy, |(network, loss, n, chunk, seed)| {
        let data = examples(&network, n, seed);
        let v = direction(Layout::of(&*network.model).unwrap().len(), seed);
        let mut draws = (seed..seed + 20).map(|seed| params(&*network.model, seed));
        let found = draws.find_map(|w| expect(&network, loss, &data, &w, &v).map(|expected| (w, expected)));
        let Some((w, expected)) = found else { return Err(TestCaseError::reject("all draws lie near a kink")) };
        let objective = Objective::new(&device(), Arc::clone(&network.model), loss, &data, chunk).unwrap();
        prop_assert_eq!(objective.plan().chunks, n.div_ceil(chunk));
        let mut device = OnDevice::new(objective, &w);
        let Metrics { loss, error } = device.metrics();
        expected.loss.check("the loss", vec![loss])?;
        prop_assert_eq!((error * expected.counted as f64).round(), expected.errors);
        expected.gradient.check("the gradient", device.gradient())?;
        expected.hvp.check("H v", device.product(Product::Hessian, &v))?;
        Ok(())
    });
}

#[test]
fn random_networks_in_random_chunks_agree_with_the_interpreter() {
    check(native, 24);
}

/// The same kernels as for single ops and for networks of each kind, which other tests meet: a few show how they meet.
#[test]
fn random_networks_on_the_adapter_agree_with_the_interpreter() {
    check(|| the_device().clone(), 2);
}
