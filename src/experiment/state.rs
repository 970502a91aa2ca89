//! `state.safetensors`: where a run stands, besides its parameters.
//!
//! Tensors of one u64 each: `step`, the updates made, and in minibatch runs `data.epoch` and `data.position`, where the
//! batch of that step begins (see [`Cursor`]). With momentum also `momentum`, f32: the velocity v, in the order of the flat
//! parameter vector. With the parameters that is all that the next update needs. The metadata `choices` are those of the
//! manifest, as JSON.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView, serialize};

use super::kernels::{Known, words};
use crate::model::StoreError;
use crate::optim::Cursor;

/// The bytes of the file.
///
/// # Errors
/// [`StoreError::Format`], should the library refuse.
pub fn state_to_safetensors(
    step: u64,
    cursor: Option<Cursor>,
    momentum: Option<&[f32]>,
    known: &Known,
) -> Result<Vec<u8>, StoreError> {
    let mut values = vec![("step", step.to_le_bytes())];
    if let Some(Cursor { epoch, position }) = cursor {
        values.push(("data.epoch", epoch.to_le_bytes()));
        values.push(("data.position", position.to_le_bytes()));
    }
    let velocity: Option<Vec<u8>> = momentum.map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect());
    let mut views = vec![];
    for (name, bytes) in &values {
        views.push((*name, TensorView::new(Dtype::U64, vec![], bytes)?));
    }
    if let Some(bytes) = &velocity {
        views.push(("momentum", TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?));
    }
    let choices = serde_json::to_string(&words(known)).expect("strings always have a JSON form");
    Ok(serialize(views, Some(HashMap::from([("choices".to_owned(), choices)])))?)
}
