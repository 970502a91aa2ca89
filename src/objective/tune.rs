//! The variants of a gradient's contractions, timed against one another.
//!
//! All candidates of one contraction are compiled as part of the same program, whose fusion does not depend on variants, and
//! its one dispatch is run by itself. They take turns: a machine that is slow for a while is slow for all of them, and of
//! each the best time counts.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::Objective;
use super::problem::Quantity;
use crate::gpu::{Gpu, GpuError, Recording};
use crate::kernel::{Choices, KernelError, Program, ShapeClass, Variant};
use crate::plan::PlanError;

/// Seconds of a timed submission.
const SUBMISSION_SECS: f64 = 0.004;
/// Most repetitions in one submission, which bounds the memory of its commands.
const MOST_REPETITIONS: usize = 1024;
/// Turns of each candidate.
const ROUNDS: usize = 12;
/// A candidate that takes so many times as long as the best after [`FAIR_ROUNDS`] is not run again.
const HOPELESS: f64 = 1.5;
/// Turns that every candidate gets: a shared machine halves its speed for longer than a turn.
const FAIR_ROUNDS: usize = 4;
/// What a candidate may take, as a share of what the rule of thumb takes, to be chosen in its place: timings of less than
/// that difference are not the same twice.
const CLEARLY_FASTER: f64 = 0.9;

/// The contractions of one class in the gradient of a chunk, by the most expensive of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Contraction {
    /// The class.
    pub class: ShapeClass,
    /// What the rule of thumb takes.
    pub default: Variant,
    /// How many there are.
    pub count: usize,
    /// Floating-point operations of all of them.
    pub flops: f64,
    /// The most expensive one's place in the program, and its floating-point operations.
    dispatch: usize,
    largest: f64,
}

/// Times the variants of an objective's contractions.
pub struct Tuner<'a> {
    objective: &'a Objective,
    gpu: Gpu,
    contractions: Vec<Contraction>,
    /// The gradient computed by one variant throughout; nothing where it cannot be.
    programs: HashMap<Variant, Option<Arc<Program>>>,
}

/// A candidate under way.
struct Racer {
    variant: Variant,
    recording: Recording,
    repetitions: usize,
    secs: f64,
}

impl<'a> Tuner<'a> {
    /// Finds the contractions of the gradient of one chunk. Its work on the device does not show in `gpu.memory()`, and the
    /// kernels that it compiles are there for the run; `objective` may live on a dry device.
    ///
    /// # Errors
    /// Compilation errors.
    pub fn new(gpu: &Gpu, objective: &'a Objective) -> Result<Self, GpuError> {
        let gpu = gpu.aside().with_choices(Choices::default());
        let program = objective.gradient_program(&gpu)?;
        let mut found: BTreeMap<ShapeClass, Contraction> = BTreeMap::new();
        for (number, dispatch) in program.dispatches.iter().enumerate() {
            let Some((class, variant)) = program.kernels[dispatch.kernel].variant else { continue };
            let entry = found.entry(class).or_insert(Contraction {
                class,
                default: variant,
                count: 0,
                flops: 0.0,
                dispatch: number,
                largest: 0.0,
            });
            entry.count += 1;
            entry.flops += dispatch.flops;
            if dispatch.flops > entry.largest {
                (entry.default, entry.dispatch, entry.largest) = (variant, number, dispatch.flops);
            }
        }
        let mut contractions: Vec<Contraction> = found.into_values().collect();
        contractions.sort_by(|a, b| b.flops.total_cmp(&a.flops));
        Ok(Self { objective, gpu, contractions, programs: HashMap::new() })
    }

    /// The contractions by class, the most expensive first.
    pub fn contractions(&self) -> &[Contraction] {
        &self.contractions
    }

    /// A choice for every class: that of `known` where it has one, what is clearly the fastest where the time until
    /// `deadline` lasts, and else the rule of thumb.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn choose(
        &mut self,
        known: &BTreeMap<ShapeClass, Variant>,
        deadline: Instant,
    ) -> Result<BTreeMap<ShapeClass, Variant>, GpuError> {
        let contractions = self.contractions.clone();
        let choice = |contraction: &Contraction| {
            let variant = match known.get(&contraction.class) {
                Some(&variant) => variant,
                None => decide(contraction.default, &self.time(contraction, Some(deadline))?),
            };
            Ok((contraction.class, variant))
        };
        contractions.iter().map(choice).collect()
    }

    /// Seconds of a class's most expensive contraction with every variant that suits the adapter, the rule of thumb's first.
    /// After `deadline` no other variant is begun; nothing is returned if there was no time for all to run once.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn time(
        &mut self,
        contraction: &Contraction,
        deadline: Option<Instant>,
    ) -> Result<Vec<(Variant, f64)>, GpuError> {
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let others = Variant::ALL.iter().copied().filter(|&variant| variant != contraction.default);
        let gpu = self.gpu.clone();
        let suitable = others.filter(|variant| variant.suits(gpu.target()));
        let mut racers: Vec<Racer> = vec![];
        for variant in [contraction.default].into_iter().chain(suitable) {
            if is_over() {
                break;
            }
            let Some(recording) = self.recording(contraction, variant)? else { continue };
            gpu.repeated_secs(&recording, 1)?;
            let secs = gpu.repeated_secs(&recording, 1)?;
            let repetitions = ((SUBMISSION_SECS / secs) as usize).clamp(1, MOST_REPETITIONS);
            racers.push(Racer { variant, recording, repetitions, secs });
        }
        for round in 0..ROUNDS {
            let best = racers.iter().map(|racer| racer.secs).fold(f64::INFINITY, f64::min);
            let in_it = |racer: &&mut Racer| round < FAIR_ROUNDS || racer.secs <= HOPELESS * best;
            for racer in racers.iter_mut().filter(in_it) {
                if is_over() {
                    return Ok(if round == 0 { vec![] } else { times(&racers) });
                }
                let secs = gpu.repeated_secs(&racer.recording, racer.repetitions)?;
                racer.secs = racer.secs.min(secs / racer.repetitions as f64);
            }
        }
        Ok(times(&racers))
    }

    /// The contraction by itself, computed by a variant on buffers of its own; nothing where the variant cannot.
    fn recording(&mut self, contraction: &Contraction, variant: Variant) -> Result<Option<Recording>, GpuError> {
        let gpu = self.gpu.with_choices(Choices { tried: Some(variant), ..Choices::default() });
        let program = match self.programs.entry(variant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(match self.objective.gradient_program(&gpu) {
                Err(GpuError::Kernel(KernelError::Plan(PlanError::TooLarge(_)))) => None,
                program => Some(program?),
            }),
        };
        let Some(program) = program else { return Ok(None) };
        // Fusion does not depend on variants.
        let single = program.single(contraction.dispatch);
        let found = single.and_then(|single| Some((single.kernels[0].variant?, single)));
        let Some(((_, taken), single)) = found.filter(|((class, _), _)| *class == contraction.class) else {
            let problem =
                format!("{:?} is no contraction of this objective; take it from this tuner", contraction.class);
            return Err(GpuError::Mismatch(problem));
        };
        if taken != variant {
            // Its epilogue is too long for this one.
            return Ok(None);
        }
        let buffers: Vec<_> =
            single.slots.iter().map(|&len| gpu.buffer(&single.name, len)).collect::<Result<_, _>>()?;
        Ok(Some(gpu.load(single)?.bind(&gpu, &buffers.iter().collect::<Vec<_>>())?))
    }
}

impl Objective {
    /// The gradient of a chunk as the handle's choices have it.
    fn gradient_program(&self, gpu: &Gpu) -> Result<Arc<Program>, GpuError> {
        self.problem.program(Quantity::Gradient { metrics: true }, self.plan.rows, false, gpu)
    }
}

fn times(racers: &[Racer]) -> Vec<(Variant, f64)> {
    racers.iter().map(|racer| (racer.variant, racer.secs)).collect()
}

/// The fastest variant if it is clearly faster than the rule of thumb's, and else the rule of thumb's.
pub fn decide(default: Variant, times: &[(Variant, f64)]) -> Variant {
    let of_default = secs_of(default, times).unwrap_or(0.0);
    let fastest = times.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    fastest.filter(|(_, secs)| *secs <= CLEARLY_FASTER * of_default).map_or(default, |(variant, _)| *variant)
}

/// The seconds of one variant, if it was timed.
pub fn secs_of(variant: Variant, times: &[(Variant, f64)]) -> Option<f64> {
    times.iter().find(|(other, _)| *other == variant).map(|(_, secs)| *secs)
}
