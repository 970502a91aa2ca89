//! The executable specification of a well-formed graph, run after every pass in tests and debug builds.
//!
//! What [`Graph::try_push`](super::Graph::try_push) promises one node at a time is checked here for the whole graph and
//! without trusting it, so a pass that renumbers or rebuilds nodes cannot break an invariant unseen.

use std::collections::HashMap;

use super::{Graph, GraphError, NodeId, Op, infer};

/// Checks every invariant: operands come before their users, each type is the one that its op implies, no two nodes are
/// equal, the table of interned nodes names exactly the nodes, and each input has exactly one node.
///
/// # Errors
/// The graph's own error, or [`GraphError::Invalid`], which names the first offending node (or, for an input without a
/// node, the node count).
pub fn verify(graph: &Graph) -> Result<(), GraphError> {
    graph.check()?;
    let fail = |node: usize, reason: String| Err(GraphError::Invalid { node, reason });
    let mut seen: HashMap<(&Op, &[NodeId]), usize> = HashMap::new();
    let mut inputs_seen = 0;
    for (number, node) in graph.nodes.iter().enumerate() {
        if let Some(late) = node.inputs.iter().find(|id| id.index() >= number) {
            return fail(number, format!("operand %{} does not come before it", late.index()));
        }
        match infer::infer(graph, &node.op, &node.inputs) {
            Err(error) => return fail(number, error.to_string()),
            Ok(ty) if ty != node.ty => return fail(number, format!("its type is {:?}, not {ty:?}", node.ty)),
            Ok(_) => {}
        }
        if let Some(twin) = seen.insert((&node.op, &node.inputs), number) {
            return fail(number, format!("it equals %{twin}"));
        }
        if graph.interned.get(&(node.op.clone(), node.inputs.clone())).map(|id| id.index()) != Some(number) {
            return fail(number, "the table of interned nodes does not lead to it".to_owned());
        }
        inputs_seen += usize::from(matches!(node.op, Op::Input(_)));
    }
    let count = graph.nodes.len();
    if graph.interned.len() != count {
        return fail(count, format!("{} interned nodes for {count} nodes", graph.interned.len()));
    }
    if graph.inputs.len() != inputs_seen {
        return fail(count, format!("{} inputs for {inputs_seen} input nodes", graph.inputs.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{DType, Node, Type, Unary};
    use super::*;

    /// x, y (f32[3]) and exp(x), exp(y): nodes 0 to 3.
    fn sound() -> Graph {
        let mut graph = Graph::new();
        let x = graph.input_f32("x", &[3]);
        let y = graph.input_f32("y", &[3]);
        graph.unary(Unary::Exp, x);
        graph.unary(Unary::Exp, y);
        graph
    }

    fn node_and_reason(graph: &Graph) -> (usize, String) {
        match verify(graph) {
            Err(GraphError::Invalid { node, reason }) => (node, reason),
            other => panic!("expected an invalid graph, got {other:?}"),
        }
    }

    #[test]
    fn a_sound_graph_passes() {
        verify(&sound()).unwrap();
        verify(&Graph::new()).unwrap();
    }

    #[test]
    fn an_operand_after_its_user_is_found() {
        let mut graph = sound();
        graph.nodes[2].inputs = vec![NodeId(3)];
        let (node, reason) = node_and_reason(&graph);
        assert_eq!(node, 2);
        assert!(reason.contains("%3"), "{reason}");
    }

    #[test]
    fn a_wrong_type_is_found() {
        let mut graph = sound();
        graph.nodes[3].ty = Type { shape: vec![4], dtype: DType::F32 };
        assert_eq!(node_and_reason(&graph).0, 3);
    }

    #[test]
    fn a_duplicate_is_found() {
        let mut graph = sound();
        let twin: Node = graph.nodes[2].clone();
        graph.nodes.push(twin);
        let (node, reason) = node_and_reason(&graph);
        assert_eq!(node, 4);
        assert!(reason.contains("%2"), "{reason}");
    }

    #[test]
    fn a_node_missing_from_the_table_is_found() {
        let mut graph = sound();
        graph.interned.remove(&(Op::Unary(Unary::Exp), vec![NodeId(1)]));
        assert_eq!(node_and_reason(&graph).0, 3);
    }

    #[test]
    fn a_stale_entry_of_the_table_is_found() {
        let mut graph = sound();
        graph.interned.insert((Op::Unary(Unary::Log), vec![NodeId(1)]), NodeId(3));
        assert_eq!(node_and_reason(&graph).0, 4);
    }

    #[test]
    fn an_input_whose_type_left_the_table_is_found() {
        let mut graph = sound();
        graph.inputs[1].ty.shape = vec![5];
        assert_eq!(node_and_reason(&graph).0, 1);
        let mut graph = sound();
        graph.inputs.pop();
        assert_eq!(node_and_reason(&graph).0, 1);
    }

    #[test]
    fn an_input_without_a_node_is_found() {
        let mut graph = sound();
        let extra = graph.inputs[0].clone();
        graph.inputs.push(extra);
        assert_eq!(node_and_reason(&graph).0, 4);
    }

    #[test]
    fn a_refused_op_is_found() {
        let mut graph = sound();
        graph.nodes[3].op = Op::Transpose { perm: vec![1] };
        assert_eq!(node_and_reason(&graph).0, 3);
    }
}
