//! Algebra on flat vectors as recordings: a small graph, compiled and bound in one go.

use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::graph::{Graph, NodeId};
use crate::plan::{Output, Place, Spec};

/// Element `offset` of buffer `slot`.
pub(crate) fn at(slot: usize, offset: usize) -> Place {
    Place { slot, offset }
}

/// Compiles a graph whose inputs and outputs lie in `buffers`, and binds it; `name` is for dumps and errors.
pub(crate) fn record(
    device: &Device,
    name: &str,
    graph: &Graph,
    inputs: &[(NodeId, Place)],
    outputs: &[(NodeId, Place)],
    buffers: &[&Buffer],
) -> Result<Recording, DeviceError> {
    let slots: Vec<usize> = buffers.iter().map(|b| b.len()).collect();
    let outputs: Vec<Output> = outputs.iter().map(|&(node, place)| Output { node, place, accumulate: false }).collect();
    let program = device.compile(&Spec { name, graph, inputs, outputs: &outputs, slots: &slots })?;
    device.load(program)?.bind(device, buffers)
}
