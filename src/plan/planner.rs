//! The planner: fusion, then code, then buffers, and again with what the code has shown.
//!
//! An output may lie where inputs do. If a step stores elements of it that another invocation, or a later step, has
//! still to load, the value stays in a buffer of the program's own until a step behind all others copies it. A step
//! that touches too many buffers is cut in two.

use std::collections::{HashMap, HashSet};

use super::accesses::{Destination, Source};
use super::code::Plan;
use super::form::Form;
use super::fuse::fuse;
use super::lower::{Lowered, Scope};
use super::memory::assemble;
use super::schedule::{Group, Schedule, is_input};
use super::spec::{Place, PlanError, Spec, overlap};
use super::step::lower;
use crate::graph::{Graph, NodeId, Op, verify};
use crate::passes::{self, SplitPolicy};

/// Plans a graph whose contractions are cut as `split` says, in steps of this form. An output may lie where inputs do:
/// it takes their place when all of them have been read.
///
/// # Errors
/// [`PlanError`]: that of the graph, and what the caller's places or the number of bindings do not allow.
pub(crate) fn plan(spec: &Spec, split: SplitPolicy, form: Form) -> Result<Plan, PlanError> {
    spec.graph.check()?;
    spec.check_places()?;
    let wanted: Vec<NodeId> = spec.outputs.iter().map(|o| o.node).collect();
    let simple = passes::simplify(spec.graph, &wanted);
    let wanted = simple.outputs(&wanted);
    let split = passes::split(&simple.graph, &wanted, split);
    let outputs = split.outputs(&wanted);
    let graph = split.graph;
    graph.check()?;
    if cfg!(debug_assertions) {
        verify(&graph)?;
    }
    let inputs = spec.input_places(&graph, &outputs)?;
    let mut planner = Planner { spec, form, graph, outputs, inputs, cuts: HashSet::new(), kept: vec![] };
    loop {
        if let Some(plan) = planner.attempt()? {
            return Ok(plan);
        }
    }
}

struct Planner<'a> {
    spec: &'a Spec<'a>,
    form: Form,
    graph: Graph,
    /// The nodes that the outputs are, in the order of the spec.
    outputs: Vec<NodeId>,
    inputs: HashMap<NodeId, Place>,
    /// Nodes that start a step of their own.
    cuts: HashSet<NodeId>,
    /// Stored, so that outputs can be copied from them.
    kept: Vec<NodeId>,
}

impl Planner<'_> {
    /// The plan; or nothing, and a change that it needs first.
    fn attempt(&mut self) -> Result<Option<Plan>, PlanError> {
        let (graph, form, most) = (&self.graph, self.form, self.form.bindings());
        let schedule = fuse(graph, &[&self.outputs[..], &self.kept].concat(), &self.cuts, form);
        let targets = self.destinations(&schedule);
        let scope = Scope { graph, form, inputs: &self.inputs, stored: &schedule.stored, targets: &targets };
        let groups = schedule.groups.iter().filter(|group| !graph.node(group.stores[0]).ty.is_empty());
        let steps: Vec<(&Group, Lowered)> =
            groups.map(|group| Ok((group, lower(&scope, group)?))).collect::<Result<_, PlanError>>()?;
        let mut early = self.early_stores(&targets, &schedule);
        early.extend(steps.iter().flat_map(|(_, step)| &step.accesses.races).copied());
        if self.postpone(&early) {
            return Ok(None);
        }
        let touched = |step: &Lowered| step.accesses.bindings.len();
        match most.and_then(|most| Some((most, steps.iter().find(|(_, step)| touched(step) > most)?))) {
            None => Ok(Some(assemble(&self.graph, &schedule, steps))),
            Some((most, (group, step))) => {
                let refused = || PlanError::TooManyBuffers(step.label.clone(), most);
                self.relieve(&schedule, group, &targets).then_some(None).ok_or_else(refused)
            }
        }
    }

    /// Every stored node goes to the caller's buffers where it is an output, and to its own where a later step reads
    /// it.
    fn destinations(&self, schedule: &Schedule) -> HashMap<NodeId, Vec<Destination>> {
        let mut targets: HashMap<NodeId, Vec<Destination>> = HashMap::new();
        for (output, &node) in self.spec.outputs.iter().zip(&self.outputs) {
            let Place { slot, offset } = output.place;
            let target = Destination { source: Source::Slot(slot), offset, accumulate: output.accumulate };
            targets.entry(node).or_default().push(target);
        }
        let loads = schedule.groups.iter().flat_map(|group| schedule.loads(&self.graph, group));
        let own = loads.filter(|&id| schedule.stored[id.index()] && !is_input(&self.graph, id));
        for id in own.collect::<HashSet<_>>() {
            let target = Destination { source: Source::Node(id), offset: 0, accumulate: false };
            targets.entry(id).or_default().push(target);
        }
        targets
    }

    /// What steps store in ranges of the caller's that a later step reads an input from.
    fn early_stores(
        &self,
        targets: &HashMap<NodeId, Vec<Destination>>,
        schedule: &Schedule,
    ) -> Vec<(NodeId, Destination)> {
        let range = |id: &NodeId, offset: usize| offset..offset + self.graph.node(*id).ty.len();
        let mut stored: Vec<(NodeId, Destination)> = vec![];
        let mut early = vec![];
        for group in &schedule.groups {
            let loads = schedule.loads(&self.graph, group);
            for (id, &Place { slot, offset }) in loads.iter().filter_map(|id| self.inputs.get_key_value(id)) {
                let read = range(id, offset);
                early.extend(stored.iter().filter(|(id, target)| {
                    target.source == Source::Slot(slot) && overlap(&range(id, target.offset), &read)
                }));
            }
            for id in &group.stores {
                stored.extend(targets.get(id).into_iter().flatten().map(|target| (*id, *target)));
            }
        }
        early
    }

    /// Has each output among these stores made by a copy behind all other steps, of a value that is kept until then in
    /// a buffer of the program's own. Whether there are any.
    fn postpone(&mut self, early: &[(NodeId, Destination)]) -> bool {
        let is_early = |output: &usize| {
            let Place { slot, offset } = self.spec.outputs[*output].place;
            let place = (Source::Slot(slot), offset);
            early.iter().any(|(id, t)| *id == self.outputs[*output] && (t.source, t.offset) == place)
        };
        let postponed: Vec<usize> = (0..self.outputs.len()).filter(is_early).collect();
        for &output in &postponed {
            let id = self.outputs[output];
            // Inputs are loaded from where the caller has them.
            let value = if is_input(&self.graph, id) { self.copy(id) } else { id };
            self.kept.push(value);
            self.outputs[output] = self.copy(value);
        }
        !postponed.is_empty()
    }

    /// Has a group touch fewer buffers. Whether that is possible.
    fn relieve(&mut self, schedule: &Schedule, group: &Group, targets: &HashMap<NodeId, Vec<Destination>>) -> bool {
        if let Some(node) = schedule.cut(&self.graph, group, &self.cuts) {
            return self.cuts.insert(node);
        }
        // Nothing is left to cut, but a value may go to several buffers: one of them gets a copy, by a step of its own.
        let shared = |id: &NodeId| group.stores.contains(id) && targets[id].len() > 1;
        let Some(output) = self.outputs.iter().position(shared) else { return false };
        self.outputs[output] = self.copy(self.outputs[output]);
        true
    }

    /// A node of its own with the same value.
    fn copy(&mut self, id: NodeId) -> NodeId {
        let shape = self.graph.shape(id).to_vec();
        self.graph.push(Op::Reshape { shape }, &[id])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Output, Rows};

    /// A sum of twelve vectors in a buffer each: all at once, or as many as may be touched.
    #[test]
    fn steps_touch_no_more_buffers_than_they_may() {
        let mut graph = Graph::new();
        let inputs: Vec<NodeId> = (0..12).map(|_| graph.input_f32("x", &[8])).collect();
        let node = inputs.iter().copied().reduce(|sum, x| graph.add(sum, x)).expect("there are twelve");
        let place = |slot: usize| Place { slot, offset: 0 };
        let places: Vec<(NodeId, Place)> = inputs.iter().enumerate().map(|(slot, &id)| (id, place(slot))).collect();
        let outputs = [Output { node, place: place(12), accumulate: false }];
        let spec = Spec { name: "sum", graph: &graph, inputs: &places, outputs: &outputs, slots: &[8; 13] };
        for most in [None, Some(13), Some(8), Some(4)] {
            let form = most.map_or(Form::Blocks, |bindings| Form::Kernels { bindings, rows: Rows::Workgroup });
            let plan = plan(&spec, SplitPolicy::SOFTWARE, form).expect("it can be cut");
            assert_eq!(
                plan.steps.len() == 1,
                most.is_none_or(|most| most >= 13),
                "{most:?}: {} steps",
                plan.steps.len()
            );
            assert!(plan.steps.iter().all(|step| step.bindings.len() <= most.unwrap_or(13)), "{most:?}");
        }
    }
}
