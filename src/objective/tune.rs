//! Timings of the variants of a gradient's contractions.
//!
//! All candidates of one contraction are compiled as part of the same program, whose fusion does not depend on
//! variants, and its dispatch runs by itself. Candidates take turns, because a machine can be slow for a while, and the
//! best time of each counts.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::Objective;
use super::problem::Quantity;
use crate::device::{Device, DeviceError, Program, Recording};
use crate::kernel::{self, Choices, KernelError, ShapeClass, Variant};
use crate::plan::PlanError;

/// Seconds of a timed submission.
const SUBMISSION_SECS: f64 = 0.004;
/// The most repetitions in one submission; bounds the memory of its commands.
const MOST_REPETITIONS: usize = 1024;
/// Turns of each candidate.
const ROUNDS: usize = 12;
/// A candidate that takes this many times as long as the best after [`FAIR_ROUNDS`] is dropped.
const HOPELESS: f64 = 1.5;
/// Turns of every candidate, since a shared machine can be slow for longer than a turn.
const FAIR_ROUNDS: usize = 4;
/// A candidate replaces the default rule's variant if it takes at most this share of its time; smaller differences do
/// not repeat.
const CLEARLY_FASTER: f64 = 0.9;

/// The contractions of one class in the gradient of a chunk, by the most expensive of them.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedContraction {
    /// The class.
    pub class: ShapeClass,
    /// The default rule's variant.
    pub default: Variant,
    /// Their number.
    pub count: usize,
    /// Floating-point operations of all of them.
    pub flops: f64,
    /// The most expensive one's index in the program, and its floating-point operations.
    dispatch: usize,
    largest: f64,
}

/// Times the variants of an objective's contractions.
pub struct Tuner<'a> {
    objective: &'a Objective,
    device: Device,
    contractions: Vec<TimedContraction>,
    /// The gradient computed by one variant throughout; `None` if impossible.
    programs: HashMap<Variant, Option<Arc<kernel::Program>>>,
}

/// A candidate and its timings.
struct Racer {
    variant: Variant,
    recording: Recording,
    repetitions: usize,
    secs: f64,
}

impl<'a> Tuner<'a> {
    /// Finds the contractions of the gradient of one chunk that have variants: none on the processor. Its buffers do
    /// not count in `device.memory()`, and the run reuses its kernels; `objective` may be on a dry device.
    ///
    /// # Errors
    /// Compilation errors.
    pub fn new(device: &Device, objective: &'a Objective) -> Result<Self, DeviceError> {
        let device = device.aside().with_choices(Choices::default());
        let program = objective.kernels_of_gradient(&device)?;
        let mut found: BTreeMap<ShapeClass, TimedContraction> = BTreeMap::new();
        let dispatches =
            program.iter().flat_map(|program| program.dispatches.iter().map(move |dispatch| (program, dispatch)));
        for (number, (program, dispatch)) in dispatches.enumerate() {
            let Some((class, variant)) = program.kernels[dispatch.kernel].variant else { continue };
            let entry = found.entry(class).or_insert(TimedContraction {
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
        let mut contractions: Vec<TimedContraction> = found.into_values().collect();
        contractions.sort_by(|a, b| b.flops.total_cmp(&a.flops));
        Ok(Self { objective, device, contractions, programs: HashMap::new() })
    }

    /// The contractions by class, the most expensive first.
    pub fn contractions(&self) -> &[TimedContraction] {
        &self.contractions
    }

    /// A choice for every class: that of `known` if any, the clearly fastest variant while time until `deadline` lasts,
    /// and otherwise the default rule.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn choose(
        &mut self,
        known: &BTreeMap<ShapeClass, Variant>,
        deadline: Instant,
    ) -> Result<BTreeMap<ShapeClass, Variant>, DeviceError> {
        let contractions = self.contractions.clone();
        let choice = |contraction: &TimedContraction| {
            let variant = match known.get(&contraction.class) {
                Some(&variant) => variant,
                None => decide(contraction.default, &self.time(contraction, Some(deadline))?),
            };
            Ok((contraction.class, variant))
        };
        contractions.iter().map(choice).collect()
    }

    /// Seconds of a class's most expensive contraction with every variant that suits the adapter, the default rule's
    /// first. After `deadline` no other variant is started; `None` if there was no time for all to run once.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn time(
        &mut self,
        contraction: &TimedContraction,
        deadline: Option<Instant>,
    ) -> Result<Vec<(Variant, f64)>, DeviceError> {
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let others = Variant::ALL.iter().copied().filter(|&variant| variant != contraction.default);
        let device = self.device.clone();
        let suitable = others.filter(|variant| device.target().is_some_and(|target| variant.suits(target)));
        let mut racers: Vec<Racer> = vec![];
        for variant in [contraction.default].into_iter().chain(suitable) {
            if is_over() {
                break;
            }
            let Some(recording) = self.recording(contraction, variant)? else { continue };
            device.repeated_secs(&recording, 1)?;
            let secs = device.repeated_secs(&recording, 1)?;
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
                let secs = device.repeated_secs(&racer.recording, racer.repetitions)?;
                racer.secs = racer.secs.min(secs / racer.repetitions as f64);
            }
        }
        Ok(times(&racers))
    }

    /// The contraction by itself, computed by a variant on buffers of its own; `None` if the variant cannot.
    fn recording(
        &mut self,
        contraction: &TimedContraction,
        variant: Variant,
    ) -> Result<Option<Recording>, DeviceError> {
        let device = self.device.with_choices(Choices { tried: Some(variant), ..Choices::default() });
        let program = match self.programs.entry(variant) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(match self.objective.kernels_of_gradient(&device) {
                Err(DeviceError::Kernel(KernelError::Plan(PlanError::TooLarge(_)))) => None,
                program => program?,
            }),
        };
        let Some(program) = program else { return Ok(None) };
        // Fusion does not depend on variants.
        let single = program.single(contraction.dispatch);
        let found = single.and_then(|single| Some((single.kernels[0].variant?, single)));
        let Some(((_, taken), single)) = found.filter(|((class, _), _)| *class == contraction.class) else {
            let problem =
                format!("{:?} is no contraction of this objective; take it from this tuner", contraction.class);
            return Err(DeviceError::Mismatch(problem));
        };
        if taken != variant {
            // Its epilogue is too long for this one.
            return Ok(None);
        }
        let buffers: Vec<_> =
            single.slots.iter().map(|&len| device.buffer(&single.name, len)).collect::<Result<_, _>>()?;
        Ok(Some(device.load(single)?.bind(&device, &buffers.iter().collect::<Vec<_>>())?))
    }
}

impl Objective {
    /// The gradient of a chunk as kernels with the handle's choices; nothing where there are no kernels.
    fn kernels_of_gradient(&self, device: &Device) -> Result<Option<Arc<kernel::Program>>, DeviceError> {
        match self.problem.program(Quantity::Gradient { metrics: true }, self.plan.rows, false, device)? {
            Program::Gpu(program) => Ok(Some(program)),
            Program::Cpu(_) => Ok(None),
        }
    }
}

fn times(racers: &[Racer]) -> Vec<(Variant, f64)> {
    racers.iter().map(|racer| (racer.variant, racer.secs)).collect()
}

/// The fastest variant if it is clearly faster than the default rule's, otherwise the default rule's.
pub fn decide(default: Variant, times: &[(Variant, f64)]) -> Variant {
    let of_default = secs_of(default, times).unwrap_or(0.0);
    let fastest = times.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    fastest.filter(|(_, secs)| *secs <= CLEARLY_FASTER * of_default).map_or(default, |(variant, _)| *variant)
}

/// The seconds of one variant, if it was timed.
pub fn secs_of(variant: Variant, times: &[(Variant, f64)]) -> Option<f64> {
    times.iter().find(|(other, _)| *other == variant).map(|(_, secs)| *secs)
}
