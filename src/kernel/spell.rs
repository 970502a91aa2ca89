//! Code of a step, line by line, in WGSL.

use std::fmt::Write as _;

use crate::graph::{Binary, Compare, DType, Unary};
use crate::index::{Atom, Idx};
use crate::plan::{Access, Address, Body, Expr, Line, Name, Step, Test, View};

/// How the lines of a function are spelled.
#[derive(Clone, Copy)]
pub(super) struct Speller {
    /// Elements handled at once: 1 or 4.
    pub width: usize,
    /// Name of what the family's loop has computed.
    pub root: &'static str,
}

impl Speller {
    /// Statements, one a line.
    pub fn lines(self, lines: &[Line]) -> String {
        let mut text = String::new();
        for line in lines {
            match line {
                Line::Let(number, expr) => {
                    let _ = writeln!(text, "    let v{number} = {};", self.expr(expr));
                }
                Line::Store { binding, at, value, dtype, accumulate } => {
                    for (at, lane) in places(at) {
                        let value = match dtype {
                            DType::Bool => format!("select(0u, 1u, {}{lane})", self.name(*value)),
                            DType::F32 | DType::U32 => format!("{}{lane}", self.name(*value)),
                        };
                        let sum = if *accumulate { format!("b{binding}[{at}] + ") } else { String::new() };
                        let _ = writeln!(text, "    b{binding}[{at}] = {sum}{value};");
                    }
                }
            }
        }
        text
    }

    /// Statements that end with a value.
    pub fn returning(self, body: &Body) -> String {
        format!("{}    return {};\n", self.lines(&body.lines), self.name(body.value))
    }

    /// A value.
    pub fn name(self, name: Name) -> String {
        match name {
            Name::Value(number) => format!("v{number}"),
            Name::Root => self.root.to_owned(),
        }
    }

    fn names<const N: usize>(self, names: [Name; N]) -> [String; N] {
        names.map(|name| self.name(name))
    }

    fn expr(self, expr: &Expr) -> String {
        let v = vector(self.width);
        match expr {
            Expr::Load { binding, at, dtype } => load(*binding, at, *dtype),
            Expr::Constant(value) => format!("{v}({})", literal(*value as f32)),
            Expr::Zero => format!("{v}(0.0)"),
            Expr::Position(at) if self.width == 1 => index(at),
            Expr::Position(at) => {
                let lanes = [0, 1, 2, 3].map(|lane| index(&at.with_lane(lane)));
                format!("vec4<u32>({})", lanes.join(", "))
            }
            Expr::Unary(f, x) => unary(*f, &self.name(*x), v),
            Expr::Binary(f, operands) => binary(*f, &self.names(*operands)),
            Expr::Compare(f, dtype, operands) => {
                let [x, y] = self.names(*operands);
                match f {
                    // WGSL orders no truth values.
                    Compare::Gt if *dtype == DType::Bool => format!("({x} & !{y})"),
                    Compare::Ge if *dtype == DType::Bool => format!("({x} | !{y})"),
                    Compare::Gt => format!("({x} > {y})"),
                    Compare::Ge => format!("({x} >= {y})"),
                    Compare::Eq => format!("({x} == {y})"),
                }
            }
            Expr::Select(operands) => {
                let [mask, on_true, on_false] = self.names(*operands);
                format!("select({on_false}, {on_true}, {mask})")
            }
            Expr::ToF32(DType::Bool, x) => format!("select({v}(0.0), {v}(1.0), {})", self.name(*x)),
            Expr::ToF32(DType::U32 | DType::F32, x) => format!("{v}({})", self.name(*x)),
            Expr::Masked(value, inside) => {
                let tests: Vec<String> = inside.iter().map(|test| self.test(*test)).collect();
                format!("select({v}(0.0), {}, {})", self.name(*value), tests.join(" && "))
            }
            Expr::Difference { from, plus, minus } => {
                let plus = plus.map_or(String::new(), |plus| format!(" + {plus}u"));
                format!("{}{plus} - {}", index(from), index(minus))
            }
            Expr::Quotient(value, by) => format!("{} / {by}u", self.name(*value)),
            Expr::AtMost(value, most) => format!("min({}, {most}u)", self.name(*value)),
            Expr::Half(f, value, half) => {
                let lanes = [["x", "y"], ["z", "w"]][*half];
                binary(*f, &lanes.map(|lane| format!("{}.{lane}", self.name(*value))))
            }
            Expr::Spread(f, operands) => format!("vec4<f32>({})", binary(*f, &self.names(*operands))),
            Expr::OverRow(..) => unreachable!("`rows` spells reductions of rows"),
        }
    }

    fn test(self, test: Test) -> String {
        match test {
            Test::Below(value, extent) => format!("({} < {extent}u)", self.name(value)),
            Test::Divides(value, by) => format!("({} % {by}u == 0u)", self.name(value)),
        }
    }
}

/// The type of so many numbers.
pub(super) fn vector(width: usize) -> &'static str {
    if width == 4 { "vec4<f32>" } else { "f32" }
}

/// The value that a reduction with `f` starts from: 0, or the least finite number.
pub(super) fn neutral(f: Binary) -> &'static str {
    if f == Binary::Max { "-3.4028234e38" } else { "0.0" }
}

/// f(a, b)
pub(super) fn binary(f: Binary, [x, y]: &[String; 2]) -> String {
    match f {
        Binary::Add => format!("{x} + {y}"),
        Binary::Sub => format!("{x} - {y}"),
        Binary::Mul => format!("{x} * {y}"),
        Binary::Div => format!("{x} / {y}"),
        Binary::Max => format!("max({x}, {y})"),
    }
}

fn unary(f: Unary, x: &str, v: &str) -> String {
    match f {
        Unary::Neg => format!("-{x}"),
        Unary::Exp => format!("ew_exp({x})"),
        Unary::Expm1 => format!("ew_expm1({x})"),
        Unary::Log => format!("log({x})"),
        Unary::Sqrt => format!("sqrt({x})"),
        Unary::Rsqrt => format!("({v}(1.0) / sqrt({x}))"),
        Unary::Tanh => format!("ew_tanh({x})"),
        Unary::Logistic => format!("ew_logistic({x})"),
        Unary::Softplus => format!("ew_softplus({x})"),
        Unary::Erf => format!("ew_erf({x})"),
        Unary::StopGradient => x.to_owned(),
    }
}

fn load(binding: usize, at: &Address, dtype: DType) -> String {
    let vector = if dtype == DType::F32 { "vec4<f32>" } else { "vec4<u32>" };
    let element = |at: &Idx| format!("b{binding}[{}]", index(at));
    let (value, zero) = match at {
        Address::One(at) => (element(at), "u32(0u)"),
        Address::Quad(at) => (element(at), "vec4<u32>(0u)"),
        Address::Same(at) => (format!("{vector}({})", element(at)), "vec4<u32>(0u)"),
        Address::Each(lanes) => (format!("{vector}({})", lanes.each_ref().map(element).join(", ")), "vec4<u32>(0u)"),
    };
    if dtype == DType::Bool { format!("({value} != {zero})") } else { value }
}

/// Indices of the elements that are stored, each with what takes its lane of the value.
fn places(at: &Address) -> Vec<(String, String)> {
    match at {
        Address::One(at) | Address::Quad(at) => vec![(index(at), String::new())],
        // One value for all four.
        Address::Same(at) => vec![(index(at), "[0]".to_owned())],
        Address::Each(lanes) => lanes.iter().enumerate().map(|(l, at)| (index(at), format!("[{l}]"))).collect(),
    }
}

/// An index as a `u32`.
fn index(idx: &Idx) -> String {
    let (terms, constant) = idx.terms();
    let mut parts: Vec<String> = terms.map(|(atom, c)| self::atom(atom, c)).collect();
    if constant > 0 || parts.is_empty() {
        parts.push(format!("{constant}u"));
    }
    if parts.len() == 1 { parts.remove(0) } else { format!("({})", parts.join(" + ")) }
}

fn atom(atom: &Atom, coefficient: u64) -> String {
    let atom = match atom {
        Atom::Var { name, .. } => match name.strip_prefix("offset").and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => format!("offsets[{}].{}", number / 4, ["x", "y", "z", "w"][number % 4]),
            None => name.to_string(),
        },
        Atom::Div(x, s) => format!("({} / {s}u)", index(x)),
        Atom::Mod(x, s) => format!("({} % {s}u)", index(x)),
    };
    if coefficient == 1 { atom } else { format!("{coefficient}u * {atom}") }
}

/// An f32 as a WGSL literal that reads back exactly.
fn literal(value: f32) -> String {
    if value != 0.0 && !value.is_normal() {
        return format!("bitcast<f32>({}u)", value.to_bits());
    }
    format!("{value:?}f")
}

/// Declarations of a step's bindings.
pub(super) fn declarations(step: &Step) -> String {
    let mut text = String::new();
    for (i, binding) in step.bindings.iter().enumerate() {
        let access = match binding.access {
            Access::Read => "read",
            Access::Write | Access::ReadWrite => "read_write",
        };
        let element = match binding.view {
            View::Floats => "f32",
            View::Quads => "vec4<f32>",
            View::Words => "u32",
        };
        let _ = writeln!(text, "@group(0) @binding({i}) var<storage, {access}> b{i}: array<{element}>;");
    }
    if !step.offsets.is_empty() {
        let (at, len) = (step.bindings.len(), step.offsets.len().div_ceil(4));
        let _ = writeln!(text, "@group(0) @binding({at}) var<uniform> offsets: array<vec4<u32>, {len}>;");
    }
    text
}
