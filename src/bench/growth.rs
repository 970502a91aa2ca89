//! The time of a gradient step over the number of examples, width and depth. Each is doubled by itself, with the others
//! as configured, until its budget of time is spent. The slope of log time over log size is an exponent: 1 means
//! proportional. Launches dominate small sizes, so the upper half of the sizes is fitted.

use std::fmt;
use std::time::Instant;

use super::{ExampleSource, NO_LEARNING, Scratch, examples_of_update};
use crate::config::{Config, ModelKind};
use crate::device::{Device, DeviceError};
use crate::folder::table::number;
use crate::optim::{Optimizer, Rule};
use crate::results::Format;
use crate::results::figure::palette::{BLUE, ORANGE, VERMILLION};
use crate::results::figure::{Curve, Figure, Horizontal, Scale, Style};
use crate::run::RunError;

/// Seconds to time one size.
const POINT_SECS: f64 = 0.5;
/// Examples if the configuration means all of a text.
const SOME_EXAMPLES: usize = 128;

/// The axis that is doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowthAxis {
    /// Examples of a step.
    Examples,
    /// Units of a layer, channels of the first block, or features of a token (and, in proportion, of a head).
    Width,
    /// Dense layers, convolutions of a block, or blocks of a Transformer.
    Depth,
}

/// All of them.
const AXES: [GrowthAxis; 3] = [GrowthAxis::Examples, GrowthAxis::Width, GrowthAxis::Depth];

/// The time of a gradient step at one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GrowthPoint {
    /// The axis.
    pub axis: GrowthAxis,
    /// Its size.
    pub size: usize,
    /// Examples.
    pub examples: usize,
    /// Parameters.
    pub parameters: usize,
    /// Dispatches of a step.
    pub dispatches: usize,
    /// Floating-point operations of a step, estimated.
    pub flops: f64,
    /// Seconds of a step.
    pub secs: f64,
}

/// The times of all sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// The preset or file, and the adapter.
    pub title: String,
    /// GrowthAxis by axis, from small to large.
    pub points: Vec<GrowthPoint>,
}

/// Times gradient steps of growing size for about `budget_secs`, compilation included; `watch` receives each as it is
/// measured.
///
/// # Errors
/// [`RunError::Config`] when the model does not fit the data set; device errors, except that a size for which the
/// adapter's limits are too low ends its axis.
pub fn growth(
    device: &Device,
    name: &str,
    config: &Config,
    budget_secs: f64,
    watch: &mut dyn FnMut(&GrowthPoint),
) -> Result<Growth, RunError> {
    let began = Instant::now();
    let source = ExampleSource::of(config)?;
    let mut points = vec![];
    for (number, axis) in AXES.into_iter().enumerate() {
        if !axis.is_free(config.model.kind) {
            continue;
        }
        let left = budget_secs - began.elapsed().as_secs_f64();
        let share = left / (AXES.len() - number) as f64;
        let axis_began = Instant::now();
        let mut size = axis.smallest(config.model.kind);
        loop {
            let point_began = Instant::now();
            let Some(point) = point(device, config, &source, axis, size)? else { break };
            watch(&point);
            points.push(point);
            // The next one compiles at most twice as much, and computes this many times more.
            let took = point_began.elapsed().as_secs_f64();
            let computing = POINT_SECS.min(4.0 * point.secs) + point.secs;
            let next = 2.0 * took + (axis.growth() - 2.0) * computing;
            if axis_began.elapsed().as_secs_f64() + next > share {
                break;
            }
            size *= 2;
        }
    }
    Ok(Growth { title: format!("{name} on {}", device.adapter().name), points })
}

/// The time at one size; `None` if the adapter cannot hold it.
fn point(
    device: &Device,
    config: &Config,
    source: &ExampleSource,
    axis: GrowthAxis,
    size: usize,
) -> Result<Option<GrowthPoint>, RunError> {
    let mut config = config.clone();
    let mut examples = examples_of_update(&config).unwrap_or(SOME_EXAMPLES);
    axis.set(size, &mut config, &mut examples);
    let measure = || {
        let Scratch { mut objective, w } = Scratch::new(device, &config, source, examples)?;
        let optimizer = Optimizer::new(&mut objective, Rule::gd(NO_LEARNING), &w)?;
        let step = optimizer.step(0)?;
        Ok(GrowthPoint {
            axis,
            size,
            examples: objective.examples(),
            parameters: objective.layout().len(),
            dispatches: step.dispatches(),
            flops: step.flops(),
            secs: device.time(&step, POINT_SECS)?,
        })
    };
    match measure() {
        Err(RunError::Device(DeviceError::BufferTooLarge { .. } | DeviceError::Kernel(_))) => Ok(None),
        point => point.map(Some),
    }
}

impl GrowthAxis {
    /// Its word in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Examples => "examples",
            Self::Width => "width",
            Self::Depth => "depth",
        }
    }

    /// Whether networks of a kind differ along it: that of a file has one width and depth, and VGG-11 one depth.
    fn is_free(self, kind: ModelKind) -> bool {
        match self {
            Self::Examples => true,
            Self::Width => kind != ModelKind::Onnx,
            Self::Depth => !matches!(kind, ModelKind::Onnx | ModelKind::Vgg),
        }
    }

    fn smallest(self, kind: ModelKind) -> usize {
        match (self, kind) {
            (Self::Examples, ModelKind::Mlp) => 32,
            (Self::Examples, _) => 8,
            (Self::Width, ModelKind::Mlp | ModelKind::Transformer | ModelKind::Vit) => 16,
            (Self::Width, ModelKind::Cnn | ModelKind::ResNet | ModelKind::Vgg) => 4,
            (Self::Depth, ModelKind::Mlp) => 2,
            (Self::Width | Self::Depth, _) => 1,
        }
    }

    /// The most by which doubling the size multiplies the arithmetic.
    fn growth(self) -> f64 {
        match self {
            Self::Width => 4.0,
            Self::Examples | Self::Depth => 2.0,
        }
    }

    fn set(self, size: usize, config: &mut Config, examples: &mut usize) {
        let model = &mut config.model;
        match (self, model.kind) {
            (Self::Examples, _) => *examples = size,
            (Self::Width, ModelKind::Mlp) => model.width = size,
            (Self::Width, ModelKind::Cnn | ModelKind::ResNet | ModelKind::Vgg) => {
                model.channels = size;
                if !size.is_multiple_of(model.groups) {
                    model.groups = 1;
                }
            }
            (Self::Width, ModelKind::Transformer | ModelKind::Vit) => {
                model.key_size = (model.key_size * size / model.model_size).max(1);
                model.model_size = size;
            }
            (Self::Depth, ModelKind::Mlp) => model.depth = size,
            (Self::Depth, ModelKind::Cnn) => model.layers_per_block = size,
            (Self::Depth, ModelKind::ResNet) => model.depth = 6 * size + 2,
            (Self::Depth, ModelKind::Transformer | ModelKind::Vit) => model.layers = size,
            // These are not free, see `is_free`.
            (Self::Width | Self::Depth, ModelKind::Onnx) | (Self::Depth, ModelKind::Vgg) => {}
        }
    }
}

/// The slope of log y over log x by least squares over the upper half of the points, and the value at x = 1 that goes
/// with it; none for fewer than two points there.
pub fn power_law(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let upper: Vec<(f64, f64)> = points[points.len() / 2..].iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    if upper.len() < 2 {
        return None;
    }
    let count = upper.len() as f64;
    let (x, y) = upper.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x / count, sy + y / count));
    let covariance: f64 = upper.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let variance: f64 = upper.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
    let slope = covariance / variance;
    Some((slope, (y - slope * x).exp()))
}

impl Growth {
    /// (`x`, seconds) of the sizes of one axis.
    fn series(&self, axis: GrowthAxis, x: impl Fn(&GrowthPoint) -> usize) -> Vec<(f64, f64)> {
        let of_axis = self.points.iter().filter(|point| point.axis == axis);
        of_axis.map(|point| (x(point) as f64, point.secs)).collect()
    }

    /// The exponent of an axis in its own size.
    pub fn exponent(&self, axis: GrowthAxis) -> Option<f64> {
        Some(power_law(&self.series(axis, |point| point.size))?.0)
    }

    /// One line for each size.
    pub fn csv(&self) -> String {
        let mut text = "axis,size,examples,parameters,dispatches,flops,secs\n".to_owned();
        for GrowthPoint { axis, size, examples, parameters, dispatches, flops, secs } in &self.points {
            let (axis, flops, secs) = (axis.word(), number(*flops), number(*secs));
            text += &format!("{axis},{size},{examples},{parameters},{dispatches},{flops},{secs}\n");
        }
        text
    }

    /// Time over size, both logarithmic, with the fitted powers as dashed lines. At small sizes the constant parts
    /// (launches, the first layer) lift the time above them.
    ///
    /// # Errors
    /// The plotting library's message, if it cannot encode the picture.
    pub fn picture(&self, format: Format) -> Result<Vec<u8>, String> {
        let mut curves = vec![];
        for (axis, color) in AXES.into_iter().zip([BLUE, VERMILLION, ORANGE]) {
            let points = self.series(axis, |point| point.size);
            let fit = power_law(&points);
            let exponent = fit.map_or_else(String::new, |(slope, _)| format!(", exponent {slope:.2}"));
            if let Some((slope, factor)) = fit {
                let fitted = points.iter().map(|&(x, _)| (x, factor * x.powf(slope)));
                let style = Style { color, width: 1.25, dashes: "4 4" };
                curves.push(Curve::new("", fitted.collect(), style));
            }
            let style = Style { color, width: 2.5, dashes: "" };
            curves.push(Curve::new(format!("{}{exponent}", axis.word()), points, style));
        }
        let figure = Figure {
            title: format!("Time of a gradient step: {}", self.title),
            x: Horizontal::Log("examples, width, depth".into()),
            y_label: "seconds a step",
            scale: Scale::Log,
            curves,
            ..Default::default()
        };
        figure.render(&format.into())
    }
}

impl fmt::Display for GrowthPoint {
    /// A line of the table whose head is [`GrowthPoint::HEAD`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis, size, examples, parameters, dispatches, flops, secs } = self;
        let (ms, speed) = (1e3 * secs, flops / secs / 1e9);
        let axis = axis.word();
        write!(f, "{axis:8} {size:6} {examples:9} {parameters:11} {dispatches:11} {ms:12.3} {speed:8.1}")
    }
}

impl GrowthPoint {
    /// The names of the columns of a point.
    pub const HEAD: &str = "axis       size  examples  parameters  dispatches   ms a step  GFLOP/s";
}

impl fmt::Display for Growth {
    /// The exponents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for axis in AXES {
            let Some(slope) = self.exponent(axis) else {
                writeln!(f, "{}: too few sizes for an exponent; give more --budget", axis.word())?;
                continue;
            };
            write!(f, "time ~ {}^{slope:.2}", axis.word())?;
            if let Some((slope, _)) =
                power_law(&self.series(axis, |point| point.parameters)).filter(|_| axis != GrowthAxis::Examples)
            {
                write!(f, " ~ parameters^{slope:.2}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
