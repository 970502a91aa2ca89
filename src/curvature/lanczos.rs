//! Eigenpairs from the ends of the spectrum, by thick-restart block Lanczos, cold or from the solve before.
//!
//! A product costs two passes over the training set, so every basis vector is kept and orthogonalised against twice,
//! until the basis is full; then its best Ritz vectors replace the multiplied vectors (K. Wu and H. Simon,
//! "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J. Matrix Anal. Appl. 22, 2000). All
//! coefficients of the projected matrix are kept, so a residual is that of the products as computed, asymmetric
//! rounding included. The model in `krylov` decides what to multiply next and when to stop.
//!
//! *Warm start.* The frontier begins with the wanted vectors as `track` predicts them, ten more pairs of the solve
//! before, and a random direction. The wanted vectors and a *guard* are multiplied at once, then one product at a time
//! goes to the direction that the wanted pairs need most. The ten pairs cost no product; the model has their
//! eigenvalues, which makes the residuals after the second round two to three times smaller. The guard is the next pair
//! with a little of all others and of the random direction; it shows an eigenvalue that overtakes.
//!
//! Products of a warm check, averaged over five (in brackets of a cold one, over two), of an MLP 784-64-64-64-10 (ReLU,
//! mean squared error) on 1,000 MNIST images along SAM at the edge (η = 0.5, ρ = 0.03, from step 400), at the midpoints
//! (w₋ + 2w + w₊)/4, tol 1e-3:
//!
//! | pairs | every step | every 5 | every 10 | every 25 |
//! |---|---|---|---|---|
//! | 1 | 3.0 (15.0) | 3.2 (15.5) | 3.8 (17.0) | 5.3 (17.0) |
//! | 3 | 7.0 (21.0) | 7.0 (21.0) | 7.0 (21.0) | 8.7 (21.0) |
//! | 5 | 11.0 (22.0) | 11.0 (22.0) | 11.0 (22.0) | 12.3 (22.0) |
//!
//! Power iteration from the vectors of ten steps before took 162 for one pair and 42 for three. k pairs take some 2k +
//! 1 products: with ReLU, examples that cross kinks turn the eigenvectors unpredictably, so each needs a product that
//! shows its residual (0.3 to 2 %, growing as the root of the distance), and one that corrects it. With tanh and 300
//! images the change is predictable: one pair every step took 2.8 (34.5 cold), five took 7.2 (49.0), and five every 5
//! steps 14.0 (50.0). At the iterates themselves, which swing with the two-cycle, the ReLU network on 300 images took
//! 4.8 for one pair every step and 14.6 for five; at the midpoints 3.0 and 11.0.
//!
//! Tried and dropped: one Krylov space from the sum of the old vectors (16.2 products for five pairs every 5 steps, at
//! the iterates); no ten known pairs (13.7 instead of 11.0, on 300 images); continuing the latest change in full, which
//! divides the first residual by ten with tanh and doubles it with ReLU, and is the reason for the fit in `track`.
//!
//! A pair that the model expects at the other end of the spectrum, almost as large as the last wanted one, is a
//! *contender*: products go to it too, until it is found to be smaller.
//!
//! *Limits.* b start vectors find b copies of an exactly repeated eigenvalue (the last layer of a squared loss has
//! such). In rare cases a cold solve stops before an eigenvalue has emerged from the bulk, and reports the next one;
//! the following warm solves find it.

use nalgebra::DMatrix;

use super::basis::{Directions, axpy, dot, norm, scale};
use super::krylov::{Krylov, Ritz};
use super::operator::Products;
use super::spectrum::{check_dim, check_start, error_bound};
use super::track::{KEPT, Track};
use super::{CurvatureError, EigenOptions, Eigenpair, Operator, Order, RitzValue, Spectrum};

/// Weight of the pairs beyond the next in the guard of a warm start, and of a random direction.
const OTHERS_WEIGHT: f64 = 0.2;
const RANDOM_WEIGHT: f64 = 0.1;
/// Additional vectors kept if the lowest eigenvalues are wanted. These lie close together, and every restart costs
/// products: at the end of `quickstart`, one of them took 148 products with none, 103 with 30 and 92 with 60.
const CROWD: usize = 30;
/// Products spent looking outside an invariant subspace, beyond one a pair, before its contents are accepted.
const LOOK_AROUND: usize = 10;

/// The share of the last wanted eigenvalue from which a pair at the other end contends with it. A model of the last
/// solve's eigenvalues was wrong by an eighth where one of them had to be found.
const CONTENDING: f64 = 0.75;

/// The number of multiplied vectors at which the iteration restarts.
fn basis_limit(options: &EigenOptions, dim: usize) -> usize {
    let crowd = if options.bottom > 0 { CROWD } else { 0 };
    let wanted = options.top.saturating_add(options.bottom);
    (wanted.saturating_mul(2)).saturating_add(options.block.saturating_mul(8)).saturating_add(12 + crowd).min(dim)
}

impl EigenOptions {
    /// The most f64 vectors of `dim` numbers that [`lanczos`] holds at once: a full basis with its frontier, the track
    /// that it started from and the spectrum that it returns.
    pub fn most_vectors(&self, dim: usize) -> usize {
        let (wanted, block) = (self.top.saturating_add(self.bottom).min(dim), self.block.min(dim));
        // The track that it started from has the changes of the wanted vectors too.
        basis_limit(self, dim) + KEPT + block + 2 * wanted + KEPT + self.most_kept(dim) + wanted
    }

    /// The most vectors in the [`Spectrum`] that [`lanczos`] returns: its pairs and the next one, and its track.
    pub fn most_kept(&self, dim: usize) -> usize {
        let wanted = self.top.saturating_add(self.bottom).min(dim);
        wanted + 1 + (wanted + KEPT)
    }
}

/// The eigenpairs that `options` asks for: the first in its order, with signs, and the lowest.
///
/// `start` is the track of the solve before, if the matrix has moved only a little since. The basis holds at most
/// 2·(top + bottom) + 12 + 8·block vectors, and 30 more for a bottom, made as they are needed, and after a warm start
/// the ten kept pairs besides. The solve ends when every wanted pair has converged and the model expects no other in
/// its place, or when `max_iterations` products are spent: then pairs are returned with `converged` false where they
/// are not.
///
/// # Errors
/// Options out of range, a start of another size, products that fail or are not finite.
pub fn lanczos(
    operator: &mut dyn Operator,
    start: Option<&Track>,
    options: &EigenOptions,
) -> Result<Spectrum, CurvatureError> {
    let dim = operator.dim();
    let options = &options.within(dim)?;
    check_dim(dim, options.most_vectors(dim))?;
    check_start(start, dim)?;
    let most = options.top + options.bottom;
    let limit = basis_limit(options, dim);
    let mut directions = Directions::new(options.seed);
    let mut krylov = Krylov::new(Products::new(operator), options.order);
    let mut count = match start {
        Some(track) => begin(&mut krylov, track, options, &mut directions),
        None => refill(&mut krylov, options.block, dim, &mut directions),
    };

    let (mut lambda_max, mut lambda_min): (Option<RitzValue>, Option<RitzValue>) = (None, None);
    let mut broken_down_at = None;
    loop {
        let left = options.max_iterations - krylov.products.spent;
        krylov.multiply(count.min(left))?;
        let spent = krylov.products.spent;
        let round = Round::of(&krylov, options);
        // Restarts drop Ritz values, so the extremes of all are kept separately; on a tie the later value is more
        // accurate.
        for &Ritz { at, .. } in &round.ritz {
            lambda_max = lambda_max.filter(|old| old.value > at.value).or(Some(at));
            lambda_min = lambda_min.filter(|old| old.value < at.value).or(Some(at));
        }
        if krylov.frontier() == 0 && broken_down_at.is_none() {
            broken_down_at = Some(spent);
        }
        let complete = krylov.multiplied() == dim;
        let looked_around = broken_down_at.is_none_or(|at| spent >= at + most + LOOK_AROUND);
        let settled = looked_around && round.settled(options);
        if let (true, Some(lambda_max), Some(lambda_min)) =
            (complete || settled || spent >= options.max_iterations, lambda_max, lambda_min)
        {
            return round.spectrum(&mut krylov, options, [lambda_max, lambda_min], start);
        }
        if krylov.multiplied() >= limit {
            let most = round.wanted.count();
            krylov.restart(&round.wanted.then_rest(&round.ritz, most + (limit - most) / 3));
        }
        if krylov.frontier() == 0 {
            refill(&mut krylov, options.block, dim, &mut directions);
        }
        count = options.block.min(krylov.frontier());
        if count < krylov.frontier() {
            let needed = round.expected.indices().chain(round.contenders.iter().copied());
            krylov.prefer(count, needed.map(|i| &round.model[i]));
        }
    }
}

/// The model's value of an unknown vᵀAv: 0, as most eigenvalues of a Hessian are, unless 0 would be a wanted one. If the
/// lowest are wanted and not below 0, it is at least a quarter of the way from the last of these to the last of the top,
/// among the known `values`; if the largest are wanted and not above 0, at least a quarter of the way below them.
fn nought(values: &[f64], options: &EigenOptions) -> f64 {
    let mut rising = values.to_vec();
    rising.sort_by(f64::total_cmp);
    let mut falling: Vec<f64> = values.iter().map(|&x| options.order.key(x)).collect();
    falling.sort_by(|a, b| b.total_cmp(a));
    let low = rising[options.bottom.clamp(1, values.len()) - 1];
    let quarter = (falling[options.top.min(values.len()) - 1] - low) / 4.0;
    let from_below = if options.bottom > 0 { (low + quarter).max(0.0) } else { 0.0 };
    match options.order {
        Order::Magnitude => from_below,
        Order::Algebraic => from_below.min(low + 3.0 * quarter),
    }
}

/// Adds random directions to the frontier; returns how many had room.
fn refill(krylov: &mut Krylov<'_>, count: usize, dim: usize, directions: &mut Directions) -> usize {
    let count = count.min(dim - krylov.basis.0.len());
    for _ in 0..count {
        let v = krylov.basis.fresh(dim, directions);
        krylov.push(&v, None);
    }
    count
}

/// The frontier of a warm start, and the number of its first vectors to multiply at once: the wanted ones, and a guard.
///
/// The guard is the next vector with a little of those behind it and of a random one; it shows an eigenvalue that
/// overtakes.
fn begin(krylov: &mut Krylov<'_>, track: &Track, options: &EigenOptions, directions: &mut Directions) -> usize {
    for (value, vector) in track.predicted() {
        krylov.push(&vector, Some(value));
    }
    let near = krylov.frontier();
    krylov.push(&directions.unit(krylov.products.dim()), None);
    let model = krylov.model_pairs(nought(&track.values, options));
    let wanted = Wanted::among(&model, options);
    let mut columns: Vec<&[f64]> = wanted.indices().map(|i| model[i].coefficients.as_slice()).collect();
    let mut guard: Vec<f64> = vec![0.0; krylov.frontier()];
    let others = wanted.then_rest(&model, model.len());
    let others = &others[columns.len()..];
    for (i, other) in others.iter().enumerate() {
        let weight = if i == 0 { 1.0 } else { OTHERS_WEIGHT / (others.len() as f64).sqrt() };
        axpy(weight * directions.sign(), &other.coefficients, &mut guard);
    }
    if krylov.frontier() > near {
        guard[near] = RANDOM_WEIGHT;
    }
    // The random direction counts as wanted if there are too few others.
    columns.iter().for_each(|column| axpy(-dot(column, &guard), column, &mut guard));
    let length = norm(&guard);
    if length > 1e-8 {
        scale(&mut guard, 1.0 / length);
        columns.push(&guard);
    }
    krylov.turn(&DMatrix::from_fn(guard.len(), columns.len(), |i, j| columns[j][i]));
    columns.len()
}

/// The wanted ones of a list of pairs in order.
struct Wanted {
    /// The first ones, by this count.
    top: usize,
    /// By rising value.
    bottom: Vec<usize>,
    /// Whether the list is long enough to decide.
    complete: bool,
}

impl Wanted {
    fn among(pairs: &[Ritz], options: &EigenOptions) -> Self {
        let top = match options.above {
            None => options.top,
            Some(above) => pairs.iter().take_while(|pair| options.order.key(pair.at.value) >= above).count() + 1,
        };
        let top = top.min(options.top);
        let mut bottom = rising(pairs);
        bottom.truncate(options.bottom);
        Self { top: top.min(pairs.len()), bottom, complete: top.max(options.bottom) <= pairs.len() }
    }

    /// Positions without repetition.
    fn indices(&self) -> impl Iterator<Item = usize> {
        (0..self.top).chain(self.bottom.iter().copied().filter(|&i| i >= self.top))
    }

    /// The place in the order of the last of the first ones.
    fn last_key(&self, pairs: &[Ritz], options: &EigenOptions) -> f64 {
        self.top.checked_sub(1).map_or(f64::INFINITY, |last| options.order.key(pairs[last].at.value))
    }

    fn count(&self) -> usize {
        self.indices().count()
    }

    /// The wanted pairs, then the others, in order or, if the bottom is wanted, from both ends in turn; `keep` in all.
    fn then_rest<'p>(&self, pairs: &'p [Ritz], keep: usize) -> Vec<&'p Ritz> {
        let low = if self.bottom.is_empty() { (0..pairs.len()).collect() } else { rising(pairs) };
        let all = self.indices().chain((0..pairs.len()).flat_map(|i| [i, low[i]]));
        let mut seen = vec![false; pairs.len()];
        let all = all.filter(|&i| i < pairs.len() && !std::mem::replace(&mut seen[i], true));
        all.take(keep).map(|i| &pairs[i]).collect()
    }
}

/// The pairs after some products: those found, and those that the model expects.
struct Round {
    ritz: Vec<Ritz>,
    wanted: Wanted,
    model: Vec<Ritz>,
    /// The wanted ones of the model.
    expected: Wanted,
    /// Those at an end of the model's spectrum that are not wanted but almost as large, see [`CONTENDING`].
    contenders: Vec<usize>,
}

impl Round {
    fn of(krylov: &Krylov<'_>, options: &EigenOptions) -> Self {
        let ritz = krylov.ritz_pairs();
        let values: Vec<f64> = ritz.iter().map(|pair| pair.at.value).collect();
        let model = krylov.model_pairs(nought(&values, options));
        let (wanted, expected) = (Wanted::among(&ritz, options), Wanted::among(&model, options));
        let is_contender = |i: &usize| {
            let is_wanted = *i < expected.top || expected.bottom.contains(i);
            !is_wanted && options.order.key(model[*i].at.value) >= CONTENDING * expected.last_key(&model, options)
        };
        let rising = rising(&model);
        let ends = [rising.first(), rising.last()].into_iter().flatten().copied();
        let contenders = ends.filter(is_contender).collect();
        Self { ritz, wanted, model, expected, contenders }
    }

    /// Whether the wanted Ritz pairs are there and have converged, and the model expects no others.
    fn settled(&self, options: &EigenOptions) -> bool {
        let Self { ritz, wanted, model, expected, .. } = self;
        wanted.complete && wanted.top == expected.top && {
            let largest = largest(ritz.iter().map(|pair| pair.at));
            let within = |i: usize, j: usize, threshold: fn(&EigenOptions, f64, f64) -> f64| {
                let (found, expected) = (ritz[i].at, model[j].at);
                let threshold = threshold(options, found.value, largest);
                // In order of magnitude λ and −λ may come in either order.
                let [expected, at] = [expected, found].map(|ritz| options.order.key(ritz.value));
                found.residual <= threshold && (expected - at).abs() <= threshold
            };
            // A contender must be found, and be too small to be wanted.
            let is_beaten = |&contender: &usize| {
                let is_low = model[contender].at.value < 0.0;
                let same_end = |pair: &&Ritz| (pair.at.value < 0.0) == is_low;
                let outermost =
                    ritz.iter().filter(same_end).max_by(|a, b| a.at.value.abs().total_cmp(&b.at.value.abs()));
                outermost.is_some_and(|Ritz { at: RitzValue { value, residual }, .. }| {
                    let least = wanted.last_key(ritz, options);
                    value.abs() + residual <= least || *residual <= options.threshold(*value, largest)
                })
            };
            let mut bottom = wanted.bottom.iter().zip(&expected.bottom);
            (0..wanted.top).all(|i| within(i, i, EigenOptions::threshold))
                && bottom.all(|(&i, &j)| within(i, j, EigenOptions::bottom_threshold))
                && self.contenders.iter().all(is_beaten)
        }
    }

    /// The result, with the largest and the lowest Ritz value met.
    fn spectrum(
        &self,
        krylov: &mut Krylov<'_>,
        options: &EigenOptions,
        [lambda_max, lambda_min]: [RitzValue; 2],
        start: Option<&Track>,
    ) -> Result<Spectrum, CurvatureError> {
        let Self { ritz, wanted, model, expected, .. } = self;
        let found: Vec<RitzValue> = ritz.iter().map(|pair| pair.at).collect();
        let others: Vec<f64> = model.iter().map(|pair| pair.at.value).collect();
        let (largest, rounding) = (largest(found.iter().copied()), krylov.products.rounding());
        let pair = |i: usize, error: f64, threshold: f64| {
            let RitzValue { value, residual } = found[i];
            Eigenpair { value, vector: krylov.vector(&ritz[i]), residual, error, converged: residual <= threshold }
        };
        let in_order = |i: usize| pair(i, error_bound(&found, i, &others), options.threshold(found[i].value, largest));
        // In a cluster the nearest other eigenvalues are not known.
        let lowest = |&i: &usize| pair(i, found[i].residual, options.bottom_threshold(found[i].value, largest));
        let kept = expected.then_rest(model, expected.count() + KEPT);
        let values = kept.iter().map(|pair| pair.at.value).collect();
        let vectors = kept.iter().map(|pair| krylov.vector(pair)).collect();
        let track = Track::new(values, vectors, expected.count().min(kept.len()), start);
        let mut pairs: Vec<Eigenpair> = (0..wanted.top).map(in_order).collect();
        let mut bottom: Vec<Eigenpair> = wanted.bottom.iter().map(lowest).collect();
        let next = (wanted.top..ritz.len()).find(|i| !wanted.bottom.contains(i)).map(in_order);
        let runner_up = next.map(|pair| Eigenpair { error: pair.error + rounding, ..pair });
        let mut all: Vec<&mut Eigenpair> = pairs.iter_mut().chain(&mut bottom).collect();
        let vectors: Vec<&[f64]> = all.iter().map(|pair| pair.vector.as_slice()).collect();
        let values: Vec<f64> = all.iter().map(|pair| pair.value).collect();
        let errors = krylov.products.form_errors(&vectors, &values)?;
        all.iter_mut().zip(errors).for_each(|(pair, error)| pair.error += error);
        Ok(Spectrum { pairs, bottom, runner_up, lambda_max, lambda_min, products: krylov.products.spent, track })
    }
}

/// The largest |θ|.
fn largest(ritz: impl Iterator<Item = RitzValue>) -> f64 {
    ritz.fold(0.0, |most, ritz| most.max(ritz.value.abs()))
}

fn rising(pairs: &[Ritz]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| pairs[a].at.value.total_cmp(&pairs[b].at.value));
    order
}
