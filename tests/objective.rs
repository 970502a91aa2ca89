//! The loss of a whole network over real images, and its derivatives, as the adapter computes them.
//!
//! Two judges that share nothing with the kernels: the f64 interpreter on the graph that `autodiff` makes, and the
//! hand-written float64 network of `reference_mlp`. The images are the first 1,000 of MNIST (the embedded subset), and
//! all numbers that the judges start from are the same f32 numbers that the adapter gets.

use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, Operator, lanczos};
use edgewalk::device::Device;
use edgewalk::graph::{Graph, NodeId};
use edgewalk::model::{Activation, Init, Loss, Model, ModelError, Param, Reduction};
use edgewalk::objective::{GaussNewtonOperator, HessianOperator, Metrics, Objective};
use edgewalk::optim::{Optimizer, Rule};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::device::{native, the_device};
use super::interpreted::interpret;
use super::objective_cases::{Case, OnDevice, Product, close, direction, mnist, norm, real, sam_step, widen};
use super::reference_mlp;

const ACTIVATIONS: [Activation; 5] =
    [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Elu, Activation::Softplus];
const LOSSES: [Loss; 3] = [Loss::Mse(Reduction::Mean), Loss::Mse(Reduction::HalfSum), Loss::CrossEntropy];

/// ∇(vᵀHv) of the reference, as the derivative of H(w + h·v)·v by h: exact up to O(h²) and, for ReLU, as long as no
/// kink lies between the two points.
fn reference_curvature_grad(mlp: &reference_mlp::Mlp, w: &[f64], v: &[f64], h: f64) -> Vec<f64> {
    let (w, along) = (DVector::from_column_slice(w), DVector::from_column_slice(v));
    let product = |h: f64| mlp.at((&w + &along * h).as_slice()).hvp(v);
    ((product(h) - product(-h)) / (2.0 * h)).as_slice().to_vec()
}

/// Everything about one case against both judges.
fn check(case: &Case, device: &Device) {
    let name = format!("{} {:?} width {} on {}", case.mlp.activation, case.loss, case.mlp.width, case.data.len());
    let (u, v) = (direction(case.w.len(), 51), direction(case.w.len(), 52));
    let expected = interpret(&case.mlp, case.loss, &case.data, &case.w64(), &v);
    let reference = case.reference();
    let here = reference.at(&case.w64());
    let mut device = OnDevice::new(case.objective_on(device, 0), &case.w);

    let Metrics { loss, error } = device.metrics();
    close(&format!("{name}: loss"), &[loss], &[expected.metrics.loss], 1e-6);
    close(&format!("{name}: loss, reference"), &[loss], &[here.loss], 1e-6);
    assert_eq!((error * case.data.len() as f64).round(), (expected.metrics.error * case.data.len() as f64).round());

    let gradient = device.gradient();
    close(&format!("{name}: gradient"), &gradient, &expected.gradient, 1e-5);
    close(&format!("{name}: gradient, reference"), &gradient, here.gradient.as_slice(), 1e-5);

    let hv = device.product(Product::Hessian, &v);
    close(&format!("{name}: H v"), &hv, &expected.hvp, 1e-4);
    close(&format!("{name}: H v, reference"), &hv, here.hvp(&v).as_slice(), 1e-4);
    let hu = device.product(Product::Hessian, &u);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let asymmetry = (dot(&u, &hv) - dot(&v, &hu)).abs() / (norm(&u) * norm(&hv));
    println!("{name}: u·Hv − v·Hu: {asymmetry:.2e} (at most 1e-5)");
    assert!(asymmetry <= 1e-5, "{name}: {asymmetry:e}");

    // A Gauss–Newton product has as many matmuls as a Hessian product and fewer terms that cancel.
    let gv = device.product(Product::GaussNewton, &v);
    close(&format!("{name}: G v"), &gv, &expected.ggn, 1e-4);
    close(&format!("{name}: G v, reference"), &gv, here.gnvp(&v).as_slice(), 1e-4);

    // One more derivative, one more round of cancelling terms.
    let third = device.product(Product::CurvatureGrad, &v);
    close(&format!("{name}: ∇(vᵀHv)"), &third, &expected.curvature_grad, 2e-4);
    // A unit step would move pre-activations by about 1: this one keeps ReLUs on their side of 0.
    let h = if case.mlp.activation == Activation::Relu { 1e-7 } else { 1e-4 };
    let by_difference = reference_curvature_grad(&reference, &case.w64(), &v, h);
    close(&format!("{name}: ∇(vᵀHv), reference"), &third, &by_difference, 2e-4);
}

#[test]
fn relu_network_on_a_thousand_images() {
    check(&Case::new(64, 1000, Activation::Relu, Loss::Mse(Reduction::Mean)), the_device());
}

#[test]
fn smooth_network_with_cross_entropy_on_a_thousand_images() {
    check(&Case::new(64, 1000, Activation::Gelu, Loss::CrossEntropy), the_device());
}

#[test]
fn every_activation_and_every_loss() {
    // In pairs other than those above; a loss and an activation meet only through the outputs.
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        check(&Case::new(24, 200, activation, LOSSES[(i + 1) % 3]), &native());
    }
}

/// Gradient and H·v for the activations that the networks above lack, and no more: a driver compiles every kernel.
#[test]
fn other_activations_on_the_adapter() {
    for (activation, loss) in [Activation::Tanh, Activation::Elu, Activation::Softplus].into_iter().zip(LOSSES) {
        let case = Case::new(24, 200, activation, loss);
        let (v, mut device) = (direction(case.w.len(), 52), case.on_device(0));
        let reference = case.reference();
        let here = reference.at(&case.w64());
        close(&format!("{activation}: gradient"), &device.gradient(), here.gradient.as_slice(), 1e-5);
        let hv = device.product(Product::Hessian, &v);
        close(&format!("{activation}: H v"), &hv, here.hvp(&v).as_slice(), 1e-4);
    }
}

#[test]
fn chunks_change_nothing_but_rounding() {
    let case = Case::new(64, 1000, Activation::Relu, Loss::Mse(Reduction::Mean));
    let v = direction(case.w.len(), 53);
    let at = |chunk: usize| {
        let mut device = case.on_device(chunk);
        assert_eq!((device.objective.plan().rows, device.objective.plan().chunks), (chunk, 1000_usize.div_ceil(chunk)));
        (device.metrics(), device.gradient(), device.product(Product::Hessian, &v))
    };
    let whole = at(1000);
    for chunk in [300, 64] {
        let (metrics, gradient, hv) = at(chunk);
        close(&format!("chunks of {chunk}: loss"), &[metrics.loss], &[whole.0.loss], 1e-6);
        assert_eq!(metrics.error, whole.0.error);
        close(&format!("chunks of {chunk}: gradient"), &gradient, &whole.1, 1e-5);
        close(&format!("chunks of {chunk}: H v"), &hv, &whole.2, 1e-5);
    }
}

#[test]
fn a_ragged_last_chunk_weighs_what_it_holds() {
    // 7 examples as 3 + 3 + 1 and as 5 + 2: a last chunk weighed like the others would be far off.
    let case = Case::new(8, 7, Activation::Tanh, Loss::Mse(Reduction::Mean));
    let v = direction(case.w.len(), 54);
    let reference = case.reference();
    let here = reference.at(&case.w64());
    for chunk in [3, 5, 7] {
        let mut device = case.on_device(chunk);
        close("ragged loss", &[device.metrics().loss], &[here.loss], 1e-6);
        close("ragged gradient", &device.gradient(), here.gradient.as_slice(), 1e-5);
        close("ragged H v", &device.product(Product::Hessian, &v), here.hvp(&v).as_slice(), 1e-4);
    }
}

#[test]
fn the_same_inputs_give_the_same_bits() {
    let case = Case::new(32, 300, Activation::Relu, Loss::Mse(Reduction::Mean));
    let v = direction(case.w.len(), 55);
    let once = |chunk: usize| {
        let mut device = case.on_device(chunk);
        let (gradient, hv) = (device.gradient(), device.product(Product::Hessian, &v));
        assert_eq!(gradient, device.gradient());
        assert_eq!(hv, device.product(Product::Hessian, &v));
        let sam = Optimizer::new(&mut device.objective, Rule::sam(0.5, 0.03), &device.w).unwrap();
        the_device().run(std::iter::repeat_n(&*sam.step(0).unwrap(), 20)).unwrap();
        (gradient, hv, device.objective.read::<f64>(sam.params()).unwrap())
    };
    for chunk in [300, 128] {
        assert!(once(chunk) == once(chunk), "two runs differ with chunks of {chunk}");
    }
}

#[test]
fn steps_follow_the_formula_and_log_what_was() {
    let case = Case::new(32, 300, Activation::Tanh, Loss::CrossEntropy);
    let reference = case.reference();
    let w = DVector::from_vec(case.w64());
    let here = reference.at(w.as_slice());
    for (rho, epsilon) in [(0.0, 1e-5), (0.1, 1e-5), (0.1, 0.5)] {
        let rule = Rule { epsilon, ..Rule::sam(0.3, rho) };
        let expected = sam_step(&reference, &w, rule);
        let mut device = case.on_device(128);
        let error = device.metrics().error;
        let optimizer = Optimizer::new(&mut device.objective, rule, &device.w).unwrap();
        let mut moved = vec![];
        let [step, logged] = [optimizer.step(0).unwrap(), optimizer.logged_step(0).unwrap()];
        for recording in [&*step, &*logged, optimizer.probe.recording(0)] {
            the_device().write(&device.w, &case.w).unwrap();
            the_device().run([recording]).unwrap();
            moved.push(device.objective.read(optimizer.params()).unwrap());
            // The updates themselves, which are much smaller than the parameters.
            let update: Vec<f64> = widen(&moved[moved.len() - 1]).iter().zip(&w).map(|(new, old)| new - old).collect();
            if moved.len() < 3 {
                close(&format!("SAM step, rho {rho}"), &widen(&moved[moved.len() - 1]), expected.as_slice(), 1e-7);
                close(&format!("SAM update, rho {rho}"), &update, (&expected - &w).as_slice(), 1e-4);
            } else {
                assert!(update.iter().all(|&x| x == 0.0), "a probe moves nothing");
            }
            let gradient = widen(&device.objective.read(optimizer.probe.gradient()).unwrap());
            close("gradient left by a step", &gradient, here.gradient.as_slice(), 1e-5);
            let followed = widen(&device.objective.read(optimizer.probe.update_gradient(0)).unwrap());
            close("gradient followed", &followed, ((&w - &expected) / rule.lr).as_slice(), 1e-5);
            if moved.len() > 1 {
                let metrics =
                    optimizer.probe.metrics(&device.objective, &the_device().read(optimizer.probe.row()).unwrap());
                close("logged loss", &[metrics.loss], &[here.loss], 1e-6);
                close("logged gradient norm", &[metrics.grad_norm], &[here.gradient.norm()], 1e-6);
                assert_eq!(metrics.error, error);
                the_device().write(optimizer.probe.row(), &vec![0.0_f32; optimizer.probe.row().len()]).unwrap();
            }
        }
        assert!(moved[0] == moved[1], "logging changes the update");
    }
}

/// x·W without bias: its Hessian is known in closed form.
struct Linear;

impl Model for Linear {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        Ok(vec![Param { name: "kernel".into(), shape: vec![784, 10], init: Init::Zeros }])
    }

    fn forward(&self, graph: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        graph.matmul(x, params[0])
    }
}

#[test]
fn spectra_of_a_linear_model_have_their_closed_form() {
    let data = mnist(200);
    let x = DMatrix::from_row_slice(200, 784, &widen(real(&data)));
    // XXᵀ has the non-zero eigenvalues of XᵀX.
    let mut sigma = SymmetricEigen::new(&x * x.transpose()).eigenvalues.as_slice().to_vec();
    sigma.sort_by(|a, b| b.total_cmp(a));
    // At W = 0 softmax is uniform, so the loss curves by (I − 11ᵀ/10)/10; the squared errors curve by 2/10 and by 1.
    for (loss, factor) in LOSSES.into_iter().zip([2.0 / 2000.0, 1.0 / 200.0, 0.1 / 200.0]) {
        let objective = Objective::new(the_device(), Arc::new(Linear), loss, &data, 64).unwrap();
        let mut device = OnDevice::new(objective, &[0.0; 7840]);
        let options = EigenOptions { top: 1, tol: 1e-5, ..Default::default() };
        let solve = |operator: &mut dyn Operator| {
            let pair = lanczos(operator, None, &options).unwrap().pairs.remove(0);
            close(&format!("top eigenvalue, {loss:?}"), &[pair.value], &[factor * sigma[0]], 1e-5);
            // v = (left singular vector) ⊗ (any direction): X·v has rank one and norm σ₁.
            let image = &x * DMatrix::from_row_slice(784, 10, &pair.vector);
            close("‖X v₁‖", &[image.norm()], &[sigma[0].sqrt()], 1e-4);
        };
        solve(&mut HessianOperator::new(&mut device.objective, &device.w).unwrap());
        // The outputs are linear in W: nothing but the Gauss–Newton part is left.
        solve(&mut GaussNewtonOperator::new(&mut device.objective, &device.w).unwrap());
    }
}
