//! Rows that a workgroup shares: from the lines of a step to passes over the elements of a row.
//!
//! A reduction needs all elements of its row, so it ends a pass, and code that depends on its result waits for the next
//! pass. A pass computes only what its own reductions or stores need. A lane with one element keeps the element's
//! values; a lane with several, in a row of any length, loads and computes them again in each pass.

use std::collections::{BTreeSet, HashMap};

use super::Emitted;
use super::family::{WORKGROUP, linear};
use super::spell::{Speller, binary, neutral};
use crate::graph::Binary;
use crate::plan::{ELEMENT, Expr, Line, Name, Step, lines_in};

const ROWS: &str = include_str!("../../shaders/rows.wgsl");

/// The kernel of `count` rows of `len` elements, or groups of four.
pub(super) fn emit(step: &Step, count: usize, len: usize, body: &[Line]) -> Emitted {
    let lanes = len.next_power_of_two().min(WORKGROUP);
    let speller = Speller { width: step.width, root: "result" };
    let body = Passes::new(body, speller, len, lanes).text();
    let hooks =
        format!("const LANES: u32 = {lanes}u;\nfn body(i: u32, lane: u32, local: u32, inside: bool) {{\n{body}}}\n");
    linear(ROWS, step, &hooks, count, WORKGROUP / lanes)
}

/// The lines of a step, sorted into passes.
struct Passes<'a> {
    lines: &'a [Line],
    speller: Speller,
    len: usize,
    lanes: usize,
    /// Of each line, the lines whose values it needs.
    needs: Vec<Vec<usize>>,
    /// Of each line, the first pass in which it can be computed.
    pass: Vec<usize>,
    /// Of each line, whether it has a value, or stores one, for each element.
    of_elements: Vec<bool>,
    /// The lines that are written already, and whose values all later lines can use.
    written: BTreeSet<usize>,
}

impl<'a> Passes<'a> {
    fn new(lines: &'a [Line], speller: Speller, len: usize, lanes: usize) -> Self {
        // The line of each `Let`, by its number.
        let mut line_of: HashMap<usize, usize> = HashMap::new();
        let (mut needs, mut pass, mut of_elements) = (vec![], vec![], vec![]);
        for (at, line) in lines.iter().enumerate() {
            let (values, indices) = line.operands();
            let named = values.iter().filter_map(|name| match name {
                Name::Value(number) => Some(*number),
                Name::Root => None,
            });
            let numbers = named.chain(indices.iter().flat_map(|idx| lines_in(idx)));
            let needed: Vec<usize> = numbers.map(|number| line_of[&number]).collect();
            let after = needed.iter().map(|&line| pass[line]).max().unwrap_or(0);
            let is_reduction = matches!(line, Line::Let(_, Expr::OverRow(..)));
            let in_elements =
                indices.iter().any(|idx| idx.mentions(ELEMENT)) || needed.iter().any(|&line| of_elements[line]);
            pass.push(after + usize::from(is_reduction));
            of_elements.push(in_elements && !is_reduction);
            needs.push(needed);
            if let Line::Let(number, _) = line {
                line_of.insert(*number, at);
            }
        }
        Self { lines, speller, len, lanes, needs, pass, of_elements, written: BTreeSet::new() }
    }

    fn text(mut self) -> String {
        let is_store = |line: &Line| matches!(line, Line::Store { .. });
        let numbers = || 0..self.lines.len();
        let last = self.pass.iter().copied().max().unwrap_or(0);
        let (of_elements, of_rows): (Vec<usize>, Vec<usize>) =
            numbers().filter(|&line| is_store(&self.lines[line])).partition(|&line| self.of_elements[line]);
        let mut text = String::new();
        if self.keeps_elements() {
            text += &format!("    let {ELEMENT} = min(lane, {}u);\n", self.len - 1);
        }
        for pass in 1..=last {
            let is_its = |&line: &usize| self.pass[line] == pass && self.reduction(line).is_some();
            let reductions = numbers().filter(is_its).collect();
            text += &self.reduce(reductions);
        }
        text += &self.store_elements(&of_elements);
        let needed = self.needed(&of_rows);
        text += &self.once(&needed);
        if !of_rows.is_empty() {
            text += &format!("    if (inside && lane == 0u) {{\n{}    }}\n", self.spelled(&of_rows));
        }
        text
    }

    /// Whether a lane has at most one element.
    fn keeps_elements(&self) -> bool {
        self.lanes >= self.len
    }

    /// Number, operation and operand of a line that reduces a row.
    fn reduction(&self, line: usize) -> Option<(usize, Binary, Name)> {
        match &self.lines[line] {
            Line::Let(number, Expr::OverRow(with, x)) => Some((*number, *with, *x)),
            Line::Let(..) | Line::Store { .. } => None,
        }
    }

    /// The lines that these need, directly or not, and that are not written yet, in order.
    fn needed(&self, lines: &[usize]) -> Vec<usize> {
        let mut found = BTreeSet::new();
        let mut pending: Vec<usize> = lines.iter().flat_map(|&line| &self.needs[line]).copied().collect();
        while let Some(line) = pending.pop() {
            if !self.written.contains(&line) && found.insert(line) {
                pending.extend(&self.needs[line]);
            }
        }
        found.into_iter().collect()
    }

    fn spelled(&self, lines: &[usize]) -> String {
        let lines: Vec<Line> = lines.iter().map(|&line| self.lines[line].clone()).collect();
        self.speller.lines(&lines)
    }

    /// Those of these lines that a lane computes once: all that are for the whole row, and with one element all others.
    fn once(&mut self, lines: &[usize]) -> String {
        let kept = |&line: &usize| !self.of_elements[line] || self.keeps_elements();
        let kept: Vec<usize> = lines.iter().copied().filter(kept).collect();
        let text = self.spelled(&kept);
        self.written.extend(kept);
        text
    }

    /// Statements for each element of a lane: the needed lines that are not written yet, and then `each`.
    fn elements(&mut self, needed: &[usize], each: &str) -> String {
        let once = self.once(needed);
        if self.keeps_elements() {
            return once + each;
        }
        let again: Vec<usize> = needed.iter().copied().filter(|line| !self.written.contains(line)).collect();
        let again = self.spelled(&again);
        let head = format!("for (var {ELEMENT} = lane; {ELEMENT} < {}u; {ELEMENT} += LANES)", self.len);
        format!("{once}    {head} {{\n{again}{each}    }}\n")
    }

    /// A pass that ends in these reductions.
    fn reduce(&mut self, reductions: Vec<usize>) -> String {
        let needed = self.needed(&reductions);
        let found: Vec<(usize, Binary, Name)> = reductions.iter().filter_map(|&line| self.reduction(line)).collect();
        let mut text = String::new();
        let mut each = String::new();
        for (number, with, x) in &found {
            text += &format!("    var t{number} = V({});\n", neutral(*with));
            let sum = binary(*with, &[format!("t{number}"), self.speller.name(*x)]);
            let guard = if self.lanes > self.len { format!("if (lane < {}u) ", self.len) } else { String::new() };
            each += &format!("    {guard}{{ t{number} = {sum}; }}\n");
        }
        text += &self.elements(&needed, &each);
        for (number, with, _) in &found {
            let function = if *with == Binary::Max { "max_of_lanes" } else { "sum_of_lanes" };
            let whole = if self.speller.width == 4 {
                let half = |lanes: [&str; 2]| binary(*with, &lanes.map(|lane| format!("t{number}.{lane}")));
                binary(*with, &[["x", "y"], ["z", "w"]].map(|lanes| format!("({})", half(lanes))))
            } else {
                format!("t{number}")
            };
            text += &format!("    let v{number} = V({function}({whole}, local));\n");
        }
        self.written.extend(reductions);
        text
    }

    /// The last pass.
    fn store_elements(&mut self, stores: &[usize]) -> String {
        if stores.is_empty() {
            return String::new();
        }
        let needed = self.needed(stores);
        let guard = if self.lanes > self.len { format!(" && lane < {}u", self.len) } else { String::new() };
        let each = format!("    if (inside{guard}) {{\n{}    }}\n", self.spelled(stores));
        self.elements(&needed, &each)
    }
}
