//! The amount of work of a configuration, without loading data: shape and number of the examples, and multiplications
//! of a forward pass.

use super::{Config, build};
use crate::data::{self, DataError, DataName, Examples, made_up};
use crate::graph::{DType, Graph, Node, Op};
use crate::model::Model;

/// Work of a contraction, in floating-point operations, up to which two threads are slower than one: some 30 µs at 20
/// GFLOP/s a core, twice, since half of the dispatches of a step are not contractions (docs/performance.md).
const WORTH_WAKING: f64 = 1.5e6;

/// The environment variable from which lavapipe takes its number of worker threads at start; 0 is the calling thread
/// alone.
pub const THREADS_VARIABLE: &str = "LP_NUM_THREADS";
/// The environment variable for the number of threads of the native device.
pub const NATIVE_THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// Cores of this machine that the program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether a software adapter is fastest on one thread for this size.
pub fn is_tiny(flops_per_contraction: f64) -> bool {
    let cores = cores() as f64;
    // With more cores, one thread gains less.
    cores == 1.0 || flops_per_contraction * (1.0 - 1.0 / cores) < WORTH_WAKING
}

/// Examples of the configured data set's shape. Those of arrays are read, and repeated if there are fewer.
pub(crate) fn made_up_examples(config: &Config, count: usize) -> Result<Examples, DataError> {
    Ok(match config.data.name {
        DataName::Embedded | DataName::Mnist | DataName::FashionMnist => made_up::images(count, [28, 28, 1])?,
        DataName::Cifar10 => made_up::images(count, [32, 32, 3])?,
        DataName::Shakespeare | DataName::Text => made_up::windows(count, config.model.seq_len)?,
        DataName::Arrays => {
            let all = data::load(&build::request(config))?.train;
            let numbers: Vec<usize> = (0..count).map(|number| number % all.len()).collect();
            all.select(&numbers)?
        }
    })
}

/// The number of examples of an update; for a whole data set, that of the published one, and `None` for all of a text,
/// whose length depends on the file. It affects speed, never results.
pub(crate) fn examples_of_update(config: &Config) -> Option<usize> {
    match (config.optim.batch, config.data.train) {
        (0, 0) => match config.data.name {
            DataName::Embedded => Some(1000),
            DataName::Mnist | DataName::FashionMnist => Some(60_000),
            DataName::Cifar10 => Some(50_000),
            DataName::Shakespeare | DataName::Text | DataName::Arrays => None,
        },
        (0, train) => Some(train),
        (batch, _) => Some(batch),
    }
}

/// Floating-point operations of a contraction of the forward pass of an update, on average; `None` if the configuration
/// does not determine the number of examples or the model. They are the same for each example, so one is examined.
pub fn flops_per_contraction(config: &Config) -> Option<f64> {
    // A file of arrays is read once, by the run.
    let count = examples_of_update(config).filter(|_| config.data.name != DataName::Arrays)?;
    let one = made_up_examples(config, 1).ok()?;
    let model = build::model(config, &one).ok()?;
    let graph = forward(&*model, config, one.dim())?;
    let flops: Vec<f64> = graph.ids().filter_map(|id| contraction(&graph, graph.node(id))).collect();
    Some(count as f64 * flops.iter().sum::<f64>() / flops.len().max(1) as f64)
}

/// The forward pass of one example.
fn forward(model: &dyn Model, config: &Config, dim: usize) -> Option<Graph> {
    let mut graph = Graph::new();
    let mut params: Vec<_> =
        model.params().ok()?.iter().map(|param| graph.input_f32(&param.name, &param.shape)).collect();
    params.extend(model.constants().iter().map(|constant| graph.input_f32(&constant.name, &constant.shape)));
    let dtype = if build::request(config).options.tokens { DType::U32 } else { DType::F32 };
    let x = graph.input("x", &[1, dim], dtype);
    model.forward(&mut graph, &params, x);
    Some(graph)
}

/// A multiplication and an addition for every term of every element; `None` for other ops.
fn contraction(graph: &Graph, node: &Node) -> Option<f64> {
    let terms: Vec<usize> = match &node.op {
        Op::DotGeneral(dims) => dims.lhs_contract.iter().map(|&axis| graph.shape(node.inputs[0])[axis]).collect(),
        // A forward pass uses only the output side: height, width and channels in of the kernel.
        Op::Conv { .. } => graph.shape(node.inputs[1])[..3].to_vec(),
        _ => return None,
    };
    Some(node.ty.shape.iter().chain(&terms).fold(2.0, |flops, &length| flops * length as f64))
}
