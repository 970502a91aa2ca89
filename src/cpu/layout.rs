//! Where in a buffer the elements of a block lie.
//!
//! A step computes elements that are counted by one variable, `q`. Most indices are a sum of strides times the digits
//! of q in some mixed radix: the digits are the axes that q counts, as far as they are apart in memory. Of these, runs
//! of equal stride are copied without computing an index for each element.

use crate::index::{Atom, Idx};

/// Name of the variable that counts the elements.
pub(super) const Q: &str = "q";
/// Places of the variables that are constant in a block: the batch of a product, the term of a reduction, and from here
/// on the offsets of the step.
pub(super) const BATCH: usize = 0;
pub(super) const TERM: usize = 1;
const OFFSETS: usize = 2;

/// An index of variables that are constant in a block.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    constant: u64,
    terms: Vec<(u64, Part)>,
}

#[derive(Clone, Debug)]
enum Part {
    Variable(usize),
    Div(Scalar, u64),
    Mod(Scalar, u64),
}

/// Values of these variables.
pub(super) fn environment(offsets: &[u32]) -> Vec<u64> {
    [0; OFFSETS].into_iter().chain(offsets.iter().map(|&offset| offset.into())).collect()
}

impl Scalar {
    /// Nothing if the index has other variables.
    pub fn new(idx: &Idx) -> Option<Self> {
        let (terms, constant) = idx.terms();
        let part = |atom: &Atom| match atom {
            Atom::Var { name, .. } => match &**name {
                "b" => Some(Part::Variable(BATCH)),
                "r" => Some(Part::Variable(TERM)),
                name => Some(Part::Variable(OFFSETS + name.strip_prefix("offset")?.parse::<usize>().ok()?)),
            },
            Atom::Div(x, s) => Some(Part::Div(Self::new(x)?, *s)),
            Atom::Mod(x, s) => Some(Part::Mod(Self::new(x)?, *s)),
        };
        let terms = terms.map(|(atom, c)| Some((c, part(atom)?))).collect::<Option<_>>()?;
        Some(Self { constant, terms })
    }

    pub fn value(&self, environment: &[u64]) -> u64 {
        let part = |part: &Part| match part {
            Part::Variable(at) => environment[*at],
            Part::Div(x, s) => x.value(environment) / s,
            Part::Mod(x, s) => x.value(environment) % s,
        };
        self.constant + self.terms.iter().map(|(c, p)| c * part(p)).sum::<u64>()
    }
}

/// Most digits of an index whose runs are found; one with more is computed for each element.
const MOST_DIGITS: usize = 8;

/// One digit of q.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digit {
    /// Number of its values; of the last one any.
    pub radix: usize,
    /// Elements of the buffer from one to the next.
    pub stride: usize,
}

/// base + Σ digit · stride; see the module text.
#[derive(Clone, Debug)]
pub(super) struct Strides {
    pub base: Scalar,
    /// At least one, that which changes first in front.
    pub digits: Vec<Digit>,
}

impl Strides {
    /// Of an index in q, which has so many values; nothing if it is none of these sums.
    pub fn new(idx: &Idx, count: usize) -> Option<Self> {
        let mut cuts = vec![];
        cuts_of(idx, &mut cuts);
        cuts.retain(|&cut| cut > 1 && cut < count as u64);
        cuts.sort_unstable();
        cuts.dedup();
        if cuts.windows(2).any(|pair| pair[1] % pair[0] != 0) {
            return None;
        }
        // The values of a digit, and what it is worth in q.
        let worths: Vec<u64> = [1].into_iter().chain(cuts.iter().copied()).collect();
        let ends = cuts.iter().copied().chain([(count as u64).max(1).next_multiple_of(*worths.last()?)]);
        let radices: Vec<u64> = worths.iter().zip(ends).map(|(worth, end)| end / worth).collect();
        let name = |digit: usize| format!("d{digit}");
        let digits = radices.iter().zip(&worths).enumerate();
        let sum = digits.map(|(d, (&radix, &worth))| Idx::var(&name(d), radix as usize).times(worth));
        let sum = sum.fold(Idx::constant(0), |sum, digit| sum.plus(&digit));
        let mut base = idx.with(Q, &sum);
        let mut digits: Vec<Digit> = vec![];
        for (d, &radix) in radices.iter().enumerate() {
            let stride = base.stride(&name(d))? as usize;
            base = base.with(&name(d), &Idx::constant(0));
            match digits.last_mut() {
                // The same as one longer digit.
                Some(last) if last.radix * last.stride == stride => last.radix *= radix as usize,
                _ => digits.push(Digit { radix: radix as usize, stride }),
            }
        }
        let base = Scalar::new(&base)?;
        (digits.len() <= MOST_DIGITS).then_some(Self { base, digits })
    }

    /// The only stride, if there is one.
    pub fn single(&self) -> Option<usize> {
        match self.digits[..] {
            [Digit { stride, .. }] => Some(stride),
            _ => None,
        }
    }

    /// The number of elements after which the same ones come again, if they do.
    pub fn period(&self) -> Option<usize> {
        match self.digits[..] {
            [Digit { radix, .. }, Digit { stride: 0, .. }] => Some(radix),
            _ => None,
        }
    }

    /// The elements `first .. first + len`: places in the block, and the runs that lie there side by side.
    #[inline(always)]
    pub fn runs(&self, environment: &[u64], first: usize, len: usize) -> Walk<'_> {
        let base = self.base.value(environment) as usize;
        let (lowest, higher) = (self.digits[0], &self.digits[1..]);
        let (mut values, mut left, mut at) = ([0; MOST_DIGITS], first / lowest.radix, base);
        for (value, digit) in values.iter_mut().zip(higher) {
            *value = left % digit.radix;
            left /= digit.radix;
            at += *value * digit.stride;
        }
        Walk { lowest, higher, values, at, digit: first % lowest.radix, done: 0, len }
    }
}

/// See [`Strides::runs`].
pub(super) struct Walk<'a> {
    lowest: Digit,
    higher: &'a [Digit],
    /// The higher digits, counted up from run to run, and where they lead.
    values: [usize; MOST_DIGITS],
    at: usize,
    /// The lowest digit.
    digit: usize,
    done: usize,
    len: usize,
}

impl Iterator for Walk<'_> {
    type Item = (usize, Runs);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, Runs)> {
        if self.done >= self.len {
            return None;
        }
        let (place, left, Digit { radix, stride }) = (self.done, self.len - self.done, self.lowest);
        let Some(second) = self.higher.first() else {
            self.done = self.len;
            return Some((place, Runs::line(self.at + self.digit * stride, stride, left)));
        };
        // Whole runs as far as the second digit goes, or a part of one.
        let whole = if self.digit > 0 { 0 } else { (second.radix - self.values[0]).min(left / radix) };
        let len = if whole > 0 { radix } else { (radix - self.digit).min(left) };
        let count = whole.max(1);
        let runs = Runs { at: self.at + self.digit * stride, stride, len, step: second.stride, count };
        (self.digit, self.done) = (0, self.done + len * count);
        self.values[0] += count;
        self.at += second.stride * count;
        for (digit, here) in self.higher.iter().enumerate() {
            if self.values[digit] < here.radix {
                break;
            }
            self.at -= self.values[digit] * here.stride;
            self.values[digit] = 0;
            if let Some(next) = self.higher.get(digit + 1) {
                self.values[digit + 1] += 1;
                self.at += next.stride;
            }
        }
        Some((place, runs))
    }
}

/// Elements of a buffer: runs of equal length at equal distances, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    /// The first element.
    pub at: usize,
    /// From one element to the next.
    pub stride: usize,
    /// Elements of a run.
    pub len: usize,
    /// From the first element of a run to that of the next.
    pub step: usize,
    /// Number of runs.
    pub count: usize,
}

impl Runs {
    /// One run.
    pub fn line(at: usize, stride: usize, len: usize) -> Self {
        Self { at, stride, len, step: 0, count: 1 }
    }

    /// One element.
    pub fn one(at: usize) -> Self {
        Self::line(at, 0, 1)
    }

    /// The last element.
    pub fn last(&self) -> usize {
        self.at + self.step * self.count.saturating_sub(1) + self.stride * self.len.saturating_sub(1)
    }
}

/// Values of q between changes of a quotient or remainder in an index, as far as they are the same everywhere.
fn cuts_of(idx: &Idx, cuts: &mut Vec<u64>) {
    for (atom, _) in idx.terms().0 {
        let (Atom::Div(x, s) | Atom::Mod(x, s)) = atom else { continue };
        cuts_of(x, cuts);
        for (inner, c) in x.terms().0 {
            if let Some(unit) = unit(inner)
                && s % c == 0
            {
                cuts.push(unit.saturating_mul(s / c));
            }
        }
    }
}

/// How far q goes from one value of an atom to the next, if it depends on q in this way.
fn unit(atom: &Atom) -> Option<u64> {
    match atom {
        Atom::Var { name, .. } => (&**name == Q).then_some(1),
        Atom::Div(x, s) => {
            let units = x.terms().0.filter_map(|(inner, c)| Some(unit(inner)?.saturating_mul(s.checked_div(c)?)));
            units.min()
        }
        Atom::Mod(x, _) => x.terms().0.filter_map(|(inner, _)| unit(inner)).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place that [`Strides`] gives against the index itself, with q as the batch.
    fn check(idx: &Idx, count: usize) -> usize {
        let Some(strides) = Strides::new(idx, count) else { return 0 };
        let direct = Scalar::new(&idx.with(Q, &Idx::var("b", count))).expect("q alone");
        for (first, len) in [(0, count), (count / 3, count - count / 3), (count / 2, 1)] {
            let mut found = vec![u64::MAX; len];
            for (place, runs) in strides.runs(&environment(&[]), first, len) {
                let all = (0..runs.count).flat_map(|run| (0..runs.len).map(move |i| (run, i)));
                for (found, (run, i)) in found[place..].iter_mut().zip(all) {
                    *found = (runs.at + run * runs.step + i * runs.stride) as u64;
                }
            }
            let expected = (first..first + len).map(|q| direct.value(&[q as u64, 0]));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{idx:?} of {count}");
        }
        strides.digits.len()
    }

    #[test]
    fn digits_lie_where_the_index_says() {
        let q = Idx::var(Q, 120);
        let turned = |shape: &[usize], perm: &[usize]| {
            let index = q.unflatten(shape);
            let index: Vec<Idx> = perm.iter().map(|&p| index[p].clone()).collect();
            let shape: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
            Idx::flatten(&index, &shape)
        };
        assert_eq!(check(&q, 120), 1);
        assert_eq!(check(&q.times(7).plus(&Idx::constant(3)), 120), 1);
        assert_eq!(check(&turned(&[10, 12], &[1, 0]), 120), 2);
        assert_eq!(check(&turned(&[2, 3, 4, 5], &[2, 0, 3, 1]), 120), 4);
        assert_eq!(check(&turned(&[2, 3, 4, 5], &[2, 3, 0, 1]), 120), 2);
        // A row for each, and a column for each.
        assert_eq!(check(&q.div(12), 120), 2);
        assert_eq!(check(&q.rem(12), 120), 2);
        // A slice of rows that is seen in another shape.
        assert_eq!(check(&q.div(8).times(11).plus(&q.rem(8)).plus(&Idx::constant(2)), 120), 2);
        // Beginning in the middle of a row.
        assert_eq!(check(&q.plus(&Idx::constant(5)).div(12), 120), 0);
    }
}
