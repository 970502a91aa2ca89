//! What a step loads and stores: its bindings, the offsets that its indices mention, and whether it stores over what it or
//! another invocation of it has still to load.

use std::ops::Range;

use super::code::{Access, View};
use super::spec::overlap;
use crate::graph::NodeId;
use crate::index::Idx;

/// The step cannot handle four elements at once.
#[derive(Debug)]
pub(super) struct Unsuitable;

/// Where a value lives before buffers are assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// One of the caller's buffers.
    Slot(usize),
    /// The buffer of a stored node.
    Node(NodeId),
}

/// A buffer as a step sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub source: Source,
    pub view: View,
    pub access: Access,
}

/// Where a stored node goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub source: Source,
    pub offset: usize,
    pub accumulate: bool,
}

/// A load or store of a tensor in one of the caller's buffers.
struct Touch {
    slot: usize,
    tensor: Range<usize>,
    /// Which element.
    flat: Idx,
    /// Whether other invocations than the one that stores an element load it.
    shared: bool,
    /// What is stored there; nothing for a load.
    stored: Option<(NodeId, Destination)>,
}

/// The loads and stores of a step. See the module text.
#[derive(Default)]
pub(super) struct Accesses {
    pub bindings: Vec<Bound>,
    /// Where tensors lie in the caller's buffers, in elements or in groups of four.
    pub offsets: Vec<u32>,
    /// Stores over elements that another invocation loads, or that are loaded later: they depend on who is first.
    pub races: Vec<(NodeId, Destination)>,
    touched: Vec<Touch>,
    /// See [`Accesses::share_outside_of`].
    shared_outside_of: Option<&'static str>,
}

impl Accesses {
    /// Says that invocations load what they have loaded so far for one another's elements.
    pub fn share_loads(&mut self) {
        self.touched.iter_mut().for_each(|touch| touch.shared = true);
    }

    /// Says that invocations differ in this variable. Several load an element whose index does not depend on it.
    pub fn share_outside_of(&mut self, variable: &'static str) {
        self.shared_outside_of = Some(variable);
    }

    /// Enters a load or store, and what races with it.
    pub fn touch(&mut self, slot: usize, tensor: Range<usize>, flat: &Idx, stored: Option<(NodeId, Destination)>) {
        let meets = |t: &&Touch| t.slot == slot && overlap(&t.tensor, &tensor);
        for before in self.touched.iter().filter(meets) {
            match (before.stored, stored) {
                (Some(store), None) => self.races.push(store),
                (None, Some(store)) if before.shared || before.flat != *flat => self.races.push(store),
                _ => {}
            }
        }
        let shared = self.shared_outside_of.is_some_and(|variable| !flat.mentions(variable));
        self.touched.push(Touch { slot, tensor, flat: flat.clone(), shared, stored });
    }

    /// An offset in one of the caller's buffers. It is data, not part of the code, so that layers which differ only in where
    /// their parameters lie share their code.
    pub fn offset(&mut self, offset: usize) -> Idx {
        if offset == 0 {
            return Idx::constant(0);
        }
        let unit = if offset.is_multiple_of(4) { 4 } else { 1 };
        let value = (offset / unit) as u32;
        let number = self.offsets.iter().position(|&known| known == value).unwrap_or_else(|| {
            self.offsets.push(value);
            self.offsets.len() - 1
        });
        Idx::var(&format!("offset{number}"), u32::MAX as usize / unit).times(unit as u64)
    }

    /// Number of the binding for a buffer seen and used in this way.
    pub fn binding(&mut self, source: Source, view: View, access: Access) -> Result<usize, Unsuitable> {
        let found = self.bindings.iter().position(|b| b.source == source && b.view == view);
        let at = found.unwrap_or_else(|| {
            self.bindings.push(Bound { source, view, access });
            self.bindings.len() - 1
        });
        let binding = &mut self.bindings[at];
        if binding.access != access {
            binding.access = Access::ReadWrite;
        }
        // A buffer that is written can be bound only once.
        let others = self.bindings.iter().filter(|b| b.source == source).count();
        let written = self.bindings.iter().any(|b| b.source == source && b.access != Access::Read);
        if others > 1 && written { Err(Unsuitable) } else { Ok(at) }
    }
}
