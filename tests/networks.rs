//! The programs that training and measuring a small network needs, as graphs: loss, gradient, H·v, G·v and the third
//! order, for the tests of passes and kernels.

use edgewalk::autodiff::{curvature_grad, ggn, grad, hvp};
use edgewalk::graph::{DType, Graph, NodeId, Tensor};
use edgewalk::model::{Activation, Loss, Mlp, Model, Reduction};

use super::oracle::{Given, Numbers};

pub const ACTIVATIONS: [Activation; 5] =
    [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Elu, Activation::Softplus];
pub const LOSSES: [Loss; 3] = [Loss::Mse(Reduction::Mean), Loss::Mse(Reduction::HalfSum), Loss::CrossEntropy];

/// A network on random examples, with everything that is computed of it.
pub struct Network {
    pub graph: Graph,
    pub given: Given,
    /// Name and outputs of every program.
    pub programs: Vec<(&'static str, Vec<NodeId>)>,
}

/// A network on `examples` random examples.
pub fn network(mlp: &Mlp, loss: Loss, examples: usize) -> Network {
    let mut numbers = Numbers::new(11);
    let mut graph = Graph::new();
    let mut given = Given::new();
    let mut params = vec![];
    for param in mlp.params().unwrap() {
        let id = graph.input_f32(&param.name, &param.shape);
        given.push((id, numbers.tensor(&param.shape)));
        params.push(id);
    }
    let x = graph.input_f32("x", &[examples, mlp.inputs]);
    given.push((x, numbers.tensor(&[examples, mlp.inputs])));
    let labels = graph.input("labels", &[examples], DType::U32);
    let data = (0..examples).map(|i| (i * 7 % mlp.outputs) as f64).collect();
    given.push((labels, Tensor { shape: vec![examples], data }));
    let (v, v_values) = numbers.inputs_like(&mut graph, &params);
    given.extend(v.iter().copied().zip(v_values));

    let outputs = mlp.forward(&mut graph, &params, x);
    let each = loss.per_label(&mut graph, outputs, labels);
    let total = graph.sum_all(each);
    let mean = graph.scale(total, 1.0 / examples as f32);
    let programs = vec![
        ("loss", vec![mean]),
        ("gradient", grad(&mut graph, mean, &params)),
        ("hvp", hvp(&mut graph, mean, &params, &v)),
        ("ggn", ggn(&mut graph, mean, outputs, &params, &v)),
        ("third order", curvature_grad(&mut graph, mean, &params, &v)),
    ];
    Network { graph, given, programs }
}

/// A network of three hidden layers.
pub fn mlp(activation: Activation, inputs: usize, width: usize, outputs: usize) -> Mlp {
    Mlp { inputs, width, depth: 4, outputs, activation }
}
