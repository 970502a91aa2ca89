//! What the f64 interpreter makes of a model on a data set: the judge of the whole pipeline from graph to adapter.

use edgewalk::autodiff;
use edgewalk::data::{Examples, Features};
use edgewalk::graph::{Binary, Compare, DType, Graph, NodeId, Op, Tensor, eval};
use edgewalk::model::{Layout, Loss, Model, wrong};
use edgewalk::objective::Metrics;

use super::objective_cases::widen;

/// Loss, error, gradient, H·v, G·v and ∇(vᵀHv).
pub struct Interpreted {
    pub metrics: Metrics,
    pub gradient: Vec<f64>,
    pub hvp: Vec<f64>,
    pub ggn: Vec<f64>,
    pub curvature_grad: Vec<f64>,
}

/// A model's graph on a data set, up to its losses.
struct Forward {
    graph: Graph,
    inputs: Vec<(NodeId, Tensor)>,
    w: Vec<NodeId>,
    outputs: NodeId,
    labels: NodeId,
}

/// A flat vector as one input per parameter.
fn vector(layout: &Layout, prefix: &str, values: &[f64], to: (&mut Graph, &mut Vec<(NodeId, Tensor)>)) -> Vec<NodeId> {
    let (graph, inputs) = to;
    let tensors = layout.iter().map(|(param, offset)| {
        let id = graph.input_f32(&format!("{prefix}{}", param.name), &param.shape);
        let data = values[offset..][..param.shape.iter().product()].to_vec();
        inputs.push((id, Tensor { shape: param.shape.clone(), data }));
        id
    });
    tensors.collect()
}

fn forward(model: &dyn Model, data: &Examples, w: &[f64]) -> Forward {
    let (mut graph, mut inputs) = (Graph::new(), vec![]);
    let w = vector(&Layout::of(model).unwrap(), "", w, (&mut graph, &mut inputs));
    let exact = |values: &[u32]| values.iter().map(|&x| x.into()).collect::<Vec<f64>>();
    let (dtype, features) = match data.features() {
        Features::Real(values) => (DType::F32, widen(values)),
        Features::Tokens(codes) => (DType::U32, exact(codes)),
    };
    let shape = vec![data.len(), data.dim()];
    let x = graph.input("x", &shape, dtype);
    inputs.push((x, Tensor { shape, data: features }));
    let labels = graph.input("labels", &[data.labels().len()], DType::U32);
    inputs.push((labels, Tensor { shape: vec![data.labels().len()], data: exact(data.labels()) }));
    let outputs = model.forward(&mut graph, &w, x);
    Forward { graph, inputs, w, outputs, labels }
}

/// What is asked of a model on a data set, as nodes of one graph: sums over the labels, of which the means are wanted.
pub struct Sums {
    pub graph: Graph,
    pub inputs: Vec<(NodeId, Tensor)>,
    /// Labels that count.
    pub counted: usize,
    pub loss: NodeId,
    pub errors: NodeId,
    pub gradient: Vec<NodeId>,
    pub hvp: Vec<NodeId>,
    outputs: NodeId,
    w: Vec<NodeId>,
    v: Vec<NodeId>,
}

/// Loss, errors, gradient and H·v at `w`, along `v`.
pub fn sums(model: &dyn Model, loss: Loss, data: &Examples, w: &[f64], v: &[f64]) -> Sums {
    let Forward { graph: mut g, mut inputs, w, outputs, labels } = forward(model, data, w);
    let v = vector(&Layout::of(model).unwrap(), "v.", v, (&mut g, &mut inputs));
    let losses = loss.per_label(&mut g, outputs, labels);
    let wrong = wrong(&mut g, outputs, labels);
    let (losses, wrong, counted) = match data.features() {
        Features::Real(_) => (losses, wrong, data.len()),
        Features::Tokens(codes) => {
            let mask: Vec<f64> = codes.iter().map(|&code| f64::from(u8::from(code != 0))).collect();
            let node = g.input_f32("mask", &[mask.len()]);
            let counted = mask.iter().sum::<f64>() as usize;
            inputs.push((node, Tensor { shape: vec![mask.len()], data: mask }));
            (g.mul(losses, node), g.mul(wrong, node), counted)
        }
    };
    let (loss, errors) = (g.sum_all(losses), g.sum_all(wrong));
    let gradient = autodiff::grad(&mut g, loss, &w);
    let hvp = autodiff::hvp(&mut g, loss, &w, &v);
    Sums { graph: g, inputs, counted, loss, errors, gradient, hvp, outputs, w, v }
}

/// Everything at `w`, along `v`.
pub fn interpret(model: &dyn Model, loss: Loss, data: &Examples, w: &[f64], v: &[f64]) -> Interpreted {
    let Sums { graph: mut g, inputs, counted, loss, errors, gradient, hvp, outputs, w, v } =
        sums(model, loss, data, w, v);
    let mut wanted = vec![loss, errors];
    wanted.extend(gradient.into_iter().chain(hvp));
    wanted.extend(autodiff::ggn(&mut g, loss, outputs, &w, &v));
    wanted.extend(autodiff::curvature_grad(&mut g, loss, &w, &v));
    let values = eval(&g, &wanted, &inputs).unwrap();
    // The exact weight, not its f32 rounding, multiplies the values.
    let mean = |t: &Tensor| t.data.iter().map(|x| x / counted as f64).collect::<Vec<f64>>();
    let mut vectors = values[2..].chunks(w.len()).map(|tensors| tensors.iter().flat_map(mean).collect());
    let mut vector = || vectors.next().unwrap();
    Interpreted {
        metrics: Metrics { loss: mean(&values[0])[0], error: mean(&values[1])[0] },
        gradient: vector(),
        hvp: vector(),
        ggn: vector(),
        curvature_grad: vector(),
    }
}

/// How far the closest decision of the forward pass (a ReLU, a maximum of a pool) is from going the other way, and
/// whether there are exact ties.
///
/// What lies within rounding of a kink may fall on its other side in f32, which changes a gradient by a whole share: no
/// tolerance covers that. Exact ties are decided by a rule, in f32 as in f64.
pub fn distance_to_kink(model: &dyn Model, data: &Examples, w: &[f64]) -> (f64, bool) {
    let Forward { graph, inputs, outputs, .. } = forward(model, data, w);
    let live = graph.reachable(&[outputs]);
    let decides = |op: &Op| matches!(op, Op::Binary(Binary::Max) | Op::Compare(Compare::Gt));
    let nodes = graph.ids().map(|id| graph.node(id)).zip(live);
    let pairs: Vec<NodeId> = nodes
        .filter(|(node, live)| *live && decides(&node.op) && graph.node(node.inputs[0]).ty.dtype == DType::F32)
        .flat_map(|(node, _)| node.inputs.clone())
        .collect();
    let values = eval(&graph, &pairs, &inputs).unwrap();
    let differences = values.chunks_exact(2).flat_map(|pair| pair[0].data.iter().zip(&pair[1].data));
    let differences = differences.map(|(a, b)| (a - b).abs());
    differences
        .fold((f64::INFINITY, false), |(least, ties), d| if d == 0.0 { (least, true) } else { (least.min(d), ties) })
}
