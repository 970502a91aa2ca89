//! A graph for several values at once, and a graph cut in two, against the graph itself.

use edgewalk::graph::{Graph, NodeId, Op, Tensor, verify};
use edgewalk::model::{Activation, Loss, Reduction};
use edgewalk::passes::{Stages, simplify, stage, vmap};
use proptest::prelude::*;

use super::networks::{ACTIVATIONS, LOSSES, mlp, network};
use super::op_cases::cases;
use super::oracle::{Given, run};
use super::random;
use super::random_programs::{LARGE, instructions, largest_error, program};

/// The node of input `number`.
fn input(graph: &Graph, number: usize) -> NodeId {
    graph.ids().find(|&id| matches!(graph.node(id).op, Op::Input(n) if n == number)).unwrap()
}

fn number(graph: &Graph, id: NodeId) -> usize {
    match graph.node(id).op {
        Op::Input(number) => number,
        ref other => panic!("{other:?} is no input"),
    }
}

/// Checks `count` values of the inputs `mapped` at once against one after the other.
pub fn check_vmap(graph: &Graph, outputs: &[NodeId], given: &Given, mapped: &[NodeId], count: usize) {
    // Values of the same kind: those given, in another order.
    let turned = |tensor: &Tensor, by: usize| {
        let mut data = tensor.data.clone();
        let by = by % data.len().max(1);
        data.rotate_left(by);
        Tensor { shape: tensor.shape.clone(), data }
    };
    let nth = |n: usize| -> Given {
        let value = |(id, x): &(NodeId, Tensor)| (*id, if mapped.contains(id) { turned(x, n) } else { x.clone() });
        given.iter().map(value).collect()
    };
    let many = vmap(graph, outputs, mapped, count);
    verify(&many.graph).unwrap();
    let given: Given = (given.iter())
        .map(|(id, x)| {
            let new = input(&many.graph, number(graph, *id));
            if !mapped.contains(id) {
                return (new, x.clone());
            }
            let data = (0..count).flat_map(|n| turned(x, n).data).collect();
            (new, Tensor { shape: [&[count], &x.shape[..]].concat(), data })
        })
        .collect();
    let found = run(&many.graph, &many.outputs(outputs), &given);
    let each: Vec<Vec<Tensor>> = (0..count).map(|n| run(graph, outputs, &nth(n))).collect();
    for (i, found) in found.iter().enumerate() {
        assert_eq!(found.shape, [&[count], graph.shape(outputs[i])].concat());
        let expected: Vec<f64> = each.iter().flat_map(|values| values[i].data.clone()).collect();
        let expected = Tensor { shape: found.shape.clone(), data: expected };
        let error = largest_error(std::slice::from_ref(found), &[expected]);
        assert!(error <= 1e-12, "output {i} is off by {error:e}\n{graph}\n{}", many.graph);
    }
}

/// Checks the two stages for these late inputs against the graph, and returns them.
pub fn check_stage(graph: &Graph, outputs: &[NodeId], given: &Given, late: &[NodeId]) -> Stages {
    let stages = stage(graph, outputs, late);
    let second = &stages.second.graph;
    verify(second).unwrap();
    let dependent = |id: &NodeId| graph.reachable(&[*id]).iter().zip(graph.ids()).any(|(r, i)| *r && late.contains(&i));
    assert!(!stages.kept.iter().any(dependent), "what is kept depends on a late input\n{graph}");
    let kept = run(graph, &stages.kept, given);
    let mut values: Given = given.iter().map(|(id, x)| (input(second, number(graph, *id)), x.clone())).collect();
    let first = graph.inputs().len();
    values.extend(kept.into_iter().enumerate().map(|(i, x)| (input(second, first + i), x)));
    let found = run(second, &stages.second.outputs(outputs), &values);
    let error = largest_error(&found, &run(graph, outputs, given));
    assert!(error <= 1e-12, "off by {error:e}\n{graph}\n{second}");
    stages
}

#[test]
fn every_op_may_have_a_leading_axis() {
    for case in cases() {
        let (graph, inputs, output) = case.build();
        let given: Given = inputs.iter().copied().zip(case.inputs.iter().map(|(_, t)| t.clone())).collect();
        // All sets of inputs.
        for set in 0..1 << inputs.len() {
            let mapped: Vec<NodeId> = (0..inputs.len()).filter(|i| set >> i & 1 == 1).map(|i| inputs[i]).collect();
            check_vmap(&graph, &[output], &given, &mapped, 3);
        }
    }
}

#[test]
fn every_op_may_be_in_either_stage() {
    for case in cases() {
        let (mut graph, inputs, output) = case.build();
        let shape = graph.shape(output).to_vec();
        let other = graph.input("late", &shape, graph.node(output).ty.dtype);
        let both = graph.compare(edgewalk::graph::Compare::Eq, output, other);
        let mut given: Given = inputs.iter().copied().zip(case.inputs.iter().map(|(_, t)| t.clone())).collect();
        given.push((other, Tensor { shape: graph.shape(output).to_vec(), data: case.expected.clone() }));
        for late in inputs.iter().copied().chain([other]) {
            if graph.node(output).ty.dtype != edgewalk::graph::DType::Bool {
                check_stage(&graph, &[both, output], &given, &[late]);
            }
        }
    }
}

#[test]
fn random_programs_in_stages_and_side_by_side() {
    random::check(
        20_230_915,
        300,
        || (instructions(16), 0..1_000_000u64, any::<u8>()),
        |(instructions, seed, set)| {
            let program = program(&LARGE, &instructions, seed);
            let inputs = program.given.iter().map(|(id, _)| *id).enumerate();
            let chosen: Vec<NodeId> = inputs.filter(|(i, _)| set >> (i % 8) & 1 == 1).map(|(_, id)| id).collect();
            check_stage(&program.graph, &program.outputs, &program.given, &chosen);
            check_vmap(&program.graph, &program.outputs, &program.given, &chosen, 2);
            Ok(())
        },
    );
}

#[test]
fn products_of_networks_in_two_stages() {
    for activation in ACTIVATIONS {
        for loss in LOSSES {
            let network = network(&mlp(activation, 7, 5, 3), loss, 9);
            for (name, outputs) in network.programs.iter().filter(|(name, _)| ["hvp", "ggn"].contains(name)) {
                let simple = simplify(&network.graph, outputs);
                let outputs = simple.outputs(outputs);
                let value = |(id, x): &(NodeId, Tensor)| Some((simple.get(*id)?, x.clone()));
                let given: Given = network.given.iter().filter_map(value).collect();
                let is_v = |id: &NodeId| matches!(simple.graph.node(*id).op, Op::Input(n) if simple.graph.inputs()[n].name == "direction");
                let v: Vec<NodeId> = given.iter().map(|(id, _)| *id).filter(is_v).collect();
                assert!(!v.is_empty());
                let stages = check_stage(&simple.graph, &outputs, &given, &v);
                let second = &stages.second.graph;
                // Whatever is left of contractions and reductions depends on v.
                let late = second.ids().filter(|id| {
                    second.reachable(&[*id]).iter().zip(second.ids()).any(|(r, i)| {
                        *r && matches!(second.node(i).op, Op::Input(n) if second.inputs()[n].name == "direction")
                    })
                });
                let late: Vec<NodeId> = late.collect();
                for id in second.ids().filter(|id| !late.contains(id)) {
                    let heavy =
                        matches!(second.node(id).op, Op::DotGeneral(_) | Op::ReduceSum { .. } | Op::ReduceMax { .. });
                    assert!(!heavy, "{name}, {activation:?}, {loss:?}: {second}");
                }
                // A vector is late in every product, and the others are not.
                let mapped: Vec<NodeId> = v.iter().map(|id| input(second, number(&simple.graph, *id))).collect();
                let kept = run(&simple.graph, &stages.kept, &given);
                let mut values: Given =
                    given.iter().map(|(id, x)| (input(second, number(&simple.graph, *id)), x.clone())).collect();
                let first = simple.graph.inputs().len();
                values.extend(kept.into_iter().enumerate().map(|(i, x)| (input(second, first + i), x)));
                check_vmap(second, &stages.second.outputs(&outputs), &values, &mapped, 3);
            }
        }
    }
}

#[test]
fn little_is_kept_of_a_relu_network() {
    // Of each hidden layer its value and the signal that comes back through it; of the output the signal alone. Masks
    // are one comparison away from values.
    let network = network(&mlp(Activation::Relu, 7, 5, 3), Loss::Mse(Reduction::Mean), 9);
    let (_, outputs) = network.programs.iter().find(|(name, _)| *name == "hvp").unwrap();
    let simple = simplify(&network.graph, outputs);
    let is_v =
        |id: &NodeId| matches!(simple.graph.node(*id).op, Op::Input(n) if simple.graph.inputs()[n].name == "direction");
    let v: Vec<NodeId> = simple.graph.ids().filter(is_v).collect();
    let stages = stage(&simple.graph, &simple.outputs(outputs), &v);
    let mut shapes: Vec<&[usize]> = stages.kept.iter().map(|&id| simple.graph.shape(id)).collect();
    shapes.sort_unstable();
    assert_eq!(shapes, [&[9, 3][..], &[9, 5], &[9, 5], &[9, 5], &[9, 5], &[9, 5]], "{}", simple.graph);
}
