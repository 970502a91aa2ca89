//! From a graph to a plan: which values are stored, which step computes what, and where everything lies, so that no step
//! reads what an earlier one, or the step itself, has overwritten. A plan is plain data in no particular language.
//!
//! `fuse` decides what is stored and what is computed together, `step` and `product` turn each group of nodes into code over
//! symbolic indices, `memory` colours the stored values onto few buffers. What a step loads and stores is known from its code
//! (`accesses`); where that is too much, or in the wrong order, the planner changes what is stored and begins again.

mod accesses;
mod code;
mod form;
mod fuse;
mod lower;
mod memory;
mod patches;
mod planner;
mod product;
mod schedule;
mod spec;
mod step;

pub use code::{Access, BufferRef};
pub(crate) use code::{
    Address, Body, Code, ELEMENT, Elements, Expr, Field, Fold, Line, Name, Plan, Product, ProductShape, Step, Test,
    View, line_of, lines_in,
};
pub use form::{Form, Rows};
pub use fuse::fuse;
pub use memory::{Life, assign_buffers};
pub(crate) use planner::plan;
pub use schedule::{Group, Root, Schedule};
pub(crate) use spec::SpecKey;
pub use spec::{Output, Place, PlanError, Spec};
