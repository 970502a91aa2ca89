//! Einsum: sums of products of one or two values, by letters for their axes.

use super::call::{Call, Done, Value};
use crate::graph::{DotDims, Graph, NodeId};
use crate::text::visible;

pub(super) const OPS: &[&str] = &["Einsum"];

/// A value with a letter for each axis.
struct Lettered {
    id: NodeId,
    letters: Vec<char>,
}

impl Lettered {
    fn axis(&self, letter: char) -> Option<usize> {
        self.letters.iter().position(|&other| other == letter)
    }

    /// Sums over the axes whose letters no one needs.
    fn reduced(self, g: &mut Graph, is_needed: impl Fn(char) -> bool) -> Self {
        let axes: Vec<usize> = (0..self.letters.len()).filter(|&axis| !is_needed(self.letters[axis])).collect();
        let letters = self.letters.into_iter().filter(|&letter| is_needed(letter)).collect();
        Self { id: g.reduce_sum(self.id, &axes), letters }
    }
}

/// The result of such an operator.
pub(super) fn apply(call: &mut Call<'_>) -> Done {
    let equation: String = call.node.text("equation").unwrap_or_default().split_whitespace().collect();
    let fault = || {
        format!("its equation is `{}`; one or two operands with a letter for each axis are read", visible(&equation))
    };
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let result: Vec<char> = match right {
        Some(right) => right.chars().collect(),
        None => {
            // The letters that occur once, in the order of the alphabet.
            let all: Vec<char> = terms.concat();
            let mut once: Vec<char> =
                all.iter().copied().filter(|it| all.iter().filter(|other| *other == it).count() == 1).collect();
            once.sort_unstable();
            once
        }
    };
    let is_distinct = |letters: &[char]| {
        letters.iter().enumerate().all(|(at, it)| it.is_ascii_alphabetic() && !letters[..at].contains(it))
    };
    let is_known = |letter: &char| terms.iter().any(|term| term.contains(letter));
    let is_sound = terms.len() == call.len() && (1..=2).contains(&terms.len());
    if !is_sound || !terms.iter().chain([&result]).all(|letters| is_distinct(letters)) || !result.iter().all(is_known) {
        return Err(fault());
    }
    let mut values = vec![];
    for (at, letters) in terms.into_iter().enumerate() {
        let id = call.input(at)?;
        if call.g.shape(id).len() != letters.len() {
            return Err(fault());
        }
        values.push(Lettered { id, letters });
    }
    let y = match <[Lettered; 2]>::try_from(values) {
        Ok([a, b]) => product(call.g, a, b, &result)?,
        Err(mut one) => one.swap_remove(0).reduced(call.g, |letter| result.contains(&letter)),
    };
    let perm: Vec<usize> = result.iter().filter_map(|&letter| y.axis(letter)).collect();
    Ok(vec![Value::Node(call.g.transpose(y.id, &perm))])
}

/// Σ a·b over the letters that the result lacks.
fn product(g: &mut Graph, a: Lettered, b: Lettered, result: &[char]) -> Result<Lettered, String> {
    for &letter in &a.letters {
        if let (Some(i), Some(j)) = (a.axis(letter), b.axis(letter))
            && g.shape(a.id)[i] != g.shape(b.id)[j]
        {
            return Err(format!("`{letter}` counts {} and {} places", g.shape(a.id)[i], g.shape(b.id)[j]));
        }
    }
    let (of_a, of_b) = (a.letters.clone(), b.letters.clone());
    let a = a.reduced(g, |letter| result.contains(&letter) || of_b.contains(&letter));
    let b = b.reduced(g, |letter| result.contains(&letter) || of_a.contains(&letter));
    let pairs = |keeps: bool| -> Vec<(usize, usize)> {
        let shared = (0..a.letters.len()).filter(|&i| result.contains(&a.letters[i]) == keeps);
        shared.filter_map(|i| Some((i, b.axis(a.letters[i])?))).collect()
    };
    let (batch, contract) = (pairs(true), pairs(false));
    let dims = DotDims {
        lhs_batch: batch.iter().map(|&(i, _)| i).collect(),
        rhs_batch: batch.iter().map(|&(_, j)| j).collect(),
        lhs_contract: contract.iter().map(|&(i, _)| i).collect(),
        rhs_contract: contract.iter().map(|&(_, j)| j).collect(),
    };
    let free = |it: &Lettered, paired: &dyn Fn(usize) -> bool| -> Vec<char> {
        (0..it.letters.len()).filter(|&axis| !paired(axis)).map(|axis| it.letters[axis]).collect()
    };
    let letters = [
        batch.iter().map(|&(i, _)| a.letters[i]).collect(),
        free(&a, &|axis| batch.iter().chain(&contract).any(|&(i, _)| i == axis)),
        free(&b, &|axis| batch.iter().chain(&contract).any(|&(_, j)| j == axis)),
    ]
    .concat();
    Ok(Lettered { id: g.dot_general(a.id, b.id, dims), letters })
}
