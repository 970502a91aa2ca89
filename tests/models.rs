//! The convolutional networks and the Transformers, as the adapter computes them, against the f64 interpreter: losses, gradients, products of
//! second and third order, in chunks of any size, with pooling ties and padding.

use std::sync::Arc;

use edgewalk::data::{Examples, Features};
use edgewalk::device::Device;
use edgewalk::graph::{DType, Graph, Tensor, eval};
use edgewalk::model::{
    Activation, Cnn, Layout, Loss, Model, Norm, Pool, Readout, Reduction, ResNet, Transformer, Vgg, Vit, wrong,
};
use edgewalk::objective::{Metrics, Objective};

use super::device::{native, own_target, run_for, the_device};
use super::interpreted::{Interpreted, distance_to_kink, interpret};
use super::objective_cases::{OnDevice, Product, close, direction, norm, widen};
use super::oracle::Numbers;

/// Random images; the upper left quarter of each is flat, so that pooling meets exact ties.
fn images(n: usize, shape: [usize; 3]) -> Examples {
    let [height, width, channels] = shape;
    let mut numbers = Numbers::new(61);
    let mut pixel = |i: usize| {
        let (y, x) = (i / (width * channels) % height, i / channels % width);
        let value = numbers.number() as f32;
        if y < height / 2 && x < width / 2 { 0.25 } else { value }
    };
    let features = Features::Real((0..n * height * width * channels).map(&mut pixel).collect());
    Examples::new(features, shape, (0..n).map(|i| (i * 7 % 10) as u32).collect(), 10).unwrap()
}

/// Random windows of `length` codes; a third of them ends in padding, and one begins with it.
fn windows(n: usize, length: usize, vocabulary: usize) -> Examples {
    let mut numbers = Numbers::new(62);
    let mut code = || 1 + ((numbers.number() + 1.0) / 2.0 * (vocabulary - 1) as f64) as u32;
    let mut codes: Vec<u32> = (0..n * length).map(|_| code()).collect();
    for window in codes.chunks_exact_mut(length).step_by(3) {
        window[length - length / 3..].fill(0);
    }
    codes[length] = 0;
    let labels = (0..n * length).map(|_| code()).collect();
    Examples::new(Features::Tokens(codes), [length], labels, vocabulary).unwrap()
}

/// Parameters near which every layer is alive: kernels of the scale that keeps variances, everything else near its
/// initial value but not on it.
pub fn params(model: &dyn Model, seed: u64) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    let mut all = vec![];
    for (param, _) in Layout::of(model).unwrap().iter() {
        let fan_in: usize = param.shape[..param.shape.len() - 1].iter().product();
        let (centre, scale) = match &param.name {
            name if name.ends_with("scale") => (1.0, 0.3),
            name if name.ends_with("bias") => (0.0, 0.1),
            name if name.starts_with("embed") => (0.0, 1.0),
            _ => (0.0, (3.0 / fan_in as f64).sqrt()),
        };
        let len: usize = param.shape.iter().product();
        all.extend((0..len).map(|_| (centre + scale * numbers.number()) as f32));
    }
    all
}

/// A model on a data set, at parameters that keep their distance from every kink.
struct Case {
    model: Arc<dyn Model>,
    loss: Loss,
    data: Examples,
    w: Vec<f32>,
}

impl Case {
    /// `ties` says whether the forward pass meets exact ties.
    fn new(model: impl Model + 'static, loss: Loss, data: Examples, ties: bool) -> Self {
        // Values are of order 1 and wrong by some 1e-7.
        let keeps_distance = |w: &Vec<f32>| {
            let (distance, tied) = distance_to_kink(&model, &data, &widen(w));
            assert_eq!(tied, ties, "exact ties");
            distance >= 2e-6
        };
        let w = (1..20).map(|seed| params(&model, seed)).find(keeps_distance);
        let w = w.expect("one of twenty draws keeps its distance from every kink");
        Self { model: Arc::new(model), loss, data, w }
    }

    fn on(&self, device: &Device, chunk: usize) -> OnDevice {
        let objective = Objective::new(device, Arc::clone(&self.model), self.loss, &self.data, chunk);
        OnDevice::new(objective.unwrap(), &self.w)
    }

    fn directions(&self) -> [Vec<f64>; 2] {
        [71, 72].map(|seed| direction(self.w.len(), seed))
    }

    fn interpret(&self) -> Interpreted {
        interpret(&*self.model, self.loss, &self.data, &widen(&self.w), &self.directions()[1])
    }

    /// Loss, error, gradient and Hessian product on the device under test.
    fn check(&self) {
        self.check_on(the_device(), 0);
    }

    /// The same natively, in chunks of so many examples. A driver would compile all kernels again for the last, shorter
    /// chunk.
    fn check_chunks(&self, chunk: usize) {
        self.check_on(&native(), chunk);
    }

    fn check_on(&self, device: &Device, chunk: usize) {
        let (expected, [u, v]) = (self.interpret(), self.directions());
        let mut device = self.on(device, chunk);
        let Metrics { loss, error } = device.metrics();
        close("loss", &[loss], &[expected.metrics.loss], 1e-6);
        close("error", &[error], &[expected.metrics.error], 1e-6);
        close("gradient", &device.gradient(), &expected.gradient, 1e-5);
        let hv = device.product(Product::Hessian, &v);
        close("H v", &hv, &expected.hvp, 1e-4);
        let hu = device.product(Product::Hessian, &u);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let asymmetry = (dot(&u, &hv) - dot(&v, &hu)).abs() / (norm(&u) * norm(&hv));
        assert!(asymmetry <= 1e-5, "u·Hv − v·Hu is {asymmetry:e}");
    }

    /// The products that training does not need.
    fn check_others(&self) {
        let (expected, [_, v]) = (self.interpret(), self.directions());
        let mut device = self.on(the_device(), 0);
        close("G v", &device.product(Product::GaussNewton, &v), &expected.ggn, 1e-4);
        close("∇(vᵀHv)", &device.product(Product::CurvatureGrad, &v), &expected.curvature_grad, 2e-4);
    }
}

/// The network of the paper, but for the size of its images and the number of channels.
fn paper_cnn(image: [usize; 3]) -> Cnn {
    Cnn::paper(image, 4, 10)
}

#[test]
fn the_papers_cnn_agrees_with_the_interpreter() {
    let image = [12, 12, 3];
    // Where a single channel is active, normalisation leaves almost the same of any value, and pooling almost ties.
    let cnn = Cnn { channels: 16, ..paper_cnn(image) };
    Case::new(cnn, Loss::Mse(Reduction::Mean), images(5, image), true).check();
}

#[test]
fn odd_images_strides_and_average_pooling_agree() {
    let image = [9, 11, 1];
    let smooth = Cnn {
        layers_per_block: 2,
        channels: 5,
        growth: 1,
        stride: 2,
        activation: Activation::Tanh,
        norm: Norm::None,
        pool: Pool::Average,
        blocks: 1,
        ..paper_cnn(image)
    };
    let case = Case::new(smooth, Loss::CrossEntropy, images(7, image), false);
    case.check();
    case.check_chunks(4);
}

#[test]
fn every_product_of_a_small_cnn_agrees() {
    let image = [12, 10, 2];
    let small = Cnn { activation: Activation::Gelu, blocks: 1, ..paper_cnn(image) };
    let case = Case::new(small, Loss::Mse(Reduction::HalfSum), images(5, image), true);
    case.check_others();
    let plain = Cnn { pool: Pool::None, channels: 3, blocks: 1, ..paper_cnn(image) };
    Case::new(plain, Loss::CrossEntropy, images(5, image), false).check();
}

#[test]
fn a_resnet_agrees_with_the_interpreter() {
    // The third stage has images of odd size.
    let image = [10, 9, 3];
    let resnet = ResNet {
        image,
        blocks: 1,
        channels: 4,
        norm: Norm::Group,
        groups: 2,
        activation: Activation::Gelu,
        outputs: 10,
    };
    let case = Case::new(resnet.clone(), Loss::CrossEntropy, images(6, image), false);
    case.check();
    case.check_chunks(4);
    case.check_others();
    let plain = ResNet { norm: Norm::None, activation: Activation::Relu, blocks: 2, channels: 2, ..resnet };
    Case::new(plain, Loss::Mse(Reduction::Mean), images(5, image), false).check();
}

#[test]
fn vgg_agrees_with_the_interpreter() {
    let image = [32, 32, 1];
    let vgg = Vgg {
        image,
        channels: 2,
        norm: Norm::Group,
        groups: 2,
        activation: Activation::Tanh,
        pool: Pool::Average,
        outputs: 10,
    };
    Case::new(vgg, Loss::CrossEntropy, images(2, image), false).check();
}

#[test]
fn a_vit_agrees_with_the_interpreter() {
    let image = [6, 9, 2];
    let vit = Vit {
        image,
        patch_size: 3,
        layers: 1,
        heads: 2,
        key_size: 5,
        model_size: 8,
        readout: Readout::Class,
        outputs: 10,
    };
    let case = Case::new(vit.clone(), Loss::CrossEntropy, images(6, image), false);
    case.check();
    case.check_chunks(4);
    case.check_others();
    let mean = Vit { readout: Readout::Mean, layers: 2, ..vit };
    Case::new(mean, Loss::Mse(Reduction::Mean), images(5, image), false).check();
}

/// Batch normalisation takes the mean and variance of a whole batch; in batches of a stated size the loss is the mean of
/// theirs.
#[test]
fn batch_normalisation_agrees_with_the_interpreter() {
    let image = [6, 7, 2];
    let cnn =
        Cnn { norm: Norm::Batch, activation: Activation::Tanh, pool: Pool::Average, blocks: 1, ..paper_cnn(image) };
    let case = Case::new(cnn, Loss::CrossEntropy, images(6, image), false);
    case.check();
    case.check_others();
    // Two batches of three have the mean of their losses and gradients.
    let w = widen(&case.w);
    let half = |numbers: &[usize]| {
        let data = case.data.select(numbers).unwrap();
        interpret(&*case.model, case.loss, &data, &w, &case.directions()[1])
    };
    let halves = [half(&[0, 1, 2]), half(&[3, 4, 5])];
    let mean = |of: fn(&Interpreted) -> &[f64]| -> Vec<f64> {
        of(&halves[0]).iter().zip(of(&halves[1])).map(|(a, b)| (a + b) / 2.0).collect()
    };
    for device in [native(), the_device().clone()] {
        let mut in_threes = case.on(&device, 3);
        close("gradient", &in_threes.gradient(), &mean(|half| &half.gradient), 1e-5);
        let hv = in_threes.product(Product::Hessian, &case.directions()[1]);
        close("H v", &hv, &mean(|half| &half.hvp), 1e-4);
    }
    let whole = case.interpret();
    assert!(norm(&whole.gradient) > 0.0);
    let difference = whole.gradient.iter().zip(mean(|half| &half.gradient)).map(|(a, b)| a - b).collect::<Vec<_>>();
    assert!(norm(&difference) > 1e-3 * norm(&whole.gradient), "statistics of other batches give another loss");
}

#[test]
fn a_transformer_agrees_with_the_interpreter() {
    let model = Transformer { layers: 2, heads: 4, key_size: 8, model_size: 24, length: 12, vocabulary: 32 };
    Case::new(model, Loss::CrossEntropy, windows(8, 12, 32), true).check();
}

#[test]
fn every_product_of_a_small_transformer_agrees() {
    let model = Transformer { layers: 1, heads: 3, key_size: 5, model_size: 14, length: 7, vocabulary: 19 };
    let case = Case::new(model, Loss::CrossEntropy, windows(5, 7, 19), true);
    case.check();
    case.check_chunks(3);
    case.check_others();
}

/// A window's padding, and what the labels of padding are, changes nothing for the rest.
#[test]
fn padding_counts_for_nothing() {
    let model: Arc<dyn Model> =
        Arc::new(Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length: 6, vocabulary: 11 });
    let data = windows(4, 6, 11);
    let Features::Tokens(codes) = data.features() else { unreachable!("windows are tokens") };
    let measure = |data: &Examples| {
        let objective = Objective::new(the_device(), Arc::clone(&model), Loss::CrossEntropy, data, 0).unwrap();
        let mut device = OnDevice::new(objective, &params(&*model, 3));
        (device.metrics(), device.gradient())
    };
    let before = measure(&data);
    let other = |(&label, &code): (&u32, &u32)| if code == 0 { (label + 1) % 11 } else { label };
    let labels = data.labels().iter().zip(codes).map(other).collect();
    let data = Examples::new(data.features().clone(), [6], labels, 11).unwrap();
    assert_eq!(measure(&data), before);
}

#[test]
fn replaced_examples_are_what_is_computed() {
    let model: Arc<dyn Model> =
        Arc::new(Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length: 6, vocabulary: 11 });
    let data = windows(8, 6, 11);
    let (first, second) = (data.select(&[0, 1, 2, 3, 4]).unwrap(), data.select(&[7, 5, 3, 1, 6]).unwrap());
    let w = params(&*model, 3);
    let objective =
        |data: &Examples| Objective::new(the_device(), Arc::clone(&model), Loss::CrossEntropy, data, 2).unwrap();
    let mut replaced = OnDevice::new(objective(&first), &w);
    replaced.gradient();
    replaced.objective.replace(&second).unwrap();
    let mut fresh = OnDevice::new(objective(&second), &w);
    assert_eq!((replaced.metrics(), replaced.gradient()), (fresh.metrics(), fresh.gradient()));
}

/// Scores of some ±10⁴ make attention pick one token; everything stays finite, and close to what float64 says (a score is
/// wrong by 10⁻³ then, and so is a weight).
#[test]
fn attention_stays_finite_for_large_scores() {
    let model = Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length: 6, vocabulary: 11 };
    let (data, layout) = (windows(4, 6, 11), Layout::of(&model).unwrap());
    let mut w = params(&model, 3);
    for (param, offset) in layout.iter().filter(|(p, _)| p.name.contains("query") || p.name.contains("key")) {
        w[offset..][..param.shape.iter().product()].iter_mut().for_each(|x| *x *= 100.0);
    }
    let v = direction(w.len(), 72);
    let expected = interpret(&model, Loss::CrossEntropy, &data, &widen(&w), &v);
    let objective = Objective::new(the_device(), Arc::new(model), Loss::CrossEntropy, &data, 0).unwrap();
    let mut device = OnDevice::new(objective, &w);
    close("loss", &[device.metrics().loss], &[expected.metrics.loss], 1e-2);
    assert!(device.gradient().iter().all(|x| x.is_finite()));
    assert!(device.product(Product::Hessian, &v).iter().all(|x| x.is_finite()));
}

#[test]
fn only_the_single_largest_output_is_right() {
    let (nan, infinite) = (f64::NAN, f64::INFINITY);
    // Outputs, label, error.
    let cases: [([f64; 3], f64, f64); 14] = [
        ([0.0, 1.0, 0.5], 1.0, 0.0),
        ([0.0, 1.0, 0.5], 2.0, 1.0),
        ([0.0, 0.0, 0.0], 0.0, 1.0),
        ([1.0, 1.0, 0.0], 0.0, 1.0),
        ([1.0, 1.0, 0.0], 1.0, 1.0),
        ([-0.0, 0.0, -1.0], 1.0, 1.0),
        ([1.0, 1.0, 2.0], 2.0, 0.0),
        ([nan, 1.0, 0.0], 0.0, 1.0),
        ([nan, 1.0, 0.0], 1.0, 1.0),
        ([nan, nan, nan], 2.0, 1.0),
        ([infinite, 1.0, 0.0], 0.0, 0.0),
        ([infinite, 1.0, infinite], 0.0, 1.0),
        ([-infinite, 1.0, 0.0], 1.0, 0.0),
        ([-infinite, -infinite, -infinite], 1.0, 1.0),
    ];
    let n = cases.len();
    let mut g = Graph::new();
    let (outputs, labels) = (g.input_f32("outputs", &[n, 3]), g.input("labels", &[n], DType::U32));
    let errors = wrong(&mut g, outputs, labels);
    let given = [
        (outputs, Tensor { shape: vec![n, 3], data: cases.iter().flat_map(|(outputs, ..)| *outputs).collect() }),
        (labels, Tensor { shape: vec![n], data: cases.iter().map(|(_, label, _)| *label).collect() }),
    ];
    let expected: Vec<f64> = cases.iter().map(|(.., error)| *error).collect();
    assert_eq!(eval(&g, &[errors], &given).unwrap()[0].data, expected);
    assert_eq!(run_for(&g, &[errors], &given, &own_target())[0].data, expected);
}
