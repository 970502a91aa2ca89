//! Exact derivatives of graphs, of any order, as graphs.
//!
//! [`jvp`] pushes tangents forward (one rule per op), and `transpose` runs a linear program backwards (one rule per
//! linear op). A vector-Jacobian product is the transposed jvp (Radul et al. 2023, "You Only Linearize Once"), a
//! gradient is a vjp of a scalar, and curvature products push a tangent through a gradient (Pearlmutter 1994, "Fast
//! Exact Multiplication by the Hessian"). New nodes go to the same graph and equal nodes are shared, so a gradient and
//! a Hessian product that contains it build the gradient once. Types that do not fit give the graph an error.

mod jvp;
mod transpose;

pub use jvp::jvp;

use crate::graph::{DType, Graph, GraphError, NodeId, Type};

/// Σᵢ cotangentᵢᵀ · ∂outputᵢ/∂wrt: one node of the shape of each of `wrt`, zeros if nothing depends on it.
///
/// Each cotangent has the shape of its output. `wrt` may be any `F32` nodes, each named once; they are independent
/// variables, and their own operands are ignored.
pub fn vjp(graph: &mut Graph, outputs: &[NodeId], wrt: &[NodeId], cotangents: &[NodeId]) -> Vec<NodeId> {
    if outputs.len() != cotangents.len() {
        refuse(graph, format!("{} cotangents for {} outputs; it takes one for each", cotangents.len(), outputs.len()));
    }
    // Placeholders that only the linear program reads: its transpose is free of them.
    let placeholders: Vec<NodeId> = wrt
        .iter()
        .map(|&x| {
            let shape = graph.shape(x).to_vec();
            graph.input("tangent", &shape, DType::F32)
        })
        .collect();
    let linear = jvp(graph, outputs, wrt, &placeholders);
    let seeds: Vec<(NodeId, NodeId)> =
        linear.iter().zip(cotangents).filter_map(|(&y, &cotangent)| y.map(|y| (y, cotangent))).collect();
    let found = transpose::transpose(graph, &seeds, &placeholders);
    or_zeros(graph, &found, wrt)
}

/// ∂loss/∂wrt for a rank-0 `loss`: one node of the shape of each of `wrt`.
pub fn grad(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Vec<NodeId> {
    if !graph.shape(loss).is_empty() {
        refuse(graph, format!("the gradient of a value of shape {:?}; sum it first", graph.shape(loss)));
    }
    let one = graph.constant(1.0);
    vjp(graph, &[loss], wrt, &[one])
}

/// The Hessian-vector product H·v of a rank-0 `loss`, exact: the derivative of its gradient along `v` (forward over
/// reverse). `v` has one node of the shape of each of `wrt`, and so has the result.
pub fn hvp(graph: &mut Graph, loss: NodeId, wrt: &[NodeId], v: &[NodeId]) -> Vec<NodeId> {
    let gradient = grad(graph, loss, wrt);
    directional(graph, &gradient, wrt, v)
}

/// The generalised Gauss-Newton product Jᵀ·H_L·J·v: J is the Jacobian of `model_output` by `wrt`, and H_L the Hessian
/// of the rank-0 `loss` by `model_output` (Schraudolph 2002). `v` and the result match `wrt`.
pub fn ggn(graph: &mut Graph, loss: NodeId, model_output: NodeId, wrt: &[NodeId], v: &[NodeId]) -> Vec<NodeId> {
    let pushed = directional(graph, &[model_output], wrt, v);
    let curved = hvp(graph, loss, &[model_output], &pushed);
    vjp(graph, &[model_output], wrt, &curved)
}

/// ∇(vᵀHv) for fixed `v`, a third-order product; for a unit eigenvector v₁ of H it is the gradient of its eigenvalue.
///
/// vᵀHv is the second derivative of the loss along `v`, so this is the second derivative of the gradient along `v`,
/// and contains H·v itself. `v` and the result match `wrt`.
pub fn curvature_grad(graph: &mut Graph, loss: NodeId, wrt: &[NodeId], v: &[NodeId]) -> Vec<NodeId> {
    let hv = hvp(graph, loss, wrt, v);
    directional(graph, &hv, wrt, v)
}

/// Records an error of the requested derivative in the graph.
fn refuse(graph: &mut Graph, reason: String) {
    graph.refuse(GraphError::Type { op: "a derivative".to_owned(), reason }, Type::scalar());
}

/// [`jvp`] with its zeros written out.
fn directional(graph: &mut Graph, outputs: &[NodeId], wrt: &[NodeId], v: &[NodeId]) -> Vec<NodeId> {
    let found = jvp(graph, outputs, wrt, v);
    or_zeros(graph, &found, outputs)
}

/// Zeros of the shape of each of `like` for missing nodes.
fn or_zeros(graph: &mut Graph, found: &[Option<NodeId>], like: &[NodeId]) -> Vec<NodeId> {
    found.iter().zip(like).map(|(&found, &like)| found.unwrap_or_else(|| zeros_like(graph, like))).collect()
}

/// Zeros of the shape of `like`.
fn zeros_like(graph: &mut Graph, like: NodeId) -> NodeId {
    let shape = graph.shape(like).to_vec();
    graph.full(0.0, &shape)
}
