//! Contractions: the prelude of the matmul families, hooks `load_a4`, `load_b4` and `store4`. The chooser decides which family
//! does it.

use super::choose::{choose, class};
use super::family::{MAX_GRID, kernel};
use super::spell::{Speller, vector};
use super::{Emitted, KernelError, Target};
use crate::plan::{Elements, PlanError, Product, Step};

/// The kernel of a contraction and its epilogue.
pub(super) fn emit(step: &Step, product: &Product, target: &Target) -> Result<Emitted, KernelError> {
    let shape = &product.shape;
    let variant = choose(product, target);
    let label = format!("{} {variant}", step.label);
    let grid = variant.grid(shape, target);
    if grid.iter().any(|&groups| groups > MAX_GRID) {
        return Err(PlanError::TooLarge(label).into());
    }
    let constants = format!(
        "alias V = {};\nconst M: u32 = {}u;\nconst N: u32 = {}u;\nconst K: u32 = {}u;\n\
         const A_ALONG_K: bool = {};\n{}",
        vector(step.width),
        shape.m,
        shape.n,
        // An empty sum is one term of zeros.
        shape.k.max(1),
        shape.a_along_k,
        variant.constants(shape, target)
    );
    let hooks = hooks(step, product);
    let kernel = kernel(step, label, [variant.source(), &constants, &hooks], Some((class(shape), variant)));
    Ok((kernel, grid.map(|groups| groups as u32)))
}

fn hooks(step: &Step, product: &Product) -> String {
    let mut hooks = String::new();
    let mut function = |head: &str, body: &str| hooks += &format!("fn {head} {{\n{body}}}\n");
    let [a, b] = match &product.operands {
        None => [(); 2].map(|()| "    return vec4<f32>();\n".to_owned()),
        Some(operands) => operands.each_ref().map(load4),
    };
    function("load_a4(b: u32, m: u32, k: u32) -> vec4<f32>", &a);
    function("load_b4(b: u32, k: u32, n: u32) -> vec4<f32>", &b);
    let body = Speller { width: step.width, root: "acc" }.lines(&product.finish);
    let store4 = if step.width == 4 {
        format!("    let quad = n / 4u;\n{body}")
    } else {
        function("store1(b: u32, m: u32, n: u32, acc: f32)", &body);
        let lane = |l: usize| format!("    if (n + {l}u < N) {{ store1(b, m, n + {l}u, acc[{l}]); }}\n");
        (0..4).map(lane).collect()
    };
    function("store4(b: u32, m: u32, n: u32, acc: vec4<f32>)", &store4);
    hooks
}

/// Body of a function that returns four elements of an operand.
fn load4(elements: &Elements) -> String {
    let speller = |width| Speller { width, root: "acc" };
    match elements {
        Elements::One(_) => unreachable!("kernels read four at once"),
        Elements::Together { along, body } => {
            format!("    let quad = {along} / 4u;\n{}", speller(4).returning(body))
        }
        Elements::Apart { along, extent, lines, values } => {
            let most = extent - 1;
            let at = |lane: usize| format!("    let {along}{lane} = min({along} + {lane}u, {most}u);\n");
            let lanes = values.map(|value| speller(1).name(value)).join(", ");
            let at: String = (0..4).map(at).collect();
            format!("{at}{}    return vec4<f32>({lanes});\n", speller(1).lines(lines))
        }
    }
}
