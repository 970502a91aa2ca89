//! Which buffer each stored value lives in: live ranges coloured onto a few buffers.
//!
//! A buffer holds one value at a time, and a step never writes the buffer that it reads, since devices track usage by
//! whole buffers. Values are placed in the order they are written, each into the free buffer whose size fits best.

use std::collections::{HashMap, HashSet};

use super::accesses::Source;
use super::code::{Binding, BufferRef, Plan, Step};
use super::lower::Lowered;
use super::schedule::{Group, Schedule, is_input};
use crate::graph::{Graph, NodeId};

/// The life of one stored value: written by step `first`, read for the last time by step `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Step that writes it.
    pub first: usize,
    /// Last step that reads it; at least `first`.
    pub last: usize,
    /// Elements of 4 bytes.
    pub len: usize,
}

/// Returns the buffer of each value and the length of each buffer. `lives` is ordered by `first`.
pub fn assign_buffers(lives: &[Life]) -> (Vec<usize>, Vec<usize>) {
    let mut lens: Vec<usize> = vec![];
    let mut busy_until: Vec<usize> = vec![];
    let mut placed = Vec::with_capacity(lives.len());
    for life in lives {
        let growth = |&b: &usize| (life.len.saturating_sub(lens[b]), lens[b]);
        let buffer = match (0..lens.len()).filter(|&b| busy_until[b] < life.first).min_by_key(growth) {
            Some(free) => free,
            None => {
                lens.push(0);
                busy_until.push(0);
                lens.len() - 1
            }
        };
        lens[buffer] = lens[buffer].max(life.len);
        busy_until[buffer] = life.last;
        placed.push(buffer);
    }
    (placed, lens)
}

/// Assigns buffers and puts the plan together.
pub(super) fn assemble(graph: &Graph, schedule: &Schedule, steps: Vec<(&Group, Lowered)>) -> Plan {
    let loads: Vec<HashSet<NodeId>> = steps.iter().map(|(group, _)| schedule.loads(graph, group)).collect();
    let mut last = HashMap::new();
    for (k, ids) in loads.iter().enumerate() {
        last.extend(ids.iter().filter(|id| !is_input(graph, **id)).map(|&id| (id, k)));
    }
    let mut lives = vec![];
    let mut numbers = HashMap::new();
    for (k, (group, _)) in steps.iter().enumerate() {
        for id in group.stores.iter().filter(|id| last.contains_key(id)) {
            numbers.insert(*id, lives.len());
            lives.push(Life { first: k, last: last[id], len: graph.node(*id).ty.len() });
        }
    }
    let (placed, temps) = assign_buffers(&lives);
    let buffer = |source: Source| match source {
        Source::Slot(slot) => BufferRef::Slot(slot),
        Source::Node(id) => BufferRef::Temp(placed[numbers[&id]]),
    };
    let steps = steps.into_iter().zip(&loads).map(|((group, step), loads)| {
        let Lowered { label, width, code, accesses, flops } = step;
        let bound = accesses.bindings.iter();
        let bindings = bound.map(|b| Binding { buffer: buffer(b.source), view: b.view, access: b.access }).collect();
        let touched = loads.iter().chain(&group.stores);
        let bytes = touched.map(|id| 4.0 * graph.node(*id).ty.len() as f64).sum();
        Step { label, width, code, bindings, offsets: accesses.offsets, flops, bytes }
    });
    Plan { temps, steps: steps.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ranges_never_share_a_buffer() {
        let life = |first, last, len| Life { first, last, len };
        let lives = [life(0, 3, 10), life(0, 1, 5), life(1, 2, 7), life(2, 4, 5), life(4, 4, 20), life(5, 6, 1)];
        let (placed, lens) = assign_buffers(&lives);
        for (i, a) in lives.iter().enumerate() {
            assert!(lens[placed[i]] >= a.len);
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                let overlap = a.first <= b.last && b.first <= a.last;
                assert!(!overlap || placed[i] != placed[j], "{i} and {j} share a buffer");
            }
        }
        assert!(lens.len() < lives.len());
    }
}
