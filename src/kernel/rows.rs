//! Rows that a workgroup shares: from the lines of a step to passes over the elements of a row.
//!
//! A reduction needs all elements of its row, so it ends a pass, and what depends on its result waits for the next one. A pass
//! computes only what its own reductions or stores need. Where a lane has several elements, each pass loads and computes
//! them again, since a row may be of any length; where it has one, it keeps them.

use std::collections::BTreeSet;

use super::Emitted;
use super::family::{MAX_GRID, WORKGROUP, kernel};
use super::spell::{Speller, binary, vector};
use crate::graph::Binary;
use crate::plan::{ELEMENT, Expr, Line, Name, Step, lines_in};

const ROWS: &str = include_str!("../../shaders/rows.wgsl");

/// The kernel of `count` rows of `len` elements, or groups of four.
pub(super) fn emit(step: &Step, count: usize, len: usize, body: &[Line]) -> Emitted {
    let lanes = len.next_power_of_two().min(WORKGROUP);
    let groups = count.div_ceil(WORKGROUP / lanes);
    let (x, y) = (groups.min(MAX_GRID), groups.div_ceil(MAX_GRID));
    let constants = format!(
        "alias V = {};\nconst WG: u32 = {WORKGROUP}u;\nconst LANES: u32 = {lanes}u;\nconst GRID_X: u32 = {x}u;\n\
         const COUNT: u32 = {count}u;\n",
        vector(step.width)
    );
    let speller = Speller { width: step.width, root: "result" };
    let body = Passes::new(body, speller, len, lanes).text();
    let hooks = format!("fn body(i: u32, lane: u32, local: u32, inside: bool) {{\n{body}}}\n");
    (kernel(step, step.label.clone(), [ROWS, &constants, &hooks], None), [x as u32, y as u32, 1])
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
    /// The lines that are written already, and known to all that follow.
    written: BTreeSet<usize>,
}

impl<'a> Passes<'a> {
    fn new(lines: &'a [Line], speller: Speller, len: usize, lanes: usize) -> Self {
        let mut line_of = vec![];
        let (mut needs, mut pass, mut of_elements) = (vec![], vec![], vec![]);
        for (at, line) in lines.iter().enumerate() {
            let (values, indices) = line.operands();
            let named = values.iter().filter_map(|name| match name {
                Name::Value(number) => Some(*number),
                Name::Root => None,
            });
            let numbers = named.chain(indices.iter().flat_map(|idx| lines_in(idx)));
            let needed: Vec<usize> = numbers.map(|number: usize| line_of[number]).collect();
            let after = needed.iter().map(|&line| pass[line]).max().unwrap_or(0);
            let is_reduction = matches!(line, Line::Let(_, Expr::OverRow(..)));
            let in_elements =
                indices.iter().any(|idx| idx.mentions(ELEMENT)) || needed.iter().any(|&line| of_elements[line]);
            pass.push(after + usize::from(is_reduction));
            of_elements.push(in_elements && !is_reduction);
            needs.push(needed);
            if let Line::Let(number, _) = line {
                line_of.resize(*number + 1, at);
                line_of[*number] = at;
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
        if self.lanes >= self.len {
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

    fn reduction(&self, line: usize) -> Option<(usize, Binary, Name)> {
        match &self.lines[line] {
            Line::Let(number, Expr::OverRow(with, x)) => Some((*number, *with, *x)),
            Line::Let(..) | Line::Store { .. } => None,
        }
    }

    /// All that these lines need and that is not written yet, in order, without themselves.
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

    /// Those of these lines that are for a row, and those for its elements where a lane has one of them.
    fn once(&mut self, lines: &[usize]) -> String {
        let kept = |&line: &usize| !self.of_elements[line] || self.lanes >= self.len;
        let kept: Vec<usize> = lines.iter().copied().filter(kept).collect();
        let text = self.spelled(&kept);
        self.written.extend(kept);
        text
    }

    /// Statements for each element of a lane: what is needed that is not written yet, and then `each`.
    fn elements(&mut self, needed: &[usize], each: &str) -> String {
        let mut text = self.once(needed);
        let again: Vec<usize> = needed.iter().copied().filter(|line| !self.written.contains(line)).collect();
        let again = self.spelled(&again);
        text += &if self.lanes >= self.len {
            each.to_owned()
        } else {
            format!(
                "    for (var {ELEMENT} = lane; {ELEMENT} < {}u; {ELEMENT} += LANES) {{\n{again}{each}    }}\n",
                self.len
            )
        };
        text
    }

    /// A pass that ends in these reductions.
    fn reduce(&mut self, reductions: Vec<usize>) -> String {
        let needed = self.needed(&reductions);
        let found: Vec<(usize, Binary, Name)> = reductions.iter().filter_map(|&line| self.reduction(line)).collect();
        let mut text = String::new();
        let mut each = String::new();
        for (number, with, x) in &found {
            let neutral = if *with == Binary::Max { "-3.4028234e38" } else { "0.0" };
            text += &format!("    var t{number} = V({neutral});\n");
            let sum = binary(*with, &[format!("t{number}"), self.speller.name(*x)]);
            let guard = if self.lanes > self.len { format!("if (lane < {}u) ", self.len) } else { String::new() };
            each += &format!("    {guard}{{ t{number} = {sum}; }}\n");
        }
        text += &self.elements(&needed, &each);
        for (number, with, _) in &found {
            let halves = |lanes: [&str; 2]| binary(*with, &lanes.map(|lane| format!("t{number}.{lane}")));
            let (function, whole) = match (with, self.speller.width) {
                (Binary::Max, 4) => ("max_of_lanes", format!("max({}, {})", halves(["x", "y"]), halves(["z", "w"]))),
                (Binary::Max, _) => ("max_of_lanes", format!("t{number}")),
                (_, 4) => ("sum_of_lanes", format!("({}) + ({})", halves(["x", "y"]), halves(["z", "w"]))),
                (_, _) => ("sum_of_lanes", format!("t{number}")),
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
