//! Derivatives of random programs: a scalar function of a program's inputs, and directions to differentiate it along.

use edgewalk::graph::{DType, NodeId, Op, Unary};

use super::oracle::Numbers;
use super::random_programs::Program;

/// What a program's derivatives are made from. The directions are new inputs of the program.
pub struct Parts {
    /// The inputs that are numbers.
    pub x: Vec<NodeId>,
    /// The outputs that are numbers.
    pub y: Vec<NodeId>,
    /// A direction for y.
    pub u: Vec<NodeId>,
    /// Two directions for x.
    pub v: [Vec<NodeId>; 2],
    /// Σ u·y
    pub loss: NodeId,
}

/// Adds Σ u·y and directions to a program. Of a tensor of n elements a direction is of order 1/√n.
pub fn parts(program: &mut Program, seed: u64) -> Parts {
    let Program { graph, outputs, given } = program;
    let mut numbers = Numbers::new(seed);
    let is_f32 = |id: &NodeId| graph.node(*id).ty.dtype == DType::F32;
    let y: Vec<NodeId> = outputs.iter().copied().filter(is_f32).collect();
    let x: Vec<NodeId> = given.iter().map(|(id, _)| *id).filter(is_f32).collect();
    let [u, v, w] = [&y, &x, &x].map(|like| {
        let (nodes, mut values) = numbers.inputs_like(graph, like);
        for tensor in &mut values {
            let root = (tensor.data.len().max(1) as f64).sqrt();
            tensor.data.iter_mut().for_each(|x| *x = f64::from((*x / root) as f32));
        }
        given.extend(nodes.iter().copied().zip(values));
        nodes
    });
    let mut loss = graph.constant(0.0);
    for (&y, &u) in y.iter().zip(&u) {
        let product = graph.mul(y, u);
        let sum = graph.sum_all(product);
        loss = graph.add(loss, sum);
    }
    Parts { x, y, u, v: [v, w], loss }
}

/// Whether derivatives are those of a function: nothing is cut out of them.
pub fn is_whole(program: &Program) -> bool {
    let live = program.graph.reachable(&program.outputs);
    let stops = |id: NodeId| live[id.index()] && program.graph.node(id).op == Op::Unary(Unary::StopGradient);
    !program.graph.ids().any(stops)
}
