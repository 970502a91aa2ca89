//! Products that share what depends on the parameters alone, one vector at a time and several, against a float64 network
//! and against products that share nothing.

use std::sync::Arc;

use edgewalk::curvature::Operator;
use edgewalk::data::{Examples, Features};
use edgewalk::model::{Activation, Loss, Mlp, Reduction};
use edgewalk::objective::{BLOCK, GaussNewtonOperator, HessianOperator, Matrix, Objective};

use super::device::{is_native, the_device};
use super::objective_cases::{Case, OnDevice, Product, close, direction, some_params};

/// The products of `operator` with `vectors`, in a block.
fn block(operator: &mut dyn Operator, vectors: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let views: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
    let mut products = vec![vec![f64::NAN; operator.dim()]; vectors.len()];
    operator.apply_block(&views, &mut products).unwrap();
    products
}

#[test]
fn blocks_of_any_length_agree_with_a_float64_network() {
    let vectors: Vec<Vec<f64>> = (0..BLOCK as u64 + 3).map(|i| direction(case().w.len(), 70 + i)).collect();
    let case = case();
    let reference = case.reference();
    let here = reference.at(&case.w64());
    for chunk in [100, 37] {
        let mut device = case.on_device(chunk);
        let mut hessian = HessianOperator::with_blocks(&mut device.objective, &device.w).unwrap();
        let mut gauss_newton = GaussNewtonOperator::with_blocks(&mut device.objective, &device.w).unwrap();
        let mut hessian = hessian.linearise().unwrap();
        let mut gauss_newton = gauss_newton.linearise().unwrap();
        for count in 1..=vectors.len() {
            for (v, hv) in vectors.iter().zip(block(&mut hessian, &vectors[..count])) {
                close(&format!("H v of {count}"), &hv, here.hvp(v).as_slice(), 1e-4);
            }
        }
        for (v, gv) in vectors.iter().zip(block(&mut gauss_newton, &vectors)) {
            close("G v", &gv, here.gnvp(v).as_slice(), 1e-4);
        }
    }
}

fn case() -> Case {
    Case::new(16, 100, Activation::Tanh, Loss::CrossEntropy)
}

#[test]
fn a_linearised_operator_stays_where_it_was_made_and_others_follow() {
    let case = Case::new(16, 100, Activation::Relu, Loss::Mse(Reduction::Mean));
    let v = direction(case.w.len(), 80);
    let mut device = case.on_device(64);
    let mut hessian = HessianOperator::new(&mut device.objective, &device.w).unwrap();
    let here = case.reference().at(&case.w64()).hvp(&v);
    let mut product = vec![0.0; v.len()];
    let mut linearised = hessian.linearise().unwrap();
    linearised.apply(&v, &mut product).unwrap();
    close("linearised", &product, here.as_slice(), 1e-4);
    linearised.apply(&v, &mut product).unwrap();
    close("linearised, again", &product, here.as_slice(), 1e-4);

    let elsewhere = some_params(&case.mlp, 81);
    the_device().write(&device.w, &elsewhere).unwrap();
    let wide: Vec<f64> = elsewhere.iter().map(|&x| x.into()).collect();
    let there = case.reference().at(&wide).hvp(&v);
    hessian.apply(&v, &mut product).unwrap();
    close("not linearised, elsewhere", &product, there.as_slice(), 1e-4);
    hessian.linearise().unwrap().apply(&v, &mut product).unwrap();
    close("linearised elsewhere", &product, there.as_slice(), 1e-4);
}

#[test]
fn what_is_shared_changes_no_bit() {
    let case = case();
    let v = direction(case.w.len(), 82);
    let mut device = case.on_device(37);
    let alone = device.product(Product::Hessian, &v);
    let mut hessian = HessianOperator::new(&mut device.objective, &device.w).unwrap();
    let mut product = vec![0.0; v.len()];
    hessian.apply(&v, &mut product).unwrap();
    assert!(product == alone, "chunks that take turns and chunks that keep their own differ");
    hessian.linearise().unwrap().apply(&v, &mut product).unwrap();
    assert!(product == alone);
}

#[test]
fn vectors_of_which_four_exceed_a_buffer_are_multiplied_one_by_one() {
    // One vector takes half of what the adapter binds. Nothing is run: sizes alone decide.
    let dry = the_device().dry();
    let width = dry.max_binding_bytes() as usize / 4 / 2 / 100;
    let data = Examples::new(Features::Real(vec![0.5; 97]), [97], vec![0], 2).unwrap();
    let mlp = Mlp { inputs: 97, width, depth: 2, outputs: 2, activation: Activation::Tanh };
    let mut objective = Objective::new(&dry, Arc::new(mlp), Loss::Mse(Reduction::Mean), &data, 1).unwrap();
    let w = objective.vector("w").unwrap();
    assert!(dry.check_size("four", 4 * w.len()).is_err());
    HessianOperator::with_blocks(&mut objective, &w).unwrap();
}

#[test]
fn a_block_that_would_exceed_the_adapters_limits_is_multiplied_one_by_one() {
    // The processor binds what fits no memory.
    if is_native() {
        return;
    }
    // One vector's hidden values nearly fill the largest buffer that WebGPU promises.
    let rows = 2048;
    let width = the_device().max_binding_bytes() as usize / 4 / rows * 9 / 10;
    let features = Features::Real((0..4 * rows).map(|i| (i % 7) as f32 / 7.0 - 0.4).collect());
    let data = Examples::new(features, [4], (0..rows).map(|i| (i % 2) as u32).collect(), 2).unwrap();
    let mlp = Mlp { inputs: 4, width, depth: 2, outputs: 2, activation: Activation::Tanh };
    let w = some_params(&mlp, 1);
    let objective = Objective::new(the_device(), Arc::new(mlp), Loss::Mse(Reduction::Mean), &data, rows).unwrap();
    let mut device = OnDevice::new(objective, &w);
    let mut hessian = HessianOperator::with_blocks(&mut device.objective, &device.w).unwrap();
    assert!(hessian.block_recording().is_none());
    let vectors: Vec<Vec<f64>> = (0..2).map(|i| direction(w.len(), 90 + i)).collect();
    let mut hessian = hessian.linearise().unwrap();
    let products = block(&mut hessian, &vectors);
    let mut alone = vec![0.0; w.len()];
    hessian.apply(&vectors[1], &mut alone).unwrap();
    assert!(products[1] == alone && alone.iter().any(|&x| x != 0.0));
}

#[test]
fn the_memory_set_aside_changes_no_bit() {
    let case = case();
    let v = direction(case.w.len(), 81);
    let mut device = case.on_device(37);
    let mut product = |most: u64| {
        device.objective.keep_at_most(most);
        let mut hessian = HessianOperator::new(&mut device.objective, &device.w).unwrap();
        let keeps = hessian.recordings().1.dispatches() > 0;
        let mut product = vec![0.0; v.len()];
        hessian.linearise().unwrap().apply(&v, &mut product).unwrap();
        (keeps, product)
    };
    let (bytes, _) = case.on_device(37).objective.kept_bytes(Matrix::Hessian).unwrap();
    let [(keeps, kept), (turns, again)] = [product(bytes), product(bytes - 1)];
    assert!(keeps && !turns, "{bytes} bytes suffice, and one less does not");
    assert!(kept == again, "products that keep values differ from those that compute them again");
}
