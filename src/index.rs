//! Symbolic index arithmetic: where in a buffer an element lies, as a function of loop variables.
//!
//! Reshapes, transposes, slices and broadcasts never move data; they rewrite indices. An [`Idx`] is an affine form over
//! atoms (a variable, or a quotient or remainder of another form), kept simple by three rules: exact division where
//! bounds allow it, common factors taken out of quotients and remainders, and `s·(x/s) + x%s = x`. The last one makes a
//! chain of reshapes that ends where it began cost nothing, and the affine form shows which loads are contiguous.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::graph::{Graph, NodeId, Op};

/// What an affine form is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// A variable with values in `0 .. extent`.
    Var {
        /// Its name.
        name: Rc<str>,
        /// Number of its values.
        extent: u64,
    },
    /// Quotient by a constant.
    Div(Box<Idx>, u64),
    /// Remainder by a constant.
    Mod(Box<Idx>, u64),
}

/// A non-negative index: constant plus coefficients times atoms. See the module text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Idx {
    constant: u64,
    terms: BTreeMap<Atom, u64>,
}

/// Name of the variable that counts four neighbours that are handled as one, the lanes.
const LANE: &str = "lane";

impl Idx {
    /// A constant index.
    pub fn constant(constant: u64) -> Self {
        Self { constant, terms: BTreeMap::new() }
    }

    /// A variable with values in `0 .. extent`; an extent of at most 1 is the constant 0.
    pub fn var(name: &str, extent: usize) -> Self {
        if extent <= 1 {
            return Self::constant(0);
        }
        Self::atom(Atom::Var { name: name.into(), extent: extent as u64 })
    }

    /// 4·quad + lane: an index whose four consecutive values are handled as one; `extent` counts the quads.
    pub fn quad(name: &str, extent: usize) -> Self {
        Self::var(name, extent).times(4).plus(&Self::var(LANE, 4))
    }

    /// The four consecutive values from a constant on, handled as one.
    pub fn quad_from(first: usize) -> Self {
        Self::var(LANE, 4).plus(&Self::constant(first as u64))
    }

    fn atom(atom: Atom) -> Self {
        Self { constant: 0, terms: BTreeMap::from([(atom, 1)]) }
    }

    /// Largest value the index can take.
    pub fn upper(&self) -> u64 {
        self.constant + self.terms.iter().map(|(atom, c)| c * atom.upper()).sum::<u64>()
    }

    /// The index times a constant.
    pub fn times(&self, factor: u64) -> Self {
        if factor == 0 {
            return Self::constant(0);
        }
        let terms = self.terms.iter().map(|(a, c)| (a.clone(), c * factor)).collect();
        Self { constant: self.constant * factor, terms }
    }

    /// Sum of two indices.
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        sum.constant += other.constant;
        for (atom, c) in &other.terms {
            *sum.terms.entry(atom.clone()).or_insert(0) += c;
        }
        sum.recombine()
    }

    /// Applies s·(x/s) + x%s = x wherever it occurs.
    fn recombine(self) -> Self {
        for (atom, &c) in &self.terms {
            let Atom::Mod(x, s) = atom else { continue };
            let quotient = x.div(*s);
            let ratio = quotient.terms.iter().next().and_then(|(a, &q)| Some(self.terms.get(a)? / q));
            if ratio != Some(c * s) {
                continue;
            }
            let scaled = quotient.times(c * s);
            let contained = scaled.constant <= self.constant
                && scaled.terms.iter().all(|(a, q)| self.terms.get(a).is_some_and(|have| have >= q));
            if contained {
                let mut rest = self.clone();
                rest.terms.remove(atom);
                rest.constant -= scaled.constant;
                for (a, q) in &scaled.terms {
                    if let Some(have) = rest.terms.get_mut(a) {
                        *have -= q;
                    }
                }
                rest.terms.retain(|_, c| *c > 0);
                return rest.plus(&x.times(c));
            }
        }
        self
    }

    /// Splits into s·quotient + remainder by coefficients; the remainder keeps what s does not divide.
    fn split(&self, s: u64) -> (Self, Self) {
        let (mut quotient, mut remainder) = (Self::constant(self.constant / s), Self::constant(self.constant % s));
        for (atom, &c) in &self.terms {
            let (part, c) = if c % s == 0 { (&mut quotient, c / s) } else { (&mut remainder, c) };
            part.terms.insert(atom.clone(), c);
        }
        (quotient, remainder)
    }

    /// The common factor of s and of all coefficients but the lane's, if what it leaves over stays below it.
    fn common_factor(&self, s: u64) -> Option<u64> {
        let lane = |a: &Atom| matches!(a, Atom::Var { name, .. } if &**name == LANE);
        let g = self.terms.iter().filter(|(a, _)| !lane(a)).fold(s, |g, (_, &c)| gcd(g, c));
        let (_, rest) = self.split(g);
        (g > 1 && rest.upper() < g).then_some(g)
    }

    /// Quotient by a positive constant.
    pub fn div(&self, s: u64) -> Self {
        let (quotient, rest) = self.split(s);
        if rest.upper() < s {
            return quotient;
        }
        if let Some(g) = rest.common_factor(s) {
            let inner = rest.split(g).0;
            return quotient.plus(&if s == g { inner } else { inner.div(s / g) });
        }
        quotient.plus(&Self::atom(Atom::Div(Box::new(rest), s)))
    }

    /// Remainder by a positive constant.
    pub fn rem(&self, s: u64) -> Self {
        let (_, rest) = self.split(s);
        if rest.upper() < s {
            return rest;
        }
        if let Some(g) = rest.common_factor(s) {
            let (inner, low) = rest.split(g);
            return inner.rem(s / g).times(g).plus(&low);
        }
        Self::atom(Atom::Mod(Box::new(rest), s))
    }

    /// Index into the row-major buffer of a tensor of this shape.
    pub fn flatten(index: &[Self], shape: &[usize]) -> Self {
        let zero = Self::constant(0);
        index.iter().zip(shape).fold(zero, |flat, (i, &n)| flat.times(n as u64).plus(i))
    }

    /// The multi-index of a flat index into a tensor of this shape.
    pub fn unflatten(&self, shape: &[usize]) -> Vec<Self> {
        let mut index = vec![Self::constant(0); shape.len()];
        if shape.contains(&0) {
            // There are no elements to find.
            return index;
        }
        let mut flat = self.clone();
        for (axis, &n) in shape.iter().enumerate().rev() {
            if shape[..axis].iter().all(|&d| d == 1) {
                index[axis] = flat;
                break;
            }
            index[axis] = flat.rem(n as u64);
            flat = flat.div(n as u64);
        }
        index
    }

    /// Distance in the buffer from one value of variable `name` to the next; `None` when it is not constant.
    pub fn stride(&self, name: &str) -> Option<u64> {
        let mut stride = 0;
        for (atom, &c) in &self.terms {
            match atom {
                Atom::Var { name: n, .. } if &**n == name => stride = c,
                Atom::Var { .. } => {}
                Atom::Div(x, _) | Atom::Mod(x, _) if x.mentions(name) => return None,
                Atom::Div(..) | Atom::Mod(..) => {}
            }
        }
        Some(stride)
    }

    /// Whether it depends on variable `name`.
    pub fn mentions(&self, name: &str) -> bool {
        self.terms.keys().any(|atom| match atom {
            Atom::Var { name: n, .. } => &**n == name,
            Atom::Div(x, _) | Atom::Mod(x, _) => x.mentions(name),
        })
    }

    /// Distance in the buffer between neighbouring lanes; `None` when it is not constant.
    pub fn lane_stride(&self) -> Option<u64> {
        self.stride(LANE)
    }

    /// The index divided by 4 when the four lanes are four elements of the buffer side by side, from a multiple of 4
    /// on.
    pub fn aligned_quad(&self) -> Option<Self> {
        if self.lane_stride() != Some(1) {
            return None;
        }
        let base = self.with_lane(0);
        let (quotient, rest) = base.split(4);
        (rest == Self::constant(0)).then_some(quotient)
    }

    /// The index for one lane.
    pub fn with_lane(&self, lane: u64) -> Self {
        self.with(LANE, &Self::constant(lane))
    }

    /// The index with another one in the place of variable `name`.
    pub fn with(&self, name: &str, value: &Self) -> Self {
        let mut result = Self::constant(self.constant);
        for (atom, &c) in &self.terms {
            let part = match atom {
                Atom::Var { name: n, .. } if &**n == name => value.clone(),
                Atom::Var { .. } => Self::atom(atom.clone()),
                Atom::Div(x, s) => x.with(name, value).div(*s),
                Atom::Mod(x, s) => x.with(name, value).rem(*s),
            };
            result = result.plus(&part.times(c));
        }
        result
    }

    /// What is added up: atoms with their coefficients, and a constant.
    pub fn terms(&self) -> (impl Iterator<Item = (&Atom, u64)>, u64) {
        (self.terms.iter().map(|(atom, &c)| (atom, c)), self.constant)
    }
}

impl Atom {
    fn upper(&self) -> u64 {
        match self {
            Atom::Var { extent, .. } => extent - 1,
            Atom::Div(x, s) => x.upper() / s,
            Atom::Mod(x, s) => x.upper().min(s - 1),
        }
    }
}

/// If `id` only moves data, the operand that it moves and the operand's index of the element at `index`.
///
/// Padding is not among these: it adds values, not only places.
pub fn pull_back(graph: &Graph, id: NodeId, index: &[Idx]) -> Option<(NodeId, Vec<Idx>)> {
    let node = graph.node(id);
    let &operand = node.inputs.first()?;
    let from = graph.shape(operand);
    let index = match &node.op {
        Op::BroadcastInDim { dims, .. } => {
            let axis = |(i, &d): (usize, &usize)| if from[i] == 1 { Idx::constant(0) } else { index[d].clone() };
            dims.iter().enumerate().map(axis).collect()
        }
        Op::Reshape { shape } => Idx::flatten(index, shape).unflatten(from),
        Op::Transpose { perm } => {
            let mut source = vec![Idx::constant(0); perm.len()];
            for (axis, &p) in perm.iter().enumerate() {
                source[p] = index[axis].clone();
            }
            source
        }
        Op::Slice { start, .. } => index.iter().zip(start).map(|(i, &s)| i.plus(&Idx::constant(s as u64))).collect(),
        Op::Input(_) | Op::Constant(_) | Op::Iota { .. } | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) => {
            return None;
        }
        Op::Select | Op::ToF32 | Op::Pad { .. } => return None,
        Op::ReduceSum { .. } | Op::ReduceMax { .. } | Op::DotGeneral(_) | Op::Conv { .. } => return None,
    };
    Some((operand, index))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value of an index when its variables have these values.
    fn value(idx: &Idx, vars: &[(&str, u64)]) -> u64 {
        let atom = |a: &Atom| match a {
            Atom::Var { name, .. } => vars.iter().find(|(n, _)| *n == &**name).expect("given").1,
            Atom::Div(x, s) => value(x, vars) / s,
            Atom::Mod(x, s) => value(x, vars) % s,
        };
        idx.constant + idx.terms.iter().map(|(a, c)| c * atom(a)).sum::<u64>()
    }

    #[test]
    fn reshape_chains_recombine() {
        let i = Idx::var("i", 2 * 3 * 4 * 5);
        let there = i.unflatten(&[2, 3, 4, 5]);
        assert_eq!(Idx::flatten(&there, &[2, 3, 4, 5]), i);
        let other = Idx::flatten(&there, &[2, 3, 4, 5]).unflatten(&[6, 20]);
        assert_eq!(Idx::flatten(&other, &[6, 20]), i);
        let quad = Idx::quad("q", 30);
        let there = quad.unflatten(&[2, 3, 4, 5]);
        let rows = quad.unflatten(&[30, 4]);
        assert_eq!(Idx::flatten(&there, &[2, 3, 4, 5]), quad);
        assert_eq!(rows[1], Idx::var(LANE, 4));
        assert!(Idx::flatten(&rows, &[30, 4]).aligned_quad().is_some());
    }

    #[test]
    fn arithmetic_agrees_with_integers() {
        for shape in [vec![3, 4], vec![2, 6], vec![12], vec![2, 2, 3], vec![1, 12, 1], vec![4, 1, 3]] {
            for other in [vec![3, 4], vec![4, 3], vec![6, 2], vec![3, 2, 2]] {
                let reversed: Vec<usize> = other.iter().rev().copied().collect();
                let i = Idx::var("i", 12);
                let mut index = Idx::flatten(&i.unflatten(&shape), &shape).unflatten(&other);
                index.reverse();
                let flat = Idx::flatten(&index, &reversed);
                for v in 0..12u64 {
                    let (mut rest, mut digits) = (v, vec![]);
                    for &n in other.iter().rev() {
                        digits.push(rest % n as u64);
                        rest /= n as u64;
                    }
                    let expected = digits.iter().zip(&reversed).fold(0, |acc, (d, &n)| acc * n as u64 + d);
                    assert_eq!(value(&flat, &[("i", v)]), expected, "{shape:?} {other:?} {v}");
                }
            }
        }
    }

    #[test]
    fn lanes_agree_with_integers() {
        for shape in [vec![6, 8], vec![4, 12], vec![3, 4, 4], vec![16, 3], vec![48]] {
            let quad = Idx::quad("q", 12);
            let mut index = quad.unflatten(&shape);
            index.reverse();
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            let flat = Idx::flatten(&index, &reversed);
            for q in 0..12 {
                for lane in 0..4 {
                    let whole = value(&flat, &[("q", q), (LANE, lane)]);
                    assert_eq!(value(&flat.with_lane(lane), &[("q", q)]), whole);
                    let (mut rest, mut digits) = (4 * q + lane, vec![]);
                    for &n in shape.iter().rev() {
                        digits.push(rest % n as u64);
                        rest /= n as u64;
                    }
                    let expected = digits.iter().zip(&reversed).fold(0, |acc, (d, &n)| acc * n as u64 + d);
                    assert_eq!(whole, expected, "{shape:?}");
                }
            }
        }
    }
}
