//! Files of tensors: parameters and the state of a run as safetensors, and networks as ONNX.

use edgewalk::folder::state::RunState;
use edgewalk::graph::{DType, Graph};
use edgewalk::model::{Activation, Layout, Mlp, params_from_safetensors, params_to_safetensors};
use edgewalk::onnx::Network;
use serde_json::Value;

use super::{bounded, refused};

/// Parameters of the states.
pub const STATE_PARAMS: usize = 3;

/// The layout of a network whose parameters are looked for.
pub fn layout() -> Layout {
    Layout::of(&Mlp { inputs: 2, width: 3, depth: 2, outputs: 2, activation: Activation::Relu }).unwrap()
}

/// Parameters.
pub fn params(input: &[u8]) -> bool {
    let layout = layout();
    match bounded(input.len(), || params_from_safetensors::<f32>(&layout, input)) {
        Ok(params) => {
            let bits = |params: &[f32]| params.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(params.iter().all(|x| x.is_finite()));
            assert_eq!(bits(&params), bits(&by_offsets(&layout, input)), "not what the header points at");
            let again = params_to_safetensors(&layout, &params).expect("parameters of the layout");
            assert_eq!(bits(&params_from_safetensors(&layout, &again).expect("just written")), bits(&params));
            true
        }
        Err(error) => {
            refused(&error, "tensor");
            false
        }
    }
}

/// The numbers that the header of a good file points at.
fn by_offsets(layout: &Layout, file: &[u8]) -> Vec<f32> {
    let (len, rest) = file.split_first_chunk().expect("a good file has a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let header: Value = serde_json::from_slice(header).expect("a good file has a header");
    let tensors = layout.iter().flat_map(|(param, _)| {
        let entry = &header[&param.name];
        assert_eq!((&entry["dtype"], &entry["shape"]), (&"F32".into(), &param.shape.clone().into()));
        let [from, to] = [0, 1].map(|end| entry["data_offsets"][end].as_u64().expect("an offset") as usize);
        data[from..to].as_chunks().0.iter().copied().map(f32::from_le_bytes)
    });
    tensors.collect()
}

/// The state of a run.
pub fn state(input: &[u8]) -> bool {
    match bounded(input.len(), || RunState::from_bytes(input, STATE_PARAMS)) {
        Ok(state) => {
            let again = state.to_bytes().expect("a state can be written");
            let read = RunState::from_bytes(&again, STATE_PARAMS).expect("just written");
            assert_eq!(format!("{read:?}"), format!("{state:?}"));
            assert_eq!(read.to_bytes().expect("a state can be written"), again);
            assert_eq!(data_bytes(&again), data_bytes(input), "something was in the file that is not in the state");
            true
        }
        Err(problem) => {
            refused(&problem, "");
            false
        }
    }
}

/// Bytes of the tensors of a good file.
fn data_bytes(file: &[u8]) -> usize {
    let len = file.first_chunk().expect("a good file has a length");
    file.len() - 8 - u64::from_le_bytes(*len) as usize
}

/// The network of an ONNX file: read, and its forward pass added to a graph.
pub fn network(input: &[u8]) -> bool {
    let mut g = Graph::new();
    let read = bounded(input.len(), || Network::of_bytes(input, None, &[]));
    let added = read.and_then(|network| {
        let arrays = network.params().iter().chain(network.constants());
        let given: Vec<_> = arrays.map(|array| g.input_f32(&array.name, &array.shape)).collect();
        let shape: Vec<usize> = network.input().shape.iter().map(|size| size.unwrap_or(4)).collect();
        let dtype = if network.input().tokens { DType::U32 } else { DType::F32 };
        let x = g.input("x", &[&[2], &shape[..]].concat(), dtype);
        network.forward(&mut g, &given, x)
    });
    match added {
        Ok(_) => g.check().is_ok(),
        Err(error) => {
            refused(&error, "it");
            false
        }
    }
}
