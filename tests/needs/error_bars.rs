//! The error bars of eigenvalues where float32 is badly conditioned: convolutional networks with layer normalisation over
//! few channels. The judge is `eval` in float64, or figures of an independent float64 program.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use edgewalk::autodiff::hvp;
use edgewalk::curvature::{EigenOptions, Eigenpair, lanczos};
use edgewalk::data::{DataName, Examples, Features, Request, load};
use edgewalk::device::{Buffer, Device};
use edgewalk::graph::{DType, Graph, NodeId, Tensor, eval};
use edgewalk::model::{
    Activation, Cnn, Layout, Loss, Model, Norm, Pool, Reduction, initial_params, params_from_safetensors,
};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

use super::oracle::Numbers;

fn the_device() -> Device {
    Device::open(std::env::var("EDGEWALK_ADAPTER").ok().as_deref()).unwrap()
}

/// Two networks at parameters from training. For the deep one an independent float64 program found the eigenvalues. For
/// the other one `eval` is the judge: the Hessian there changes by a thousandth within 1e-5, so that a difference of
/// gradients with such a step, as programs use to find eigenvalues, is no judge.
pub fn cases() {
    let small = Cnn { image: [32, 32, 3], ..cnn(2, 3, 2, 2, Activation::Relu) };
    let deep = Cnn { image: [32, 32, 3], ..cnn(5, 2, 1, 1, Activation::Tanh) };
    let known = [1.4992957747841023, -1.0262335807119751, 0.9874983141600502, 0.47830557468932533, 0.4648058713281169];
    let folder = Path::new(&std::env::var("EDGEWALK_DATA").unwrap()).join("cifar-10-batches-bin");
    let data = load(&Request { path: Some(folder), train: 16, ..Request::new(DataName::Cifar10) }).unwrap().train;
    for (cnn, file, known) in [(small, "cnn1_mse_mean", &[][..]), (deep, "cnn9_mse_mean", &known)] {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/needs/error_bars");
        let bytes = fs::read(here.join(file).with_extension("safetensors")).unwrap();
        let params = params_from_safetensors(&Layout::of(&cnn).unwrap(), &bytes).unwrap();
        let mut network = Network::new(&the_device(), cnn, Loss::Mse(Reduction::Mean), &data);
        for pair in network.solve(&params, 4) {
            let (truth, slack) = network.truth(&params, &pair);
            let near = |value: &f64| (pair.value - value).abs();
            let miss = known.iter().map(near).reduce(f64::min).unwrap_or(near(&truth) - slack);
            println!("{file}: {} ± {:.1e}, off by {miss:.1e}", pair.value, pair.error);
            assert!(miss <= pair.error, "{file}: {} ± {:.1e} is off by {miss:.1e}", pair.value, pair.error);
        }
    }
}

/// Some networks of each kind. The median of so few is no more exact than a factor of two.
pub fn few() {
    let (covered, of, ratio) = measure(4, 2);
    assert!(covered + 1 >= of && ratio <= 40.0, "{covered} of {of}, {ratio:.1}");
}

/// Of a thousand measurements at least 99 % are within their error bars, which are not much larger than the errors.
pub fn thousand() {
    let (covered, of, ratio) = measure(24, 14);
    assert!(of >= 1000 && covered as f64 >= 0.99 * of as f64 && ratio <= 20.0, "{covered} of {of}, {ratio:.1}");
}

/// How many of how many eigenvalues lie within their error bars, and the median of error bar ÷ error, for `networks`
/// networks at `states` parameters each: initial and trained, narrow and wide, on images with a border of zeros and without.
fn measure(networks: u64, states: u64) -> (usize, usize, f64) {
    let device = the_device();
    let (mut covered, mut ratios) = (0, vec![]);
    for seed in 0..networks {
        let mut numbers = Numbers::new(seed + 100);
        let mut pick = |count: usize| ((numbers.number() + 1.0) / 2.0 * count as f64) as usize % count;
        let (blocks, channels, growth, stride) = (1 + pick(3), [2, 3, 4, 8][pick(4)], 1 + pick(2), [1, 1, 2][pick(3)]);
        let activation = [Activation::Relu, Activation::Tanh, Activation::Gelu][pick(3)];
        let loss = [Loss::Mse(Reduction::Mean), Loss::CrossEntropy][pick(2)];
        let mut cnn =
            Cnn { pool: [Pool::Max, Pool::None][pick(2)], ..cnn(blocks, channels, growth, stride, activation) };
        if cnn.flattened().is_none_or(|shape| shape.contains(&0)) {
            (cnn.stride, cnn.pool) = (1, Pool::None);
        }
        let layout = Layout::of(&cnn).unwrap();
        let mut network = Network::new(&device, cnn, loss, &images(seed, seed % 5 < 2));
        for state in 0..states {
            let mut params = initial_params(&layout, 100 * seed + state);
            if state % 4 > 1 {
                params.iter_mut().for_each(|x| *x += 0.1 * numbers.number() as f32);
            }
            if state % 2 == 1 {
                params = network.train(&params, 20 * state);
            }
            for pair in network.solve(&params, 3) {
                let (truth, slack) = network.truth(&params, &pair);
                let miss = (pair.value - truth).abs();
                covered += usize::from(miss <= pair.error + slack);
                ratios.push(pair.error / miss);
            }
        }
    }
    ratios.sort_by(f64::total_cmp);
    let (median, hundredth) = (ratios[ratios.len() / 2], ratios[ratios.len() / 100]);
    println!("{covered} of {} covered; error bar ÷ error: median {median:.1}, 1 % below {hundredth:.2}", ratios.len());
    (covered, ratios.len(), ratios[ratios.len() / 2])
}

fn cnn(blocks: usize, channels: usize, growth: usize, stride: usize, activation: Activation) -> Cnn {
    let (layers_per_block, norm, pool) = (1, Norm::Layer, Pool::Max);
    let (image, groups, outputs) = ([8, 8, 3], 1, 10);
    Cnn { image, blocks, layers_per_block, channels, growth, stride, activation, norm, groups, pool, outputs }
}

/// Eight images of noise, perhaps with a border of zeros two pixels wide.
fn images(seed: u64, padded: bool) -> Examples {
    let mut numbers = Numbers::new(seed);
    let inside = |i: usize| (2..6).contains(&(i / 24 % 8)) && (2..6).contains(&(i / 3 % 8));
    let x = (0..8 * 192).map(|i| if padded && !inside(i) { 0.0 } else { 0.5 * numbers.number() as f32 }).collect();
    Examples::new(Features::Real(x), [8, 8, 3], (0..8).map(|i| i * 7 % 10).collect(), 10).unwrap()
}

/// A network on the device, and its H·v as a graph.
struct Network {
    objective: Objective,
    w: Buffer,
    hessian: HessianOperator,
    optimizer: Optimizer,
    graph: Graph,
    inputs: [Vec<NodeId>; 2],
    given: Vec<(NodeId, Tensor)>,
    product: Vec<NodeId>,
}

impl Network {
    fn new(device: &Device, cnn: Cnn, loss: Loss, data: &Examples) -> Self {
        let layout = Layout::of(&cnn).unwrap();
        let mut graph = Graph::new();
        let of =
            |graph: &mut Graph| layout.iter().map(|(param, _)| graph.input_f32(&param.name, &param.shape)).collect();
        let inputs: [Vec<NodeId>; 2] = [of(&mut graph), of(&mut graph)];
        let (n, dim) = (data.len(), data.dim());
        let (x, labels) = (graph.input_f32("x", &[n, dim]), graph.input("labels", &[n], DType::U32));
        let Features::Real(values) = data.features() else { panic!("images are numbers") };
        let given = vec![
            (x, Tensor { shape: vec![n, dim], data: values.iter().map(|&x| x.into()).collect() }),
            (labels, Tensor { shape: vec![n], data: data.labels().iter().map(|&x| x.into()).collect() }),
        ];
        let outputs = cnn.forward(&mut graph, &inputs[0], x);
        let each = loss.per_label(&mut graph, outputs, labels);
        let total = graph.sum_all(each);
        let mean = graph.scale(total, 1.0 / n as f32);
        let product = hvp(&mut graph, mean, &inputs[0], &inputs[1]);
        let mut objective = Objective::new(device, Arc::new(cnn), loss, data, 0).unwrap();
        let w = objective.vector("w").unwrap();
        let hessian = HessianOperator::new(&mut objective, &w).unwrap();
        let optimizer = Optimizer::new(&mut objective, Rule::sam(0.02, 0.05), &w).unwrap();
        Self { objective, w, hessian, optimizer, graph, inputs, given, product }
    }

    fn train(&self, params: &[f32], steps: u64) -> Vec<f32> {
        self.objective.set_params(&self.w, params).unwrap();
        let device = self.objective.device();
        (0..steps).for_each(|step| device.run([&*self.optimizer.step(step).unwrap()]).unwrap());
        self.objective.read(&self.w).unwrap()
    }

    fn solve(&mut self, params: &[f32], top: usize) -> Vec<Eigenpair> {
        self.objective.set_params(&self.w, params).unwrap();
        let options = EigenOptions { top, tol: 1e-5, max_iterations: 400, ..EigenOptions::default() };
        let pairs = lanczos(&mut self.hessian.linearise().unwrap(), None, &options).unwrap().pairs;
        assert_eq!(self.objective.read::<f32>(&self.w).unwrap(), params, "the parameters are left as they were");
        pairs
    }

    /// vᵀHv in float64, and the most by which it may miss an eigenvalue: the residual squared, over the gap if that is as
    /// large as the eigenvalue.
    fn truth(&self, params: &[f32], pair: &Eigenpair) -> (f64, f64) {
        let params: Vec<f64> = params.iter().map(|&x| x.into()).collect();
        let mut given = self.given.clone();
        for (ids, values) in self.inputs.iter().zip([&params, &pair.vector]) {
            for (id, (param, offset)) in ids.iter().zip(self.objective.layout().iter()) {
                let len: usize = param.shape.iter().product();
                given.push((*id, Tensor { shape: param.shape.clone(), data: values[offset..offset + len].to_vec() }));
            }
        }
        let images = eval(&self.graph, &self.product, &given).unwrap();
        let image: Vec<f64> = images.into_iter().flat_map(|tensor| tensor.data).collect();
        let value: f64 = image.iter().zip(&pair.vector).map(|(a, b)| a * b).sum();
        let residual: f64 = image.iter().zip(&pair.vector).map(|(a, b)| (a - value * b).powi(2)).sum();
        (value, residual / value.abs())
    }
}
