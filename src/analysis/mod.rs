//! The curvature at one point of a run: both ends of the spectrum, trace and density of the Hessian, its Gauss–Newton
//! part G and the rest R = H − G, of all parameters or of one layer, each with its error bar. It computes block by
//! block and matrix by matrix; the result, one [`Analysis`], is printed, written as JSON, and drawn if it has a
//! density.

mod density;
#[cfg(feature = "plots")]
mod density_figure;
mod density_table;
mod report;
mod setup;
mod source;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::{ConfigError, build};
use crate::curvature::edge::alignment;
use crate::curvature::{
    CurvatureError, DensityOptions, EigenOptions, Minus, Operator, SpectralDensity, Spectrum, SubOperator, Trace,
    TraceOptions, lanczos, spectral_density, subspace_alignment, trace,
};
use crate::data::Examples;
use crate::device::{Device, DeviceError};
use crate::files::check_folder;
use crate::folder::rows::Extreme;
use crate::model::{Layout, WeightLayout};
use crate::observer::{Observer, Progress, Unit};
use crate::optim::Rule;
use crate::results::Format;
use crate::run::measure::probed;
use crate::run::update::{Leading, Start};
use crate::run::{self, RunError};
use crate::text::counted;
use setup::AnalysisWorkspace;

/// The request of `edgewalk curvature`.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisRequest {
    /// A run folder, a checkpoint folder, a safetensors file, or an ONNX file, which brings its parameters.
    pub path: PathBuf,
    /// A preset or TOML file instead of the run's own configuration.
    pub config: Option<String>,
    /// Changes of that configuration, as `key=value`.
    pub sets: Vec<String>,
    /// A safetensors file, checkpoint or run with parameters in the place of those of an ONNX file.
    pub weights: Option<PathBuf>,
    /// The names and axes of the tensors in a file that is no checkpoint's.
    pub layout: WeightLayout,
    /// The eigenpairs to find, and when to stop.
    pub eigen: EigenOptions,
    /// Products to spend on each trace, if one is wanted.
    pub trace: Option<TraceOptions>,
    /// Probes and steps of each density, if one is wanted.
    pub density: Option<DensityOptions>,
    /// Whether G and R are analysed too.
    pub split: bool,
    /// Layers, by the first part of their parameters' names, or `each`; none is all parameters together.
    pub blocks: Vec<String>,
    /// The number of training examples, from the first; 0 is all of the configuration.
    pub examples: usize,
    /// The folder of results, instead of the run's `analysis` folder.
    pub out: Option<PathBuf>,
    /// The format of pictures.
    pub format: Format,
    /// The adapter: part of its name, its number in `edgewalk info`, or `cpu` or `gpu`.
    pub adapter: Option<String>,
}

/// A matrix of second derivatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// H
    Hessian,
    /// G, the generalised Gauss–Newton matrix.
    GaussNewton,
    /// R = H − G, the curvature of the model's outputs weighted by the loss's slope.
    Rest,
}

/// The results of one matrix over one set of parameters.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The layer, or `all`.
    pub block: String,
    /// Its number of parameters.
    pub parameters: usize,
    /// The matrix.
    pub part: Part,
    /// Eigenpairs from both ends.
    pub spectrum: Spectrum,
    /// |cos(g, v)| of each of the eigenvectors by magnitude, with g the gradient of these parameters.
    pub alignments: Vec<f64>,
    /// The share of the length of g, and of the gradient that an update follows, in the span of these eigenvectors.
    pub subspace: [f64; 2],
    /// The trace, if wanted.
    pub trace: Option<Trace>,
    /// The density, if wanted.
    pub density: Option<SpectralDensity>,
    /// Seconds that eigenpairs, trace and density took.
    pub secs: [f64; 3],
}

/// The largest eigenvalue of the update operator ([`crate::optim::UpdateOperator`]) and of the Hessian, with their
/// errors.
#[derive(Debug, Clone, Copy)]
pub struct UpdateFound {
    /// Of the update operator.
    pub sharpness: Extreme,
    /// Of the Hessian.
    pub lambda_max: Extreme,
    /// The share of parameters in its eigenvector, for an adaptive base
    /// ([`PreconditionedRow::participation`](crate::folder::rows::PreconditionedRow::participation)).
    pub participation: Option<f64>,
}

/// The curvature at one point. See the module text.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The parameters' file.
    pub params: PathBuf,
    /// Updates made before; `None` for a file that is no checkpoint's.
    pub step: Option<u64>,
    /// The adapter's name and its driver.
    pub adapter: String,
    /// The number of training examples in use.
    pub examples: usize,
    /// Loss there.
    pub loss: f64,
    /// ‖∇L‖ there.
    pub grad_norm: f64,
    /// The run's update rule at this step, or at its first.
    pub rule: Rule,
    /// Its edge for one eigenvalue of the Hessian, if it has one.
    pub edge: Option<f64>,
    /// The largest eigenvalues, where all parameters are analysed together.
    pub update: Option<UpdateFound>,
    /// Block by block, matrix by matrix.
    pub findings: Vec<Finding>,
    /// The folder with the files.
    pub out: PathBuf,
}

/// Analyses, writes `curvature.json`, and with a density `density*.csv` and its picture, and returns the results.
///
/// # Errors
/// [`RunError`]: nothing is written before everything has been computed.
pub fn analyse(request: &AnalysisRequest, observer: &dyn Observer) -> Result<Analysis, RunError> {
    let found = source::find(request)?;
    check_folder(request.out.as_ref().unwrap_or(&found.out))?;
    let config = &found.config;
    let network = build::network(config)?;
    let train = examples(request.examples, source::data(&found, network.as_deref())?.train)?;
    let device = Device::open_with(request.adapter.as_deref(), config.run.precision)?;
    let model = build::model(config, network.as_ref(), &train)?;
    let layout = Layout::of(&*model)?;
    let blocks = blocks(&layout, &request.blocks)?;
    setup::check(request, &blocks, observer)?;
    let params = match found.brought {
        true => layout.brought().unwrap_or_default().to_vec(),
        false => run::read_params(&layout, &found.params, request.layout)?.0,
    };
    let parts = setup::AnalysisSetup {
        config,
        model,
        train: &train,
        request,
        most_kept: run::memory_check::most_kept(config, &device),
    };
    let AnalysisWorkspace { objective, w, probe, mut update, mut gauss_newton } =
        parts.assemble_planned(&device, &blocks, layout.len())?;
    objective.set_params(&w, &params)?;
    let step = found.step.unwrap_or(0);
    let metrics = probed(&objective, &probe, step).map_err(|error| not_finite(error, &found.params))?;
    let gradient = |vector| -> Result<Vec<f64>, DeviceError> { objective.read(vector) };
    let gradients = [gradient(probe.gradient())?, gradient(probe.update_gradient(step))?];
    let (rule, from) = (build::rule(config).at(step), gradient(&w)?);
    let climbs = update.climbs(&objective, &rule, &from, [metrics.grad_norm; 2])?;
    let edge = climbs.of_modes.as_deref().and_then(|climb| rule.edge(climb)).filter(|_| climbs.is_function);
    let preconditioner = source::second_moment(&found, layout.len())?
        .and_then(|(second_moment, age)| rule.preconditioner(age, &second_moment, [&gradients[1], &from]));
    let look = Look { request, gradients, observer };
    let mut findings = vec![];
    for block in &blocks {
        findings.push(look.at(block, Part::Hessian, &mut update.hessian().linearise()?)?);
        if let Some(gauss_newton) = &mut gauss_newton {
            findings.push(look.at(block, Part::GaussNewton, &mut gauss_newton.linearise()?)?);
            let mut rest = Minus::new(update.hessian().linearise()?, gauss_newton.linearise()?)?;
            findings.push(look.at(block, Part::Rest, &mut rest)?);
        }
    }
    let is_known = preconditioner.is_some() || !rule.base.is_adaptive();
    let update = match request.blocks.is_empty() && is_known {
        true => {
            let start = Start { params: &from, preconditioner: preconditioner.as_deref() };
            let leading = update.leading(climbs, &start, &findings[0].spectrum, &request.eigen, observer)?;
            let Leading { update: sharpness, lambda_max, participation, .. } = leading;
            Some(UpdateFound { sharpness, lambda_max, participation })
        }
        false => None,
    };
    observer.finished();
    let adapter = device.adapter();
    let analysis = Analysis {
        params: found.params,
        step: found.step,
        adapter: format!("{} ({}, {} {})", adapter.name, adapter.backend, adapter.driver, adapter.driver_info),
        examples: train.len(),
        loss: metrics.loss,
        grad_norm: metrics.grad_norm,
        rule,
        edge,
        update,
        findings,
        out: request.out.clone().unwrap_or(found.out),
    };
    analysis.write(request.format)?;
    Ok(analysis)
}

/// The first so many of the training examples; 0 is all.
fn examples(first: usize, train: Examples) -> Result<Examples, ConfigError> {
    match first {
        0 => Ok(train),
        _ if first <= train.len() => Ok(train.first(first)),
        _ => Err(ConfigError::Conflict {
            problem: format!("--examples {first} is more than the {}", counted(train.len(), "training example")),
            remedy: "lower it, or leave it out to look at all",
        }),
    }
}

/// The error of numbers that are not finite at these parameters, which is not that of a run under way.
fn not_finite(error: RunError, params: &Path) -> RunError {
    match error {
        RunError::Diverged(divergence) => {
            RunError::NotFinite { what: divergence.what, params: params.into(), advice: divergence.advice_at_rest() }
        }
        error => error,
    }
}

/// A look at matrices at one point.
struct Look<'a> {
    request: &'a AnalysisRequest,
    /// The loss gradient, and that which an update follows.
    gradients: [Vec<f64>; 2],
    observer: &'a dyn Observer,
}

impl Look<'_> {
    /// All requested results of one matrix over one block of its parameters.
    fn at(&self, block: &Block, part: Part, operator: &mut dyn Operator) -> Result<Finding, CurvatureError> {
        let Self { request, ref gradients, observer } = *self;
        let Block { name, ranges } = block;
        let what = format!("{} of {name}", part.words());
        let mut watched = WatchedOperator { operator, observer, what, products: 0 };
        let operator = &mut SubOperator::new(&mut watched, ranges)?;
        let mut secs = [0.0; 3];
        let mut timed = |slot: usize, began: Instant| secs[slot] = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let spectrum = lanczos(operator, None, &request.eigen)?;
        timed(0, began);
        let began = Instant::now();
        let trace = request.trace.as_ref().map(|options| trace(operator, options)).transpose()?;
        timed(1, began);
        let began = Instant::now();
        let density = request.density.as_ref().map(|options| spectral_density(operator, options)).transpose()?;
        timed(2, began);
        let of_block = |g: &Vec<f64>| ranges.iter().flat_map(|range| g[range.clone()].to_vec()).collect::<Vec<f64>>();
        let [gradient, update_gradient] = [&gradients[0], &gradients[1]].map(of_block);
        let vectors: Vec<&[f64]> = spectrum.pairs.iter().map(|pair| pair.vector.as_slice()).collect();
        Ok(Finding {
            block: name.clone(),
            parameters: block.parameters(),
            part,
            alignments: vectors.iter().map(|v| alignment(&gradient, v)).collect(),
            subspace: [&gradient, &update_gradient].map(|g| subspace_alignment(g, &vectors)),
            spectrum,
            trace,
            density,
            secs,
        })
    }
}

/// A block of parameters.
struct Block {
    name: String,
    /// Their ranges in the flat vector.
    ranges: Vec<Range<usize>>,
}

impl Block {
    /// Their number.
    fn parameters(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }
}

/// The named layers, or all parameters as one block.
fn blocks(layout: &Layout, names: &[String]) -> Result<Vec<Block>, ConfigError> {
    let ranges = |belongs: &dyn Fn(&str) -> bool| -> Vec<Range<usize>> {
        let params = layout.iter().filter(|(param, _)| belongs(&param.name));
        params.map(|(param, offset)| offset..offset + param.shape.iter().product::<usize>()).collect()
    };
    if names.is_empty() {
        return Ok(vec![Block { name: "all".to_owned(), ranges: ranges(&|_| true) }]);
    }
    let mut layers: Vec<&str> = layout.iter().filter_map(|(param, _)| Some(param.name.rsplit_once('.')?.0)).collect();
    layers.dedup();
    let mut found = vec![];
    for name in names {
        let members: Vec<&str> = if name == "each" { layers.clone() } else { vec![name] };
        for member in members {
            let ranges = ranges(&|param| {
                param.strip_prefix(member).is_some_and(|rest| matches!(rest.chars().next(), None | Some('.')))
            });
            if ranges.is_empty() {
                return Err(ConfigError::BadValue {
                    key: "--block".into(),
                    value: member.to_owned(),
                    allowed: format!("`each`, or a layer of this model: {}", layers.join(", ")),
                });
            }
            found.push(Block { name: member.to_owned(), ranges });
        }
    }
    Ok(found)
}

/// Reports the number of an operator's products.
struct WatchedOperator<'a> {
    operator: &'a mut dyn Operator,
    observer: &'a dyn Observer,
    what: String,
    products: usize,
}

impl WatchedOperator<'_> {
    fn note(&mut self, products: usize) {
        self.products += products;
        let (done, text) = (self.products as u64, format!("{}: {}", self.what, counted(self.products, "product")));
        self.observer.progress(&Progress { unit: Unit::Products, done, total: 0, text: &text });
    }
}

impl Operator for WatchedOperator<'_> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn rounding(&self) -> f64 {
        self.operator.rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        self.operator.form_errors(vectors, values)
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        self.note(1);
        self.operator.apply(v, out)
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        self.note(vectors.len());
        self.operator.apply_block(vectors, products)
    }
}

impl Part {
    /// Its name in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Hessian => "Hessian H",
            Self::GaussNewton => "Gauss–Newton part G",
            Self::Rest => "rest R = H − G",
        }
    }

    /// Its name in files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss_newton",
            Self::Rest => "rest",
        }
    }
}
