//! How far a kernel's f32 result may be from the f64 interpreter's, node by node: a first-order rounding-error analysis,
//! itself a graph.
//!
//! With E(x) a bound on the error of x, each op hands on Σ |∂y/∂x|·E(x) and adds its own rounding: what WGSL allows for
//! it ("Floating Point Accuracy"), and for sums one unit in the last place of Σ|terms| for every addition in a row. The
//! bound knows how well conditioned a program is, so no tolerance has to be guessed for it.

use edgewalk::graph::{Binary, ConvSide, DType, Graph, Node, NodeId, Op, Tensor, Unary, Window};

use super::oracle::{Given, run};

/// Distance of neighbouring f32 numbers in [1, 2).
const ULP: f32 = f32::EPSILON;
/// Most additions in a row: of a reduction (a tree of sums of at most 256) and of one loop of a contraction.
const REDUCTION: usize = 512;

/// Bounds on the errors of nodes of one graph.
pub struct Bounds {
    errors: Vec<Option<NodeId>>,
}

impl Bounds {
    /// Adds to the graph what bounds the errors of all that `outputs` need.
    pub fn new(graph: &mut Graph, outputs: &[NodeId]) -> Self {
        let live = graph.reachable(outputs);
        let mut errors: Vec<Option<NodeId>> = vec![None; live.len()];
        for id in graph.ids().filter(|id| live[id.index()]) {
            let node = graph.node(id).clone();
            if node.ty.dtype == DType::F32 {
                let operands: Vec<Option<NodeId>> = node.inputs.iter().map(|i| errors[i.index()]).collect();
                errors[id.index()] = Rule { g: graph, y: id, node: &node, errors: &operands }.apply();
            }
        }
        Self { errors }
    }

    /// The bound of a node, of its shape; `None` where it is exact.
    pub fn of(&self, id: NodeId) -> Option<NodeId> {
        self.errors[id.index()]
    }

    /// Whether rounding cannot flip a comparison of numbers that `outputs` need: they are further apart than their errors, or
    /// equal. What is equal is the same value twice (two elements of a broadcast, a maximum and its operand), in f32 as in
    /// f64.
    pub fn decide(&self, graph: &Graph, outputs: &[NodeId], given: &Given) -> bool {
        let live = graph.reachable(outputs);
        let compares =
            |node: &&Node| matches!(node.op, Op::Compare(_)) && graph.node(node.inputs[0]).ty.dtype == DType::F32;
        let nodes = graph.nodes().iter().zip(live).filter(|(_, live)| *live).map(|(node, _)| node);
        let pairs: Vec<NodeId> = nodes.filter(compares).flat_map(|node| node.inputs.clone()).collect();
        let bounds: Vec<Option<NodeId>> = pairs.iter().map(|&id| self.of(id)).collect();
        let values = run(graph, &pairs.iter().chain(bounds.iter().flatten()).copied().collect::<Vec<_>>(), given);
        let (values, errors) = values.split_at(pairs.len());
        let mut errors = errors.iter();
        let errors: Vec<Option<&Tensor>> = bounds.iter().map(|bound| bound.and_then(|_| errors.next())).collect();
        (values.chunks_exact(2).zip(errors.chunks_exact(2))).all(|(values, errors)| {
            (0..values[0].data.len()).all(|i| {
                let apart = (values[0].data[i] - values[1].data[i]).abs();
                apart == 0.0 || apart > 2.0 * errors.iter().flatten().map(|e| e.data[i]).sum::<f64>()
            })
        })
    }
}

/// One node, and bounds on the errors of its operands.
struct Rule<'a> {
    g: &'a mut Graph,
    y: NodeId,
    node: &'a Node,
    errors: &'a [Option<NodeId>],
}

impl Rule<'_> {
    fn apply(&mut self) -> Option<NodeId> {
        let (x, e) = (self.node.inputs.clone(), self.errors.to_vec());
        match self.node.op.clone() {
            Op::Input(_) | Op::Constant(_) | Op::Iota { .. } | Op::ToF32 | Op::Compare(_) => None,
            Op::Unary(f) => self.unary(f, x[0], e[0]),
            Op::Binary(f) => self.binary(f, [x[0], x[1]], [e[0], e[1]]),
            // Masks are taken to be right.
            Op::Select => {
                if e[1].is_none() && e[2].is_none() {
                    return None;
                }
                let [a, b] = [e[1], e[2]].map(|e| self.or_zero(e));
                Some(self.g.select(x[0], a, b))
            }
            op @ (Op::BroadcastInDim { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::ReduceMax { .. }) => e[0].map(|e| self.g.push(op, &[e])),
            Op::ReduceSum { axes } => {
                let terms: usize = axes.iter().map(|&a| self.g.shape(x[0])[a]).product();
                let size = self.abs(x[0]);
                let size = self.g.reduce_sum(size, &axes);
                let own = self.g.scale(size, ULP * terms.min(REDUCTION) as f32);
                let passed = e[0].map(|e| self.g.reduce_sum(e, &axes));
                self.sum(&[passed, Some(own)])
            }
            op @ Op::DotGeneral(_) => {
                let Op::DotGeneral(dims) = &op else { unreachable!() };
                let terms = dims.lhs_contract.iter().map(|&a| self.g.shape(x[0])[a]).product();
                self.contraction(&op, [x[0], x[1]], [e[0], e[1]], terms)
            }
            op @ Op::Conv { of, window: Window { kernel, output, .. } } => {
                let lead = self.g.shape(x[0]).len() - 4;
                let shape = |i: usize| self.g.shape(x[i])[lead..].to_vec();
                let terms = match of {
                    ConvSide::Input => kernel.iter().product::<usize>() * shape(0)[3],
                    ConvSide::Kernel => output.iter().product::<usize>() * shape(0)[0],
                    ConvSide::Output => kernel.iter().product::<usize>() * shape(0)[3],
                };
                self.contraction(&op, [x[0], x[1]], [e[0], e[1]], terms)
            }
        }
    }

    fn abs(&mut self, x: NodeId) -> NodeId {
        let minus = self.g.neg(x);
        self.g.max(x, minus)
    }

    fn or_zero(&mut self, e: Option<NodeId>) -> NodeId {
        let shape = self.node.ty.shape.clone();
        e.unwrap_or_else(|| self.g.full(0.0, &shape))
    }

    fn sum(&mut self, parts: &[Option<NodeId>]) -> Option<NodeId> {
        parts.iter().flatten().copied().reduce(|a, b| self.g.add(a, b))
    }

    /// So many units in the last place of y.
    fn ulps(&mut self, ulps: f32) -> NodeId {
        let size = self.abs(self.y);
        self.g.scale(size, ulps * ULP)
    }

    fn unary(&mut self, f: Unary, x: NodeId, e: Option<NodeId>) -> Option<NodeId> {
        let y = self.y;
        let shape = self.node.ty.shape.clone();
        match f {
            Unary::Neg | Unary::StopGradient => e,
            // 3 + 2|x| units
            Unary::Exp => {
                let (size, own) = (self.abs(x), self.ulps(1.0));
                let own = self.g.mul(size, own);
                let own = self.g.scale(own, 2.0);
                let fixed = self.ulps(3.0);
                let passed = e.map(|e| self.g.mul(e, y));
                self.sum(&[passed, Some(own), Some(fixed)])
            }
            // exp(x) − 1, or below |x| = 0.4 a quotient with some 12 units of its own
            Unary::Expm1 => {
                let (own, of_exp, exp) = (self.ulps(12.0), self.exp_units(x), self.g.unary(Unary::Exp, x));
                let e = self.sum(&[e, Some(of_exp)]);
                let passed = e.map(|e| self.g.mul(e, exp));
                self.sum(&[passed, Some(own)])
            }
            // 3 units, or 2⁻²¹ near 1
            Unary::Log => {
                let (own, near) = (self.ulps(3.0), self.g.full(4.0 * ULP, &shape));
                let passed = e.map(|e| self.g.div(e, x));
                self.sum(&[passed, Some(own), Some(near)])
            }
            Unary::Sqrt => {
                let own = self.ulps(4.0);
                let passed = e.map(|e| {
                    let twice = self.g.add(y, y);
                    self.g.div(e, twice)
                });
                self.sum(&[passed, Some(own)])
            }
            // Relative errors of x are halved.
            Unary::Rsqrt => {
                let own = self.ulps(6.0);
                let passed = e.map(|e| {
                    let relative = self.g.div(e, x);
                    let half = self.g.scale(relative, 0.5);
                    self.g.mul(half, y)
                });
                self.sum(&[passed, Some(own)])
            }
            // (1 − t)/(1 + t), t = exp(−2x), for |x| ≥ 0.2, where 1 − t loses most: math.wgsl.
            Unary::Tanh => {
                let own = self.ulps(16.0);
                let passed = e.map(|e| {
                    let (one, square) = (self.g.full(1.0, &shape), self.g.mul(y, y));
                    let slope = self.g.sub(one, square);
                    self.g.mul(e, slope)
                });
                self.sum(&[passed, Some(own)])
            }
            // 1/(1 + exp(−x)), where the exponential's relative error counts like an error of x
            Unary::Logistic => {
                let (own, of_exp) = (self.ulps(4.0), self.exp_units(x));
                let e = self.sum(&[e, Some(of_exp)]);
                let (one, e) = (self.g.full(1.0, &shape), self.or_zero(e));
                let rest = self.g.sub(one, y);
                let slope = self.g.mul(y, rest);
                let passed = self.g.mul(e, slope);
                self.sum(&[Some(passed), Some(own)])
            }
            // x + x·P(x²), or 1 − e^Q(|x| − 1)
            Unary::Erf => {
                let own = self.ulps(4.0);
                let passed = e.map(|e| {
                    let (square, factor) = (self.g.mul(x, x), std::f64::consts::FRAC_2_SQRT_PI);
                    let exponent = self.g.neg(square);
                    let bell = self.g.unary(Unary::Exp, exponent);
                    let slope = self.g.scale(bell, factor);
                    self.g.mul(e, slope)
                });
                self.sum(&[passed, Some(own)])
            }
            // max(x, 0) + log(1 + exp(−|x|)): a series with 10 units of log 2 at most, and of the exponential's error less than 1.5.
            Unary::Softplus => {
                let (own, log) = (self.ulps(1.0), self.g.full(8.0 * ULP, &shape));
                let passed = e.map(|e| {
                    let slope = self.g.unary(Unary::Logistic, x);
                    self.g.mul(e, slope)
                });
                self.sum(&[passed, Some(own), Some(log)])
            }
        }
    }

    /// 3 + 2|x| units in the last place of 1
    fn exp_units(&mut self, x: NodeId) -> NodeId {
        let size = self.abs(x);
        let size = self.g.scale(size, 2.0 * ULP);
        self.g.offset(size, 3.0 * ULP)
    }

    fn binary(&mut self, f: Binary, [a, b]: [NodeId; 2], [ea, eb]: [Option<NodeId>; 2]) -> Option<NodeId> {
        match f {
            Binary::Add | Binary::Sub => {
                let own = self.ulps(1.0);
                self.sum(&[ea, eb, Some(own)])
            }
            Binary::Mul => {
                let (own, size_a, size_b) = (self.ulps(1.0), self.abs(a), self.abs(b));
                let (left, right) = (ea.map(|e| self.g.mul(e, size_b)), eb.map(|e| self.g.mul(e, size_a)));
                self.sum(&[left, right, Some(own)])
            }
            Binary::Div => {
                let (own, below, size) = (self.ulps(3.0), self.abs(b), self.abs(self.y));
                let right = eb.map(|e| self.g.mul(e, size));
                let above = self.sum(&[ea, right]);
                let passed = above.map(|above| self.g.div(above, below));
                self.sum(&[passed, Some(own)])
            }
            Binary::Max => match (ea, eb) {
                (Some(a), Some(b)) => Some(self.g.max(a, b)),
                (a, b) => a.or(b),
            },
        }
    }

    fn contraction(&mut self, op: &Op, x: [NodeId; 2], e: [Option<NodeId>; 2], terms: usize) -> Option<NodeId> {
        let [a, b] = x.map(|x| self.abs(x));
        let size = self.g.push(op.clone(), &[a, b]);
        let own = self.g.scale(size, ULP * terms as f32);
        let left = e[0].map(|e| self.g.push(op.clone(), &[e, b]));
        let right = e[1].map(|e| self.g.push(op.clone(), &[a, e]));
        self.sum(&[left, right, Some(own)])
    }
}

/// Values of `outputs` with bounds on the errors of those that are inexact.
pub fn bounded(graph: &mut Graph, outputs: &[NodeId], given: &Given) -> Vec<(Tensor, Option<Tensor>)> {
    let bounds = Bounds::new(graph, outputs);
    let ends: Vec<Option<NodeId>> = outputs.iter().map(|&id| bounds.of(id)).collect();
    let mut values = run(graph, &outputs.iter().chain(ends.iter().flatten()).copied().collect::<Vec<_>>(), given);
    let mut bounds = values.split_off(outputs.len()).into_iter();
    values.into_iter().zip(ends).map(|(value, end)| (value, end.and_then(|_| bounds.next()))).collect()
}

/// The largest error of any element in units of its bound. `bound` is 0 where it is missing: then any error is too large.
pub fn excess(found: &Tensor, expected: &Tensor, bound: Option<&Tensor>) -> f64 {
    assert_eq!(found.shape, expected.shape);
    // Products below the smallest normal number may be 0.
    let smallest = f64::from(f32::MIN_POSITIVE);
    let units = |i: usize| {
        let error = (found.data[i] - expected.data[i]).abs();
        match bound {
            _ if error == 0.0 => 0.0,
            Some(bound) => error / (bound.data[i] + smallest),
            None => f64::INFINITY,
        }
    };
    // NaN counts as infinitely wrong.
    (0..expected.data.len()).map(units).fold(0.0, |worst, e| if e <= worst { worst } else { e.max(worst) })
}
