//! Outputs that lie where inputs do: whatever reads which elements, the result is that of reading all before writing any. And only
//! what is compiled from a graph is run without bounds checks.

use edgewalk::device::{Device, DeviceError, Program as DeviceProgram};
use edgewalk::graph::{Binary, Graph, NodeId, Tensor, Unary, eval};
use edgewalk::kernel::{KernelError, Target, compile};
use edgewalk::plan::{Output, Place, PlanError, Spec};

use super::device::{is_native, own_target, the_device};
use super::oracle::Numbers;
use super::shaders::targets;

/// An input in slot 0 at an offset, of a shape.
type Given<'a> = (usize, &'a [usize]);
/// What is computed from the inputs, and the offset in slot 0 of each result.
type Build = fn(&mut Graph, &[NodeId]) -> Vec<(NodeId, usize)>;

struct InPlace {
    name: &'static str,
    given: &'static [Given<'static>],
    build: Build,
    /// Kernels in the subgroup tier.
    dispatches: usize,
}

const fn case(name: &'static str, given: &'static [Given<'static>], build: Build, dispatches: usize) -> InPlace {
    InPlace { name, given, build, dispatches }
}

const CASES: [InPlace; 17] = [
    case("a step", &[(0, &[96]), (96, &[96])], |g, x| vec![(g.sub(x[0], x[1]), 0)], 1),
    case("a step of a part", &[(0, &[96]), (96, &[96])], |g, x| vec![(g.sub(x[0], x[1]), 96)], 1),
    case(
        "a step of four",
        &[(0, &[8, 12]), (96, &[96])],
        |g, x| {
            let flat = g.reshape(x[0], &[96]);
            let sum = g.add(flat, x[1]);
            vec![(sum, 0), (g.mul(sum, x[1]), 96)]
        },
        1,
    ),
    case("a transpose", &[(0, &[16, 12])], |g, x| vec![(g.transpose(x[0], &[1, 0]), 0)], 2),
    case("a transpose of odd sizes", &[(3, &[7, 5])], |g, x| vec![(g.transpose(x[0], &[1, 0]), 3)], 2),
    case(
        "a shift",
        &[(0, &[100])],
        |g, x| {
            let shifted = g.slice(x[0], &[1], &[97]);
            vec![(g.unary(Unary::Neg, shifted), 0)]
        },
        2,
    ),
    case("a shift by places", &[(0, &[96])], |g, x| vec![(g.neg(x[0]), 4)], 2),
    case("a swap", &[(0, &[96]), (96, &[96])], |_, x| vec![(x[1], 0), (x[0], 96)], 5),
    case(
        "a broadcast",
        &[(5, &[1])],
        |g, x| {
            let one = g.reshape(x[0], &[]);
            vec![(g.broadcast(one, &[96], &[]), 0)]
        },
        2,
    ),
    case("sums of columns", &[(0, &[40, 12])], |g, x| vec![(g.reduce_sum(x[0], &[0]), 0)], 2),
    case("sums of rows", &[(0, &[40, 12])], |g, x| vec![(g.reduce_sum(x[0], &[1]), 0)], 2),
    case(
        "rows over their sums",
        &[(0, &[40, 12])],
        |g, x| {
            let exp = g.unary(Unary::Exp, x[0]);
            let sum = g.reduce_sum(exp, &[1]);
            let sum = g.broadcast_over(sum, &[40, 12], &[1]);
            vec![(g.div(exp, sum), 0)]
        },
        2,
    ),
    case(
        "sums of scaled rows over the scales",
        &[(0, &[40, 12]), (480, &[40])],
        |g, x| {
            let scales = g.broadcast(x[1], &[40, 12], &[0]);
            let scaled = g.mul(x[0], scales);
            vec![(scaled, 0), (g.reduce_sum(scaled, &[1]), 480)]
        },
        2,
    ),
    case("a product with itself", &[(0, &[16, 16])], |g, x| vec![(g.matmul(x[0], x[0]), 0)], 2),
    case(
        "a product and a step",
        &[(0, &[16, 16]), (256, &[16, 16]), (512, &[16, 16])],
        |g, x| {
            let product = g.matmul(x[0], x[1]);
            vec![(g.add(x[2], product), 512)]
        },
        1,
    ),
    case(
        "a step, and a sum of what was there",
        &[(0, &[600])],
        |g, x| vec![(g.offset(x[0], 1.0), 0), (g.sum_all(x[0]), 600)],
        4,
    ),
    case(
        "two names of one place",
        &[(0, &[96]), (0, &[8, 12]), (96, &[96])],
        |g, x| {
            let (step, again) = (g.add(x[0], x[2]), g.binary(Binary::Max, x[0], x[2]));
            let flat = g.reshape(x[1], &[96]);
            vec![(step, 0), (g.mul(flat, again), 96)]
        },
        3,
    ),
];

/// Graph, inputs, results and what `compile` makes of them.
type Compiled<P> = (Graph, Vec<NodeId>, Vec<(NodeId, usize)>, P);

fn compiled<P>(case: &InPlace, accumulate: bool, compile: impl Fn(&Spec) -> P) -> Compiled<P> {
    let mut g = Graph::new();
    let inputs: Vec<NodeId> = case.given.iter().map(|(_, shape)| g.input_f32("x", shape)).collect();
    let results = (case.build)(&mut g, &inputs);
    let at = |offset| Place { slot: 0, offset };
    let places: Vec<_> = inputs.iter().zip(case.given).map(|(&id, &(offset, _))| (id, at(offset))).collect();
    let outputs: Vec<_> =
        results.iter().map(|&(node, offset)| Output { node, place: at(offset), accumulate }).collect();
    let spec = Spec { name: case.name, graph: &g, inputs: &places, outputs: &outputs, slots: &[SLOT] };
    let program = compile(&spec);
    (g, inputs, results, program)
}

/// Elements of the one slot.
const SLOT: usize = 1024;

#[test]
fn an_output_takes_the_place_of_inputs_when_all_have_been_read() {
    let mut numbers = Numbers::new(15);
    let start: Vec<f32> = (0..SLOT).map(|_| numbers.number() as f32).collect();
    // Kernels whose workgroups share rows, too.
    let shared = Target { subgroup: None, cpu: false, ..own_target() };
    let kinds = [(false, false), (false, true), (true, false), (true, true)];
    for (case, (accumulate, is_shared)) in CASES.iter().flat_map(|case| kinds.map(|kind| (case, kind))) {
        if is_shared && is_native() {
            continue;
        }
        let (g, inputs, results, program) = compiled(case, accumulate, |spec| {
            if is_shared {
                DeviceProgram::from(compile(spec, &shared).unwrap())
            } else {
                the_device().compile(spec).unwrap()
            }
        });
        let given: Vec<(NodeId, Tensor)> = (inputs.iter().zip(case.given))
            .map(|(&id, &(offset, shape))| {
                let len: usize = shape.iter().product();
                let data = start[offset..offset + len].iter().map(|&x| f64::from(x)).collect();
                (id, Tensor { shape: shape.to_vec(), data })
            })
            .collect();
        let wanted: Vec<NodeId> = results.iter().map(|(id, _)| *id).collect();
        let mut expected: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
        for (value, (_, offset)) in eval(&g, &wanted, &given).unwrap().iter().zip(&results) {
            for (to, x) in expected[*offset..].iter_mut().zip(&value.data) {
                *to = if accumulate { *to + x } else { *x };
            }
        }
        let buffer = the_device().buffer_from("one place", &start).unwrap();
        let recording = the_device().load(program).unwrap().bind(the_device(), &[&buffer]).unwrap();
        the_device().run([&recording]).unwrap();
        let found = the_device().read::<f32>(&buffer).unwrap();
        for (i, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let near = (f64::from(found) - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            assert!(near, "{} at {i}: {found} for {expected}", case.name);
        }
    }
}

/// What was in place before stays in place: a step is one kernel, and only what would race takes a detour.
#[test]
fn only_what_would_race_takes_a_detour() {
    for case in &CASES {
        let (.., program) = compiled(case, false, |spec| compile(spec, &targets()[0]).unwrap());
        assert_eq!((case.name, program.dispatches.len()), (case.name, case.dispatches));
    }
}

#[test]
fn outputs_that_share_elements_are_refused() {
    let mut g = Graph::new();
    let x = g.input_f32("x", &[8]);
    let (a, b) = (g.neg(x), g.unary(Unary::Exp, x));
    let at = |slot, offset| Place { slot, offset };
    let outputs = [(a, at(1, 0)), (b, at(1, 7))].map(|(node, place)| Output { node, place, accumulate: true });
    let spec = Spec { name: "shared", graph: &g, inputs: &[(x, at(0, 0))], outputs: &outputs, slots: &[8, 16] };
    assert_eq!(compile(&spec, &targets()[0]).unwrap_err(), PlanError::Overlap("shared".to_owned(), 1).into());
}

/// A width that the device has not would make kernels miss elements, or find some that there are not.
#[test]
fn kernels_for_subgroups_of_another_width_are_refused() {
    let case = CASES.iter().find(|case| case.name == "a product with itself").unwrap();
    let wide = Target { subgroup: Some(32), cpu: true, ..targets()[0].clone() };
    let (.., program) = compiled(case, false, |spec| compile(spec, &wide).unwrap());
    assert!(program.kernels.iter().any(|kernel| kernel.subgroups));
    if is_native() {
        return;
    }
    let refused =
        |device: &Device| matches!(device.load(program.clone()), Err(DeviceError::Kernel(KernelError::OtherTarget(_))));
    assert!(refused(the_device()) || own_target().subgroup == Some(32));
}
