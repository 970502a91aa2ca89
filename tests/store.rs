//! Parameters from safetensors files of every kind of float, and what is said of those that do not fit.

use edgewalk::model::{Activation, Layout, Mlp, params_from_safetensors};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView, serialize};

/// A kernel of 3 × 2 and a bias of 2.
fn layout() -> Layout {
    Layout::of(&Mlp { inputs: 3, width: 1, depth: 1, outputs: 2, activation: Activation::Relu }).unwrap()
}

const VALUES: [f64; 8] = [1.0, -0.5, 0.1, 3.0, -2.25, 1e-3, 0.0, 7.0];

fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    serialize(views, None).unwrap()
}

/// All the values as one type of number.
fn of_type(dtype: Dtype, bytes: &dyn Fn(f64) -> Vec<u8>) -> Vec<u8> {
    let all = |values: &[f64]| values.iter().flat_map(|&value| bytes(value)).collect();
    file(&[("dense0.kernel", dtype, &[3, 2], all(&VALUES[..6])), ("dense0.bias", dtype, &[2], all(&VALUES[6..]))])
}

fn message(bytes: &[u8]) -> String {
    params_from_safetensors::<f32>(&layout(), bytes).unwrap_err().to_string()
}

fn f32s(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect()
}

#[test]
fn floats_of_every_size_are_read() {
    let read = |bytes: &[u8]| params_from_safetensors::<f32>(&layout(), bytes).unwrap();
    assert_eq!(read(&of_type(Dtype::F32, &|x| f32s(&[x]))), VALUES.map(|x| x as f32));
    // Rounded once.
    assert_eq!(read(&of_type(Dtype::F64, &|x| x.to_le_bytes().into())), VALUES.map(|x| x as f32));
    let halves = VALUES.map(|x| f16::from_f64(x).to_f32());
    assert_eq!(read(&of_type(Dtype::F16, &|x| f16::from_f64(x).to_le_bytes().into())), halves);
    let brains = VALUES.map(|x| bf16::from_f64(x).to_f32());
    assert_eq!(read(&of_type(Dtype::BF16, &|x| bf16::from_f64(x).to_le_bytes().into())), brains);
    assert!(halves[2] != 0.1 && brains[2] != halves[2]);
}

#[test]
fn what_is_not_finite_in_float32_is_refused_by_its_place() {
    let huge = of_type(Dtype::F64, &|x| if x == 3.0 { 1e39_f64 } else { x }.to_le_bytes().into());
    assert!(message(&huge).contains("`dense0.kernel` has the value 1e39 at index 3"), "{}", message(&huge));
    let nan = of_type(Dtype::F16, &|x| f16::from_f64(if x == 7.0 { f64::NAN } else { x }).to_le_bytes().into());
    assert!(message(&nan).contains("`dense0.bias` has the value NaN at index 1"), "{}", message(&nan));
    let whole = of_type(Dtype::I32, &|x| (x as i32).to_le_bytes().into());
    assert!(message(&whole).contains("has type I32; save it as float16, bfloat16, float32 or float64"));
}

#[test]
fn a_transposed_kernel_is_recognised() {
    let with = |shape: &'static [usize]| {
        let len = shape.iter().product::<usize>();
        file(&[
            ("dense0.kernel", Dtype::F32, shape, f32s(&vec![1.0; len])),
            ("dense0.bias", Dtype::F32, &[2], f32s(&[0.0; 2])),
        ])
    };
    let transposed = message(&with(&[2, 3]));
    assert!(transposed.contains("[2, 3]") && transposed.contains("[3, 2]"), "{transposed}");
    assert!(transposed.contains("save it transposed") && !transposed.contains("configuration"), "{transposed}");
    for shape in [&[4, 2][..], &[6], &[3, 2, 1], &[3, 3]] {
        let message = message(&with(shape));
        assert!(message.contains("adapt the model's configuration"), "{message}");
    }
}

#[test]
fn names_are_listed_in_order_and_cannot_reach_the_terminal() {
    let one = |name| (name, Dtype::F32, &[2_usize][..], f32s(&[0.0; 2]));
    let foreign = file(&[one("zeta"), one("dense0.bias"), one("alpha"), one("mu")]);
    for _ in 0..20 {
        assert!(message(&foreign).starts_with("tensor `alpha` is not part of this model"), "{}", message(&foreign));
    }
    let lacking = message(&file(&[one("dense0.bias")]));
    assert!(lacking.ends_with("`dense0.kernel` is missing; the file has: dense0.bias"), "{lacking}");
    let hostile = message(&file(&[one("\u{1b}[2J\u{7}\nerror")]));
    assert!(!hostile.contains(char::is_control) && hostile.contains("\\u{1b}[2J\\u{7}\\nerror"), "{hostile:?}");
    // Nor can damage in the header.
    let damaged = b"\x20\0\0\0\0\0\0\0{\"\x1b[2J\":{\"dtype\":\"\x1b\"}}              ";
    assert!(!message(damaged).contains(char::is_control), "{:?}", message(damaged));
    let names: Vec<String> = (0..5000).map(|i| format!("layer{i:04}")).collect();
    let many: Vec<_> = names.iter().map(|name| one(name)).collect();
    assert!(message(&file(&many)).len() < 1000);
}
