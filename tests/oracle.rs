//! What the derivative tests compare with: central differences of `eval` in f64, and small helpers around it.

use edgewalk::graph::{Graph, NodeId, Tensor, eval};

/// Values of inputs by node.
pub type Given = Vec<(NodeId, Tensor)>;

/// A fixed sequence of numbers between −1 and 1 (a 64-bit linear congruential generator with Knuth's constants).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32)
    }

    pub fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let data = (0..shape.iter().product()).map(|_| self.number()).collect();
        Tensor { shape: shape.to_vec(), data }
    }

    /// An input of the shape of each node, and random values for it.
    pub fn inputs_like(&mut self, graph: &mut Graph, nodes: &[NodeId]) -> (Vec<NodeId>, Vec<Tensor>) {
        let shapes: Vec<Vec<usize>> = nodes.iter().map(|&x| graph.shape(x).to_vec()).collect();
        shapes.iter().map(|shape| (graph.input_f32("direction", shape), self.tensor(shape))).unzip()
    }
}

/// Values of `outputs`.
pub fn run(graph: &Graph, outputs: &[NodeId], given: &Given) -> Vec<Tensor> {
    eval(graph, outputs, given).unwrap_or_else(|error| panic!("{error}\n{graph}"))
}

/// (f(x + hv) − f(x − hv)) / 2h, where `wrt` are the inputs x.
pub fn central_difference(
    graph: &Graph,
    outputs: &[NodeId],
    given: &Given,
    wrt: &[NodeId],
    v: &[Tensor],
) -> Vec<Tensor> {
    let h = 1e-5;
    let at = |step: f64| {
        let mut moved = given.clone();
        for (id, x) in &mut moved {
            if let Some(i) = wrt.iter().position(|w| w == id) {
                x.data.iter_mut().zip(&v[i].data).for_each(|(x, v)| *x += step * v);
            }
        }
        run(graph, outputs, &moved)
    };
    let (mut plus, minus) = (at(h), at(-h));
    for (p, m) in plus.iter_mut().zip(&minus) {
        p.data.iter_mut().zip(&m.data).for_each(|(p, m)| *p = (*p - m) / (2.0 * h));
    }
    plus
}

/// Σ a·b over all elements of all tensors.
pub fn inner(a: &[Tensor], b: &[Tensor]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pair = |(a, b): (&Tensor, &Tensor)| {
        assert_eq!(a.shape, b.shape);
        a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum::<f64>()
    };
    a.iter().zip(b).map(pair).sum()
}

/// ‖a − b‖ ≤ tolerance · max(‖b‖, 1)
pub fn assert_close(a: &[Tensor], b: &[Tensor], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let mut error = 0.0;
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.shape, b.shape, "{what}");
        error += a.data.iter().zip(&b.data).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    }
    let scale = inner(b, b).sqrt().max(1.0);
    assert!(error.sqrt() <= tolerance * scale, "{what}: off by {:e}\n{a:?}\n{b:?}", error.sqrt() / scale);
}

/// |a − b| ≤ tolerance · max(|b|, 1)
pub fn assert_near(a: f64, b: f64, tolerance: f64, what: &str) {
    assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} and {b}");
}
