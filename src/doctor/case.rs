//! A graph with input values, run on the device and by the interpreter.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::graph::{DType, DotDims, Graph, NodeId, Tensor, eval};
use crate::objective::vectors::{at, record};

/// Inputs and outputs of a graph. Numbers are f32, held in f64 so that both sides start from the same ones.
pub(super) struct Case {
    pub name: &'static str,
    pub graph: Graph,
    pub inputs: Vec<(NodeId, Tensor)>,
    pub outputs: Vec<NodeId>,
}

/// A case on the device.
pub(super) struct LoadedCase {
    pub recording: Recording,
    device: Device,
    results: Buffer,
}

/// Standard normal numbers, rounded to f32; each stream differs.
pub(super) fn normal(stream: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    rng.set_stream(stream);
    (0..len)
        .map(|_| f64::from(<StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng) as f32))
        .collect()
}

impl Case {
    pub fn new(name: &'static str) -> Self {
        Self { name, graph: Graph::new(), inputs: vec![], outputs: vec![] }
    }

    /// An `F32` input with these values.
    pub fn input(&mut self, shape: &[usize], data: Vec<f64>) -> NodeId {
        let id = self.graph.input_f32("x", shape);
        self.inputs.push((id, Tensor { shape: shape.to_vec(), data }));
        id
    }

    /// An `F32` input of standard normal numbers.
    pub fn normal(&mut self, shape: &[usize]) -> NodeId {
        let data = normal(self.inputs.len() as u64, shape.iter().product());
        self.input(shape, data)
    }

    /// A `U32` input.
    pub fn labels(&mut self, labels: &[u32]) -> NodeId {
        let (shape, data) = (vec![labels.len()], labels.iter().map(|&label| label.into()).collect());
        let id = self.graph.input("labels", &shape, DType::U32);
        self.inputs.push((id, Tensor { shape, data }));
        id
    }

    /// A contraction of A `[m, k]`, or `[k, m]` with `turned`, with B `[k, n]`.
    pub fn matmul(name: &'static str, [m, n, k]: [usize; 3], turned: bool) -> Self {
        let mut case = Self::new(name);
        let (a, b) = (case.normal(&if turned { [k, m] } else { [m, k] }), case.normal(&[k, n]));
        let (lhs_contract, rhs_contract) = (vec![usize::from(!turned)], vec![0]);
        case.outputs.push(case.graph.dot_general(a, b, DotDims { lhs_contract, rhs_contract, ..DotDims::default() }));
        case
    }

    /// Compiles the graph and binds it to buffers of its own: numbers, labels, results.
    pub fn load(&self, device: &Device) -> Result<LoadedCase, DeviceError> {
        let is_f32 = |id: NodeId| self.graph.node(id).ty.dtype == DType::F32;
        let (mut floats, mut labels, mut inputs) = (vec![], vec![], vec![]);
        for (id, tensor) in &self.inputs {
            if is_f32(*id) {
                inputs.push((*id, at(0, floats.len())));
                floats.extend(tensor.data.iter().map(|&x| x as f32));
            } else {
                inputs.push((*id, at(1, labels.len())));
                labels.extend(tensor.data.iter().map(|&x| x as u32));
            }
        }
        let mut len = 0;
        let mut outputs = vec![];
        for &id in &self.outputs {
            outputs.push((id, at(2, len)));
            len += self.graph.node(id).ty.len();
        }
        let floats = device.buffer_from("numbers", &floats)?;
        let labels = device.buffer_from("labels", &labels)?;
        let results = device.buffer("results", len)?;
        let recording = record(device, self.name, &self.graph, &inputs, &outputs, &[&floats, &labels, &results])?;
        Ok(LoadedCase { recording, device: device.clone(), results })
    }

    /// The outputs on the device, one after the other.
    pub fn run(&self, device: &Device) -> Result<Vec<f64>, DeviceError> {
        let bits = self.load(device)?.run()?;
        Ok(bits.into_iter().map(|bits| f64::from(f32::from_bits(bits))).collect())
    }

    /// The outputs by definition, one after the other; with `magnitudes`, of the inputs' magnitudes.
    pub fn exact(&self, magnitudes: bool) -> Vec<f64> {
        let mut inputs = self.inputs.clone();
        if magnitudes {
            inputs.iter_mut().flat_map(|(_, tensor)| &mut tensor.data).for_each(|x| *x = x.abs());
        }
        let values = eval(&self.graph, &self.outputs, &inputs).expect("every input of a case has its value");
        values.into_iter().flat_map(|tensor| tensor.data).collect()
    }
}

impl LoadedCase {
    /// The bits of the results of one run. The buffers are overwritten first, so an element that the device does not
    /// store shows as NaN.
    pub fn run(&self) -> Result<Vec<u32>, DeviceError> {
        self.device.write(&self.results, &vec![f32::NAN; self.results.len()])?;
        self.device.run([&self.recording])?;
        Ok(self.device.read::<f32>(&self.results)?.into_iter().map(f32::to_bits).collect())
    }
}

/// The larger of two errors, where NaN is larger than everything (`f64::max` would drop it).
pub(super) fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
