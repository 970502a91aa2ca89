//! The loss of a chunk of examples as a graph, and the programs made from it.
//!
//! Products with the Hessian or the Gauss–Newton matrix have two programs: the first keeps the values that depend on
//! the parameters alone, the second multiplies one vector or several with them.

use std::sync::Arc;

use crate::autodiff;
use crate::data::{Examples, Features, TargetKind};
use crate::device::{Device, DeviceError, Program};
use crate::graph::{DType, Graph, NodeId, Op, Unary};
use crate::kernel::KernelError;
use crate::model::{Constant, Layout, Loss, Model, wrong, wrong_probabilities};
use crate::passes::{self, Stages};
use crate::plan::{Output, Place, Spec};

/// Partial sums per chunk that the host adds up in f64.
pub(super) const PARTIALS: usize = 64;

/// The buffers of a chunk's program, in this order; kept values follow.
const W: usize = 0;
const X: usize = 1;
const LABELS: usize = 2;
const V: usize = 3;
const RESULT: usize = 4;
const SUMS: usize = 5;
const WEIGHTS: usize = 6;
const CONSTANTS: usize = 7;
pub(super) const SLOTS: usize = 8;

/// The result of a chunk's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quantity {
    /// Loss and error alone.
    Loss,
    /// ∇L, and loss and error if asked.
    Gradient { metrics: bool },
    /// ∇(vᵀHv)
    CurvatureGrad,
    /// The shared part of all products with a matrix.
    Kept(Matrix),
    /// Products with so many vectors at once, from the kept values.
    Product(Matrix, usize),
}

/// A symmetric matrix of second derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// H = ∇²L
    Hessian,
    /// G = Jᵀ·H_L·J, the generalised Gauss–Newton matrix: H without the model's own curvature.
    GaussNewton,
}

/// The form of features on the device.
pub(super) fn dtype_of(data: &Examples) -> DType {
    match data.features() {
        Features::Real(_) => DType::F32,
        Features::Tokens(_) => DType::U32,
    }
}

/// The targets of examples, for messages.
fn words(targets: TargetKind) -> String {
    match targets {
        TargetKind::Classes(classes) => format!("{classes} classes"),
        TargetKind::Signs => "signs".to_owned(),
        TargetKind::Numbers(width) => format!("{width} numbers as targets"),
    }
}

/// An objective without its data and device.
pub(super) struct Problem {
    pub model: Arc<dyn Model>,
    pub loss: Loss,
    pub layout: Layout,
    pub constants: Vec<Constant>,
    /// Type and number of an example's features.
    pub dtype: DType,
    pub dim: usize,
    pub labels_each: usize,
    pub targets: TargetKind,
    /// Whether the weights of labels are data.
    pub weighted: bool,
    pub examples: usize,
    /// Elements that fit one buffer.
    pub max_len: usize,
}

impl Problem {
    /// 1/N if all N labels weigh the same; `None` if their weights are data.
    pub fn uniform_weight(&self) -> Option<f64> {
        (!self.weighted).then(|| 1.0 / (self.examples * self.labels_each) as f64)
    }

    /// Whether an output can be wrong, rather than only far from its target.
    pub fn misclassifies(&self) -> bool {
        match self.targets {
            TargetKind::Classes(_) | TargetKind::Signs => true,
            TargetKind::Numbers(_) => matches!(self.loss, Loss::BinaryCrossEntropy),
        }
    }

    /// Values of the targets of an example.
    pub fn values_each(&self) -> usize {
        self.labels_each * self.targets.values_each()
    }

    /// The model's graph for so many examples, and its outputs.
    fn forward(&self, rows: usize) -> Result<(Graph, NodeId), DeviceError> {
        let mut g = Graph::new();
        let w: Vec<NodeId> = self.layout.iter().map(|(param, _)| g.input_f32(&param.name, &param.shape)).collect();
        let constants = self.constants.iter().map(|it| g.input_f32(&it.name, &it.shape)).collect::<Vec<_>>();
        let x = g.input("x", &[rows, self.dim], self.dtype);
        let outputs = self.model.forward(&mut g, &[w, constants].concat(), x);
        g.check().map_err(KernelError::from)?;
        Ok((g, outputs))
    }

    /// Whether the model divides by a root, as normalisations divide by a standard deviation. Where that is nearly 0,
    /// rounding in the values before it grows without bound.
    pub fn normalises(&self) -> Result<bool, DeviceError> {
        let (graph, _) = self.forward(1)?;
        Ok(graph.nodes().iter().any(|node| matches!(node.op, Op::Unary(Unary::Rsqrt | Unary::Sqrt))))
    }

    /// Refuses a model whose outputs do not fit the loss, by its graph for one example.
    pub fn check_model(&self) -> Result<(), DeviceError> {
        let (labels, width) = (self.labels_each, self.targets.outputs());
        let (g, outputs) = self.forward(1)?;
        let needed = match (self.loss, self.targets) {
            (Loss::CrossEntropy | Loss::Smoothed(_), TargetKind::Signs | TargetKind::Numbers(_)) => {
                let problem =
                    "cross-entropy needs classes, and the examples have numbers as targets; take the squared error";
                return Err(DeviceError::Mismatch(problem.to_owned()));
            }
            (Loss::Output, _) => [labels, 1],
            (Loss::Mse(_) | Loss::CrossEntropy | Loss::Smoothed(_) | Loss::BinaryCrossEntropy | Loss::Custom(_), _) => {
                [labels, width]
            }
        };
        let found = g.shape(outputs).to_vec();
        // The network of a file may have outputs for classes without examples.
        let has_spare = self.layout.brought().is_some()
            && !matches!(self.loss, Loss::Custom(_) | Loss::Output)
            && matches!(self.targets, TargetKind::Classes(_))
            && matches!(found[..], [rows, outputs] if rows == labels && outputs > width);
        if found != needed && !has_spare {
            return Err(DeviceError::Mismatch(format!(
                "the model's outputs for one example are {found:?}, and this loss takes {needed:?} for {}; give the \
                 model one row of outputs for each label, with one output for each class or number",
                words(self.targets)
            )));
        }
        if matches!(self.loss, Loss::Output) && self.examples > 1 {
            let (g, outputs) = self.forward(2)?;
            if g.shape(outputs) != [2 * labels, 1] {
                let problem = "the network joins the examples to one loss, and they come in chunks; let it give one \
                               number for each example (in PyTorch, reduction=\"none\" and a mean over other axes)";
                return Err(DeviceError::Mismatch(problem.to_owned()));
            }
        }
        Ok(())
    }

    /// Refuses examples of another kind, and token codes beyond the model's.
    pub fn check_examples(&self, data: &Examples) -> Result<(), DeviceError> {
        let Self { dtype, dim, targets, .. } = *self;
        let kind = (dtype_of(data), data.dim(), data.targets().kind());
        if kind != (dtype, dim, targets) {
            let of = |(dtype, dim, targets): (DType, usize, TargetKind)| {
                format!("{dim} {dtype:?} features and {}", words(targets))
            };
            let (given, expected) = (of(kind), of((dtype, dim, targets)));
            return Err(DeviceError::Mismatch(format!(
                "examples of {given} in the place of {expected}; give examples of one kind"
            )));
        }
        if let (Loss::BinaryCrossEntropy, Some((value, example))) = (self.loss, data.targets().no_probability()) {
            return Err(DeviceError::Mismatch(format!(
                "the target of example {example} is {value}, and binary cross-entropy takes numbers from 0 to 1"
            )));
        }
        let (Some(codes), Features::Tokens(tokens)) = (self.model.vocabulary(), data.features()) else { return Ok(()) };
        match tokens.iter().find(|&&token| token as usize >= codes) {
            Some(token) => Err(DeviceError::Mismatch(format!(
                "token {token} is none of the model's {codes} codes, which count from 0; give it a larger vocabulary"
            ))),
            None => Ok(()),
        }
    }

    /// The program of a quantity for a chunk of `rows` examples; with `accumulate` it adds to its result.
    pub fn program(
        &self,
        quantity: Quantity,
        rows: usize,
        accumulate: bool,
        device: &Device,
    ) -> Result<Program, DeviceError> {
        let mut draft = self.trace(rows);
        draft.graph.check().map_err(KernelError::from)?;
        let (w, v, loss) = (draft.w.clone(), draft.v.clone(), draft.loss);
        match quantity {
            Quantity::Loss => draft.store_metrics(),
            Quantity::Gradient { metrics } => {
                let gradient = autodiff::grad(&mut draft.graph, loss, &w);
                draft.store_vector(self, &gradient, 1, accumulate);
                if metrics {
                    draft.store_metrics();
                }
            }
            Quantity::CurvatureGrad => {
                let gradient = autodiff::curvature_grad(&mut draft.graph, loss, &w, &v);
                draft.store_vector(self, &gradient, 1, accumulate);
            }
            Quantity::Kept(matrix) => {
                let (_, stages) = draft.linearise(self, matrix)?;
                let places = draft.places[draft.graph.inputs().len()..].iter().flatten();
                draft.stored = (stages.kept.into_iter().zip(places))
                    .map(|(node, &place)| Output { node, place, accumulate: false })
                    .collect();
            }
            Quantity::Product(matrix, count) => {
                let (results, Stages { second, .. }) = draft.linearise(self, matrix)?;
                let results = second.outputs(&results);
                // The vectors lie side by side, tensor by tensor.
                let is_v = |place: &Option<Place>| place.is_some_and(|place| place.slot == V);
                let late = |id: &NodeId| matches!(second.graph.node(*id).op, Op::Input(n) if is_v(&draft.places[n]));
                let late: Vec<NodeId> = second.graph.ids().filter(late).collect();
                draft.places.iter_mut().flatten().filter(|p| p.slot == V).for_each(|p| p.offset *= count);
                let many = passes::vmap(&second.graph, &results, &late, count);
                let results = many.outputs(&results);
                draft.graph = many.graph;
                draft.slots[V] *= count;
                draft.slots[RESULT] *= count;
                draft.store_vector(self, &results, count, accumulate);
            }
        }
        let inputs: Vec<(NodeId, Place)> = (draft.graph.ids())
            .filter_map(|id| match draft.graph.node(id).op {
                Op::Input(number) => Some((id, draft.places.get(number).copied().flatten()?)),
                _ => None,
            })
            .collect();
        let name = format!("{quantity:?} of {rows} examples");
        let Draft { graph, stored, slots, .. } = &draft;
        device.compile(&Spec { name: &name, graph, inputs: &inputs, outputs: stored, slots })
    }

    /// The loss of `rows` examples, and a vector beside the parameters.
    fn trace(&self, rows: usize) -> Draft {
        let mut g = Graph::new();
        let mut places: Vec<Option<Place>> = vec![];
        let mut vector = |g: &mut Graph, prefix: &str, slot: usize| -> Vec<NodeId> {
            let tensors = self.layout.iter().map(|(param, offset)| {
                places.push(Some(Place { slot, offset }));
                g.input_f32(&format!("{prefix}{}", param.name), &param.shape)
            });
            tensors.collect()
        };
        let w = vector(&mut g, "", W);
        let v = vector(&mut g, "v.", V);
        let count = rows.saturating_mul(self.labels_each);
        let x = g.input("x", &[rows, self.dim], self.dtype);
        let labels = match self.targets {
            TargetKind::Classes(_) => g.input("labels", &[count], DType::U32),
            kind @ (TargetKind::Signs | TargetKind::Numbers(_)) => g.input_f32("targets", &[count, kind.outputs()]),
        };
        places.extend([X, LABELS].map(|slot| Some(Place { slot, offset: 0 })));
        let (mut given, mut constants_len) = (w.clone(), 0);
        for Constant { name, shape, values } in &self.constants {
            places.push(Some(Place { slot: CONSTANTS, offset: constants_len }));
            given.push(g.input_f32(name, shape));
            constants_len += values.len();
        }

        let outputs = self.model.forward(&mut g, &given, x);
        let losses = match (self.loss, self.targets) {
            (Loss::BinaryCrossEntropy, TargetKind::Signs) => {
                let half = g.scale(labels, 0.5);
                let probabilities = g.offset(half, 0.5);
                self.loss.per_label(&mut g, outputs, probabilities)
            }
            _ => self.loss.per_label(&mut g, outputs, labels),
        };
        let errors = match (self.targets, self.misclassifies()) {
            (_, false) => g.full(0.0, &[count]),
            (TargetKind::Classes(_) | TargetKind::Signs, true) => wrong(&mut g, outputs, labels),
            (TargetKind::Numbers(_), true) => wrong_probabilities(&mut g, outputs, labels),
        };
        let (mut metrics, mut weight_slot) = ([losses, errors], 0);
        if self.uniform_weight().is_none() {
            // Inputs that a model adds itself have no place.
            places.resize(g.inputs().len(), None);
            places.push(Some(Place { slot: WEIGHTS, offset: 0 }));
            let weights = g.input_f32("weights", &[count]);
            metrics = metrics.map(|values| g.mul(values, weights));
            weight_slot = count;
        }
        let sum = g.sum_all(metrics[0]);
        let loss = g.scale(sum, self.uniform_weight().unwrap_or(1.0));
        let vector = self.layout.device_len();
        let (x_len, targets_len) = (rows.saturating_mul(self.dim), rows.saturating_mul(self.values_each()));
        let slots = vec![vector, x_len, targets_len, vector, vector, 2 * PARTIALS, weight_slot, constants_len];
        Draft { graph: g, places, slots, w, v, outputs, loss, metrics, stored: vec![] }
    }

    /// Places for kept values, one after the other in as few buffers as the limit on their size allows. Their lengths
    /// are appended to `slots`.
    fn pack(&self, lens: impl Iterator<Item = usize>, slots: &mut Vec<usize>) -> Vec<Option<Place>> {
        let mut places = vec![];
        for len in lens {
            // Whole vec4s.
            let len = len.next_multiple_of(4);
            if slots.len() == SLOTS || slots[slots.len() - 1] + len > self.max_len {
                slots.push(0);
            }
            let slot = slots.len() - 1;
            places.push(Some(Place { slot, offset: slots[slot] }));
            slots[slot] += len;
        }
        places
    }
}

/// A program under construction: the loss of a chunk, and the values to store.
struct Draft {
    graph: Graph,
    /// Places of the graph's inputs by their numbers, and then of kept values. Unread inputs, as differentiation leaves
    /// them, have none.
    places: Vec<Option<Place>>,
    /// Lengths of the buffers.
    slots: Vec<usize>,
    w: Vec<NodeId>,
    v: Vec<NodeId>,
    outputs: NodeId,
    loss: NodeId,
    /// Losses and errors of the labels, weighted.
    metrics: [NodeId; 2],
    stored: Vec<Output>,
}

impl Draft {
    fn store_metrics(&mut self) {
        for (i, values) in self.metrics.into_iter().enumerate() {
            let node = partial_sums(&mut self.graph, values);
            let place = Place { slot: SUMS, offset: i * PARTIALS };
            self.stored.push(Output { node, place, accumulate: false });
        }
    }

    /// Stores `count` vectors, given as tensors with a leading axis of that length where it is not 1.
    fn store_vector(&mut self, problem: &Problem, tensors: &[NodeId], count: usize, accumulate: bool) {
        for ((_, offset), &node) in problem.layout.iter().zip(tensors) {
            let place = Place { slot: RESULT, offset: count * offset };
            self.stored.push(Output { node, place, accumulate });
        }
    }

    /// Cuts a product in two stages, simplifies the graph and adds the places of kept values. Also returns the product.
    fn linearise(&mut self, problem: &Problem, matrix: Matrix) -> Result<(Vec<NodeId>, Stages), KernelError> {
        let results = match matrix {
            Matrix::Hessian => autodiff::hvp(&mut self.graph, self.loss, &self.w, &self.v),
            Matrix::GaussNewton => autodiff::ggn(&mut self.graph, self.loss, self.outputs, &self.w, &self.v),
        };
        self.graph.check()?;
        let simple = passes::simplify(&self.graph, &results);
        let results = simple.outputs(&results);
        let v: Vec<NodeId> = self.v.iter().filter_map(|&id| simple.get(id)).collect();
        self.graph = simple.graph;
        self.places.resize(self.graph.inputs().len(), None);
        let stages = passes::stage(&self.graph, &results, &v);
        let lens: Vec<usize> = stages.kept.iter().map(|id| self.graph.node(*id).ty.len()).collect();
        let kept = problem.pack(lens.into_iter(), &mut self.slots);
        self.places.extend(kept);
        Ok((results, stages))
    }
}

/// [n] to [`PARTIALS`] sums of n / PARTIALS values each.
fn partial_sums(g: &mut Graph, values: NodeId) -> NodeId {
    let n = g.shape(values).first().copied().unwrap_or(1);
    let each = n.div_ceil(PARTIALS);
    let padded = g.pad(values, &[0], &[each.saturating_mul(PARTIALS) - n]);
    let table = g.reshape(padded, &[each, PARTIALS]);
    g.reduce_sum(table, &[0])
}
