//! Random programs through autodiff and every pass, on the interpreter alone: identities that hold between derivatives, and
//! passes that change no value. No device.

use std::collections::{HashMap, HashSet};

use edgewalk::autodiff::{grad, hvp, jvp, vjp};
use edgewalk::graph::{Graph, NodeId, Op, Tensor, verify};
use edgewalk::kernel::{Program as Kernels, Target, compile, validate};
use edgewalk::passes::{SplitPolicy, simplify, split};
use edgewalk::plan::{Group, Life, Output, Place, Schedule, Spec, assign_buffers, fuse};
use proptest::prelude::*;

use super::device::program as compiled;
use super::oracle::{Given, inner, run};
use super::passes::{KERNELS, check_hazards, check_schedule, check_stages, given_to};
use super::random;
use super::random_derivatives::{Parts, is_whole, parts};
use super::random_programs::{FEWEST, Program, SMALL, instructions, largest_error, program};
use super::shaders::targets;
use super::stages::{check_stage, check_vmap};

/// Values are of order 1, and rounding in f64 is 1e-16 an operation.
const TOLERANCE: f64 = 1e-9;

/// a and b, two ways to compute Σ pᵢqᵢ with ‖p‖‖q‖ about `scale`.
fn assert_equal(a: f64, b: f64, scale: f64, what: &str, graph: &Graph) {
    assert!((a - b).abs() <= TOLERANCE * scale.max(1.0), "{what}: {a} and {b}, of sums of order {scale}\n{graph}");
}

fn norm(a: &[Tensor]) -> f64 {
    inner(a, a).sqrt()
}

/// Adds gradient and H·v of Σ u·y to a program's outputs, after checking what must hold between derivatives.
fn differentiate(program: &mut Program, seed: u64) {
    let Parts { x, y, u, v: [v, w], loss } = parts(program, seed + 1);
    let graph = &mut program.graph;
    let forward = jvp(graph, &y, &x, &v);
    let backward = vjp(graph, &y, &x, &u);
    let gradient = grad(graph, loss, &x);
    let (hv, hw) = (hvp(graph, loss, &x, &v), hvp(graph, loss, &x, &w));
    // Reverse over forward, where `hvp` is forward over reverse.
    let along = jvp(graph, &[loss], &x, &v)[0];
    let turned = along.map(|along| grad(graph, along, &x)).unwrap_or_default();
    verify(graph).unwrap_or_else(|error| panic!("{error}\n{graph}"));

    let lists = [&x, &y, &u, &v, &w, &backward, &gradient, &hv, &hw, &turned];
    let pushed: Vec<NodeId> = forward.iter().flatten().copied().collect();
    let wanted: Vec<NodeId> = lists.into_iter().flatten().chain(&pushed).copied().collect();
    let mut values = run(graph, &wanted, &program.given).into_iter();
    let mut take = |n: usize| values.by_ref().take(n).collect::<Vec<Tensor>>();
    let [_, _, u_, v_, w_, backward_, gradient_, hv_, hw_, turned_] = lists.map(|list| take(list.len()));
    // Where there is no tangent, it is 0.
    let u_: Vec<Tensor> = u_.into_iter().zip(&forward).filter(|(_, f)| f.is_some()).map(|(u, _)| u).collect();
    let pushed_ = take(pushed.len());

    let scale = norm(&u_) * norm(&pushed_) + norm(&backward_) * norm(&v_);
    assert_equal(inner(&u_, &pushed_), inner(&backward_, &v_), scale, "uᵀ·Jv and (Jᵀu)ᵀ·v", graph);
    let error = largest_error(&backward_, &gradient_);
    assert!(error <= TOLERANCE, "Jᵀu and ∇(uᵀy): off by {error:e}\n{graph}");
    if is_whole(program) {
        let graph = &program.graph;
        let scale = norm(&hv_) * norm(&w_) + norm(&hw_) * norm(&v_);
        assert_equal(inner(&hv_, &w_), inner(&hw_, &v_), scale, "wᵀ·Hv and vᵀ·Hw", graph);
        let error = if turned_.is_empty() { norm(&hv_) } else { largest_error(&hv_, &turned_) };
        assert!(error <= TOLERANCE * norm(&hv_).max(1.0), "Hv and ∇(∇L·v): off by {error:e}\n{graph}");
    }
    program.outputs.extend(gradient.into_iter().chain(hv));
}

/// Checks the values of a graph that a pass has made.
fn check_pass(name: &str, new: &Graph, outputs: &[NodeId], given: &Given, expected: &[Tensor], tolerance: f64) {
    verify(new).unwrap_or_else(|error| panic!("{name}: {error}"));
    let error = largest_error(&run(new, outputs, given), expected);
    assert!(error <= tolerance, "{name}: off by {error:e}\n{}", new.dump(outputs));
}

/// The values that kernels load and store, computed kernel by kernel from what is in the buffers then, which values share
/// as the compiler has them share.
fn execute(graph: &Graph, outputs: &[NodeId], schedule: &Schedule, given: &Given) -> Vec<Tensor> {
    let is_input = |id: NodeId| matches!(graph.node(id).op, Op::Input(_));
    let groups: Vec<_> = schedule.groups.iter().filter(|k| !graph.node(k.stores[0]).ty.is_empty()).collect();
    let loads: Vec<HashSet<NodeId>> = groups.iter().map(|k| schedule.loads(graph, k)).collect();
    let mut last: HashMap<NodeId, usize> = HashMap::new();
    for (k, ids) in loads.iter().enumerate() {
        last.extend(ids.iter().filter(|id| !is_input(**id)).map(|&id| (id, k)));
    }
    let (mut lives, mut numbers) = (vec![], HashMap::new());
    for (k, kernel) in groups.iter().enumerate() {
        for id in kernel.stores.iter().filter(|id| last.contains_key(id)) {
            numbers.insert(*id, lives.len());
            lives.push(Life { first: k, last: last[id], len: graph.node(*id).ty.len() });
        }
    }
    let (placed, lens) = assign_buffers(&lives);
    let mut buffers: Vec<Option<(NodeId, Tensor)>> = vec![None; lens.len()];
    let mut stored: HashMap<NodeId, Tensor> = HashMap::new();
    for (kernel, loads) in groups.iter().zip(&loads) {
        let mut values: HashMap<NodeId, Tensor> = HashMap::new();
        let mut read: HashSet<usize> = HashSet::new();
        for &id in loads {
            let value = if is_input(id) {
                given.iter().find(|(input, _)| *input == id).expect("every input has a value").1.clone()
            } else {
                let buffer = placed[numbers[&id]];
                read.insert(buffer);
                let (held, value) = buffers[buffer].clone().expect("what is loaded was stored");
                assert_eq!(held, id, "the buffer of %{} has been taken\n{graph}", id.index());
                value
            };
            values.insert(id, value);
        }
        for (&id, value) in kernel.stores.iter().zip(compute(graph, &kernel.stores, values)) {
            if let Some(&number) = numbers.get(&id) {
                assert!(!read.contains(&placed[number]), "a kernel writes what it reads\n{graph}");
                assert!(value.data.len() <= lens[placed[number]], "%{} does not fit its buffer", id.index());
                buffers[placed[number]] = Some((id, value.clone()));
            }
            stored.insert(id, value);
        }
    }
    let empty = |id: NodeId| Tensor { shape: graph.shape(id).to_vec(), data: vec![] };
    outputs.iter().map(|&id| stored.get(&id).cloned().unwrap_or_else(|| empty(id))).collect()
}

/// Values of `wanted` from values of other nodes and nothing else; what has no elements is had from nothing.
fn compute(graph: &Graph, wanted: &[NodeId], mut values: HashMap<NodeId, Tensor>) -> Vec<Tensor> {
    let mut needed: HashSet<NodeId> = HashSet::new();
    let mut pending = wanted.to_vec();
    while let Some(id) = pending.pop() {
        if graph.node(id).ty.is_empty() {
            values.insert(id, Tensor { shape: graph.shape(id).to_vec(), data: vec![] });
        }
        if needed.insert(id) && !values.contains_key(&id) {
            pending.extend(&graph.node(id).inputs);
        }
    }
    let mut needed: Vec<NodeId> = needed.into_iter().collect();
    needed.sort_unstable();
    let (mut new, mut given, mut map) = (Graph::new(), Given::new(), HashMap::new());
    for id in needed {
        let node = graph.node(id);
        let there = match values.remove(&id) {
            Some(value) => {
                let input = new.input("loaded", &node.ty.shape, node.ty.dtype);
                given.push((input, value));
                input
            }
            None => {
                assert!(!matches!(node.op, Op::Input(_)), "%{} is not among the loads\n{graph}", id.index());
                new.push(node.op.clone(), &node.inputs.iter().map(|i| map[i]).collect::<Vec<_>>())
            }
        };
        map.insert(id, there);
    }
    run(&new, &wanted.iter().map(|id| map[id]).collect::<Vec<_>>(), &given)
}

/// A schedule whose fullest kernels have been cut `times` times, as the compiler cuts what an adapter cannot bind.
fn scheduled(graph: &Graph, outputs: &[NodeId], times: usize) -> Schedule {
    let mut cuts = HashSet::new();
    let mut schedule = fuse(graph, outputs, &cuts, KERNELS);
    for _ in 0..times {
        let bound = |k: &&Group| schedule.loads(graph, k).len() + k.stores.len();
        let Some(fullest) = schedule.groups.iter().max_by_key(bound) else { break };
        let Some(node) = schedule.cut(graph, fullest, &cuts) else { break };
        cuts.insert(node);
        schedule = fuse(graph, outputs, &cuts, KERNELS);
    }
    schedule
}

/// Everything about one program. The bits of `how` say which ways its passes go.
fn check(mut program: Program, seed: u64, how: u64) {
    let order = how % 2;
    if order == 1 {
        differentiate(&mut program, seed);
    }
    let Program { graph, outputs, given } = &program;
    let expected = run(graph, outputs, given);

    let simple = simplify(graph, outputs);
    let simple_outputs = simple.outputs(outputs);
    let simple_given = given_to(graph, &simple.graph, given);
    check_pass("simplify", &simple.graph, &simple_outputs, &simple_given, &expected, 0.0);

    let policy = SplitPolicy {
        wanted_tiles: (how >> 1 & 15) as usize,
        min_slice: (how >> 5 & 3) as usize,
        by_axes: false,
        long_rows: false,
    };
    let split = split(&simple.graph, &simple_outputs, policy);
    let split_outputs = split.outputs(&simple_outputs);
    let split_given = given_to(graph, &split.graph, given);
    check_stages(&split.graph);
    check_pass("split", &split.graph, &split_outputs, &split_given, &expected, TOLERANCE);

    let schedule = scheduled(&split.graph, &split_outputs, (how >> 7 & 3) as usize);
    check_schedule(&split.graph, &split_outputs, &schedule);
    let found = execute(&split.graph, &split_outputs, &schedule, &split_given);
    assert_eq!(found, run(&split.graph, &split_outputs, &split_given), "{}", split.graph);

    let inputs = simple_given.iter().map(|(id, _)| *id).enumerate();
    let chosen: Vec<NodeId> = inputs.filter(|(i, _)| how >> (9 + i % 16) & 1 == 1).map(|(_, id)| id).collect();
    match how >> 25 & 3 {
        0 => check_vmap(&simple.graph, &simple_outputs, &simple_given, &chosen, 2),
        _ => _ = check_stage(&simple.graph, &simple_outputs, &simple_given, &chosen),
    }
    if how >> 27 & 63 == 0 {
        check_kernels(graph, outputs, given);
    }
}

/// Compiles for every kind of adapter, with inputs and outputs side by side in few buffers and in a buffer each.
fn check_kernels(graph: &Graph, outputs: &[NodeId], given: &Given) {
    for target in targets().into_iter().chain([Target { max_bindings: FEWEST, ..targets()[0].clone() }]) {
        for program in [compiled(graph, outputs, given, &target), apart(graph, outputs, given, &target)] {
            check_hazards(&program, &target);
            program
                .kernels
                .iter()
                .for_each(|kernel| validate(kernel).unwrap_or_else(|error| panic!("{error}\n{graph}")));
        }
    }
}

/// A program whose inputs and outputs have a buffer each.
fn apart(graph: &Graph, outputs: &[NodeId], given: &Given, target: &Target) -> Kernels {
    let place = |slot: usize| Place { slot, offset: 0 };
    let inputs: Vec<(NodeId, Place)> = given.iter().enumerate().map(|(i, (id, _))| (*id, place(i))).collect();
    let mut distinct = outputs.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let stored =
        distinct.iter().enumerate().map(|(i, &node)| Output { node, place: place(given.len() + i), accumulate: false });
    let stored: Vec<Output> = stored.collect();
    let slots: Vec<usize> =
        given.iter().map(|(id, _)| id).chain(&distinct).map(|&id| graph.node(id).ty.len()).collect();
    compile(&Spec { name: "apart", graph, inputs: &inputs, outputs: &stored, slots: &slots }, target)
        .unwrap_or_else(|error| panic!("{error}\n{}", graph.dump(outputs)))
}

#[test]
fn random_programs_survive_autodiff_and_passes() {
    let strategy = || (instructions(8), 0..1_000_000u64, any::<u64>());
    random::check(20_230_916, 2000, strategy, |(instructions, seed, how)| {
        check(program(&SMALL, &instructions, seed), seed, how);
        Ok(())
    });
}
