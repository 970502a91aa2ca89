//! From a plan to a [`Program`]: tapes and contractions over numbered buffers.

use super::compile::Domain;
use super::element::Element;
use super::layout::{Scalar, environment};
use super::loops::{Columns, Reduction, Rows, reduction};
use super::memory::View;
use super::pool::{Needs, Pool};
use super::product::{Left, Operand, Product, body, convolution};
use crate::graph::DType;
use crate::index::Idx;
use crate::passes::SplitPolicy;
use crate::plan::{
    Access, Address, Body, BufferRef, Code, Form, Line, Plan, PlanError, Product as Planned, Spec, Step as PlannedStep,
    plan,
};

/// Contractions are cut only where sums would be very long: tiles of the result keep all threads busy. Sums go axis by
/// axis, so that their terms have constant strides.
const SPLIT: SplitPolicy = SplitPolicy { wanted_tiles: 1, min_slice: 256, by_axes: true, long_rows: false };

/// Steps over numbered buffers: everything about a computation but the memory. It serves both precisions.
#[derive(Debug)]
pub struct Program {
    /// Short name.
    pub name: String,
    /// Length in elements of the caller's buffers.
    pub slots: Vec<usize>,
    /// Length in elements of the program's own buffers.
    pub temps: Vec<usize>,
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// What it needs of each thread.
    pub(super) needs: Needs,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Kind and sizes, for people.
    pub label: String,
    /// The buffers, and how it uses them.
    pub buffers: Vec<(BufferRef, Access)>,
    /// Floating-point operations, estimated.
    pub flops: f64,
    /// Bytes loaded and stored once each, estimated for elements of 4 bytes.
    pub bytes: f64,
    environment: Vec<u64>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Rows(Rows),
    Columns(Columns),
    Product(Box<Product>),
}

/// Compiles a graph. An output may lie where inputs do: it takes their place when all of them have been read.
///
/// # Errors
/// [`PlanError`]: that of the graph, and what the caller's places do not allow.
pub fn compile(spec: &Spec) -> Result<Program, PlanError> {
    let Plan { mut temps, steps: planned } = plan(spec, SPLIT, Form::Blocks)?;
    let mut steps = vec![];
    for step in planned {
        add(step, &mut temps, &mut steps);
    }
    let needs = steps.iter().map(|step| step.work.needs()).fold(Needs::default(), Needs::or);
    Ok(Program { name: spec.name.to_owned(), slots: spec.slots.to_vec(), temps, steps, needs })
}

/// Adds a step, and before it copies of operands that have no constant strides.
fn add(planned: PlannedStep, temps: &mut Vec<usize>, steps: &mut Vec<Step>) {
    let PlannedStep { label, code, bindings, offsets, flops, bytes, .. } = planned;
    let mut buffers: Vec<(BufferRef, Access)> =
        bindings.iter().map(|binding| (binding.buffer, binding.access)).collect();
    let environment = environment(&offsets);
    let work = match code {
        Code::Each { count, body } => Work::Rows(Rows::new(Domain::flat("i", count), &body)),
        Code::Rows { count, len, body } => Work::Rows(Rows::new(Domain::rows(count, len), &body)),
        Code::Reduce(fold) => match reduction(&fold) {
            Reduction::Rows(rows) => Work::Rows(rows),
            Reduction::Columns(columns) => Work::Columns(columns),
        },
        Code::Product(product) => {
            let Planned { shape, operands, .. } = &*product;
            let mut operand = |body: &Body, sides: [Side; 2]| {
                Operand::new(body, sides.map(|(name, _)| name)).unwrap_or_else(|| {
                    let copy = Copied::new(body, shape.batch, sides, buffers.len());
                    let (mut of_copy, temp) = (buffers.clone(), BufferRef::Temp(temps.len()));
                    temps.push(copy.len);
                    of_copy.push((temp, Access::Write));
                    buffers.push((temp, Access::Read));
                    let (work, environment) = (Work::Rows(copy.rows), environment.clone());
                    let bytes = 8.0 * copy.len as f64;
                    let label = format!("copy for {label}");
                    steps.push(Step { label, buffers: of_copy, flops: 0.0, bytes, environment, work });
                    copy.operand
                })
            };
            let operands = operands.as_ref().map(|[a, b]| {
                let left = convolution(&product);
                let left = left.unwrap_or_else(|| Left::Matrix(operand(body(a), [("m", shape.m), ("k", shape.k)])));
                (left, operand(body(b), [("k", shape.k), ("n", shape.n)]))
            });
            Work::Product(Box::new(Product::new(&product, operands)))
        }
    };
    steps.push(Step { label, buffers, flops, bytes, environment, work });
}

/// A variable, and the number of its values.
type Side = (&'static str, usize);

/// A copy of an operand that has no constant strides.
struct Copied {
    rows: Rows,
    /// The copy, which is the step's last buffer.
    operand: Operand,
    len: usize,
}

impl Copied {
    fn new(body: &Body, batch: usize, sides: [Side; 2], binding: usize) -> Self {
        let [(row, rows), (column, columns)] = sides;
        let element = Idx::var(row, rows).times(columns as u64).plus(&Idx::var(column, columns));
        let base = Idx::var("b", batch).times((rows * columns) as u64);
        let at = Address::One(base.plus(&element));
        let store = Line::Store { binding, at, value: body.value, dtype: DType::F32, accumulate: false };
        let lines: Vec<Line> = body.lines.iter().cloned().chain([store]).collect();
        let rows_of_copy = Rows::new(Domain::grid([("b", batch), sides[0], sides[1]]), &lines);
        let base = Scalar::new(&base).expect("it depends on the batch alone");
        let operand = Operand { binding, base, strides: [columns, 1] };
        Self { rows: rows_of_copy, operand, len: batch * rows * columns }
    }
}

impl Work {
    fn needs(&self) -> Needs {
        match self {
            Self::Rows(rows) => rows.needs(),
            Self::Columns(columns) => columns.needs(),
            Self::Product(product) => product.needs(),
        }
    }
}

impl Step {
    /// Whether it has work for several threads.
    pub(super) fn is_shared(&self) -> bool {
        match &self.work {
            Work::Rows(rows) => rows.tasks() > 1,
            Work::Columns(columns) => columns.tasks() > 1,
            Work::Product(product) => product.is_shared(),
        }
    }

    /// Runs it on its buffers.
    pub(super) fn run<T: Element>(&self, pool: &Pool<T>, views: &[View<T>]) {
        match &self.work {
            Work::Rows(rows) => rows.run(pool, views, &self.environment),
            Work::Columns(columns) => columns.run(pool, views, &self.environment),
            Work::Product(product) => product.run(pool, views, &self.environment),
        }
    }
}
