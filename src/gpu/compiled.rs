//! Programs compiled on a device, each once whoever asks for it: the planner and the run that it planned, or two objectives
//! with chunks of one size.

use std::sync::Arc;

use super::Gpu;
use crate::adapter::Cache;
use crate::graph::{Node, NodeId};
use crate::kernel::{Choices, KernelError, Program, compile};
use crate::plan::{Output, Place, Spec};

/// What a program follows from, on one device.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct ProgramKey {
    name: String,
    nodes: Vec<Node>,
    inputs: Vec<(NodeId, Place)>,
    outputs: Vec<Output>,
    slots: Vec<usize>,
    choices: Arc<Choices>,
}

/// The programs so far.
pub(super) type Compiled = Cache<ProgramKey, Program>;

/// Programs that are kept when nothing uses them: those of a few objectives.
pub(super) const MOST_PROGRAMS: usize = 64;

impl Gpu {
    /// Compiles a graph for this device, or finds the program. It is plain data: see [`Gpu::load`].
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile(&self, spec: &Spec) -> Result<Arc<Program>, KernelError> {
        let key = ProgramKey {
            name: spec.name.to_owned(),
            nodes: spec.graph.nodes().to_vec(),
            inputs: spec.inputs.to_vec(),
            outputs: spec.outputs.to_vec(),
            slots: spec.slots.to_vec(),
            choices: Arc::clone(&self.target().choices),
        };
        self.0.compiled.get(key, || compile(spec, self.target()))
    }
}
