//! The library as its users meet it: the examples of docs/library.md do what they say, and a loss of one's own is
//! differentiated like any other.

use std::sync::Arc;

use edgewalk::data::Features;
use edgewalk::folder::RunDir;
use edgewalk::folder::manifest::Ended;
use edgewalk::graph::{DType, Graph, NodeId, Tensor, eval};
use edgewalk::model::{Activation, Init, Layout, Loss, Mlp, Model, ModelError, Param, initial_params};
use edgewalk::objective::Objective;

use super::device::the_device;
use super::interpreted::interpret;
use super::objective_cases::{OnDevice, Product, close, direction, widen};

#[expect(dead_code, reason = "main is for cargo run --example")]
#[path = "../examples/custom_data.rs"]
mod custom_data;
#[expect(dead_code, reason = "main is for cargo run --example")]
#[path = "../examples/custom_loss.rs"]
mod custom_loss;
#[expect(dead_code, reason = "main is for cargo run --example")]
#[path = "../examples/train.rs"]
mod train;

#[test]
fn a_run_from_rust_has_its_folder_tables_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let rows = train::train(Some(out.clone())).unwrap();
    let run = RunDir::open(&out).unwrap();
    // Sharpness climbs towards the edge.
    let (first, last) = (&rows[0], rows.last().unwrap());
    assert!(last.step == 200 && first.edge_ratio < 0.5 && last.edge_ratio > 0.8, "{first:?} to {last:?}");
    assert_eq!(run.read_manifest().unwrap().ended, Ended::Done);
    assert!(run.plots().join("edges.svg").is_file() && run.metrics().is_file());
    assert!(run.checkpoint(200).is_dir());
}

#[test]
fn smoothed_labels_stay_at_the_edge_where_cross_entropy_leaves_it() {
    let [plain, smoothed] = [Loss::CrossEntropy, Loss::Custom(custom_loss::smoothed)]
        .map(|loss| custom_loss::train(loss).unwrap().pop().unwrap());
    assert!(plain.edge_ratio < 0.2, "{}", plain.edge_ratio);
    assert!((0.8..1.2).contains(&smoothed.edge_ratio), "{}", smoothed.edge_ratio);
    // Smoothed labels q cost at least their own entropy, which the network all but reaches.
    let share = f64::from(custom_loss::SMOOTHING) / 10.0;
    let own = 1.0 - 9.0 * share;
    let entropy = -own * own.ln() - 9.0 * share * share.ln();
    assert!(smoothed.loss > entropy && smoothed.loss < entropy + 0.01, "{} and {entropy}", smoothed.loss);
}

#[test]
fn the_spirals_are_learnt() {
    let learnt = custom_data::learn().unwrap();
    assert!(learnt.error < 0.1, "{}\n{}", learnt.lines.join("\n"), learnt.drawing);
    // Both sides are in the drawing, and both spirals.
    assert_eq!(learnt.drawing.lines().count(), 28);
    assert!(['·', ' ', 'o', 'x'].iter().all(|&letter| learnt.drawing.contains(letter)), "{}", learnt.drawing);
}

#[test]
fn a_smoothed_loss_is_what_its_formula_says() {
    let (outputs, labels) = ([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], [2, 1]);
    let mut g = Graph::new();
    let (x, y) = (g.input_f32("outputs", &[2, 3]), g.input("labels", &[2], DType::U32));
    let losses = Loss::Custom(custom_loss::smoothed).per_label(&mut g, x, y);
    let given = [
        (x, Tensor { shape: vec![2, 3], data: outputs.concat() }),
        (y, Tensor { shape: vec![2], data: labels.map(|label| label as f64).into() }),
    ];
    let found = &eval(&g, &[losses], &given).unwrap()[0];
    let share = f64::from(custom_loss::SMOOTHING) / 3.0;
    let expected = outputs.iter().zip(labels).map(|(scores, label)| {
        let sum: f64 = scores.iter().map(|score: &f64| score.exp()).sum();
        let q = |class| if class == label { 1.0 - 2.0 * share } else { share };
        (0..3).map(|class| -q(class) * (scores[class].exp() / sum).ln()).sum::<f64>()
    });
    // The constants of a graph are float32.
    close("losses", &found.data, &expected.collect::<Vec<_>>(), 1e-7);
}

#[test]
fn a_loss_of_ones_own_has_all_derivatives() {
    // Huber's loss on the distance of the label's output from 1, ½d² up to d = ½, as ½m² + ½(d − m) with m = min(d, ½).
    let huber = Loss::Custom(|g, outputs, labels| {
        let classes = g.shape(outputs)[1];
        let hit = g.one_hot(labels, classes);
        let own = g.mul(hit, outputs);
        let own = g.reduce_sum(own, &[1]);
        let signed = g.offset(own, -1.0);
        let opposite = g.neg(signed);
        let d = g.max(signed, opposite);
        let shape = g.shape(d).to_vec();
        let half = g.full(0.5, &shape);
        let beyond = g.sub(d, half);
        let zero = g.full(0.0, &shape);
        let beyond = g.max(beyond, zero);
        let m = g.sub(d, beyond);
        let square = g.mul(m, m);
        let twice = g.add(square, beyond);
        g.scale(twice, 0.5)
    });
    for (name, loss) in [("smoothed", Loss::Custom(custom_loss::smoothed)), ("Huber", huber)] {
        let mlp = Mlp { inputs: 2, width: 8, depth: 3, outputs: 2, activation: Activation::Tanh };
        let (data, v) = (custom_data::spirals().unwrap(), direction(Layout::of(&mlp).unwrap().len(), 72));
        let w = initial_params(&Layout::of(&mlp).unwrap(), 5);
        let expected = interpret(&mlp, loss, &data, &widen(&w), &v);
        let mut device = OnDevice::new(Objective::new(the_device(), Arc::new(mlp), loss, &data, 0).unwrap(), &w);
        close(&format!("{name}: loss"), &[device.metrics().loss], &[expected.metrics.loss], 1e-6);
        close(&format!("{name}: gradient"), &device.gradient(), &expected.gradient, 1e-5);
        close(&format!("{name}: H v"), &device.product(Product::Hessian, &v), &expected.hvp, 1e-4);
        close(&format!("{name}: G v"), &device.product(Product::GaussNewton, &v), &expected.ggn, 1e-4);
    }
}

#[test]
fn models_and_losses_of_another_shape_are_refused_by_name() {
    struct Crooked;
    impl Model for Crooked {
        fn params(&self) -> Result<Vec<Param>, ModelError> {
            Ok(vec![Param { name: "w".to_owned(), shape: vec![2, 2], init: Init::Ones }])
        }

        fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
            let y = g.matmul(x, params[0]);
            g.reshape(y, &[60, 2, 2])
        }
    }
    let mlp = || Mlp { inputs: 2, width: 8, depth: 3, outputs: 2, activation: Activation::Tanh };
    let narrow = Mlp { inputs: 3, ..mlp() };
    let cases: [(Arc<dyn Model>, Loss, &[&str]); 5] = [
        (Arc::new(Crooked), Loss::CrossEntropy, &["Reshape", "[60, 2, 2]", "[1, 2]"]),
        (Arc::new(mlp()), Loss::Custom(|_, outputs, _| outputs), &["f32[120,2] where f32[120]", "one value for each"]),
        (Arc::new(mlp()), Loss::Custom(|_, _, labels| labels), &["u32[120] where f32[120]", "one value for each"]),
        (Arc::new(mlp()), Loss::Output, &["the model's outputs for one example are [1, 2]", "takes [1, 1]"]),
        (Arc::new(narrow), Loss::CrossEntropy, &["DotGeneral", "[1, 2] and [3, 8]"]),
    ];
    for (model, loss, parts) in cases {
        let error =
            Objective::new(the_device(), model, loss, &custom_data::spirals().unwrap(), 0).err().unwrap().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn the_second_spiral_is_the_first_upside_down() {
    let spirals = custom_data::spirals().unwrap();
    let (Features::Real(points), labels) = (spirals.features(), spirals.labels()) else { panic!("numbers") };
    let (first, second) = points.split_at(points.len() / 2);
    assert!(first.iter().zip(second).all(|(a, b)| (a + b).abs() < 1e-5));
    assert!(labels[..60].iter().all(|&label| label == 0) && labels[60..].iter().all(|&label| label == 1));
}
