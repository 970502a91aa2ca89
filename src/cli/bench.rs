//! `edgewalk bench`: the time of a network's steps on an adapter.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use super::terminal::{Terminal, show};
use crate::bench::growth::{GrowthPoint, growth};
use crate::bench::{bench, variants};
use crate::config::{self, Resolved};
use crate::device::Device;
use crate::files::{check_folder, write_file};
use crate::observer::Observer;
use crate::results::{Format, PlotError};

/// The arguments of `edgewalk bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// A preset or a TOML file [default: quickstart]; its data are not needed, only their shape
    #[arg(value_name = "PRESET|FILE.toml")]
    target: Option<String>,
    /// Change a setting, as for `edgewalk train`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// List the kernels of a Hessian-vector product instead of those of a gradient step
    #[arg(long)]
    hvp: bool,
    /// Write the figures to a file too
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    /// Time gradient steps of growing size instead: examples, width and depth in turn
    #[arg(long, conflicts_with_all = ["hvp", "json"])]
    growth: bool,
    /// Time every variant of each matrix product and convolution of a gradient instead
    #[arg(long, conflicts_with_all = ["hvp", "json", "growth"])]
    variants: bool,
    /// With --growth, seconds to spend in all
    #[arg(long, value_name = "SECS", default_value_t = 60.0, requires = "growth", value_parser = seconds)]
    budget: f64,
    /// With --growth, the folder for growth.csv and its picture
    #[arg(long, value_name = "DIR", default_value = ".", requires = "growth")]
    out: PathBuf,
    /// With --growth, the format of the picture
    #[arg(long, value_enum, default_value_t = Format::Svg, requires = "growth")]
    format: Format,
    /// The adapter: native, gpu, cpu, part of its name, or its number in `edgewalk info`
    #[arg(long, value_name = "NAME|INDEX")]
    adapter: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(secs) if secs > 0.0 && f64::is_finite(secs) => Ok(secs),
        _ => Err("it must be a number of seconds above 0, such as 60".to_owned()),
    }
}

/// Measures and prints.
///
/// # Errors
/// [`Error`].
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    check_folder(args.out.as_ref())?;
    let resolved = config::resolve(args.target.as_deref(), &args.sets)?;
    let device = Device::open_with(args.adapter.as_deref(), resolved.config.run.precision)?;
    if args.growth {
        return grow(args, &device, &resolved);
    }
    let terminal = Terminal::default();
    terminal.part("compiling and timing");
    if args.variants {
        let timed = variants(&device, &resolved);
        terminal.finished();
        return show(&timed?.to_string());
    }
    let measured = bench(&device, &resolved, args.hvp);
    terminal.finished();
    let measured = measured?;
    show(&measured.to_string())?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&measured.json()).unwrap_or_default() + "\n";
        write_file(path, text.as_bytes())?;
    }
    Ok(())
}

/// Prints every size as it is measured, then the exponents, and writes table and picture.
fn grow(args: &BenchArgs, device: &Device, Resolved { name, config }: &Resolved) -> Result<(), Error> {
    let (mut printed, mut head) = (Ok(()), format!("{}\n", GrowthPoint::HEAD));
    let terminal = Terminal::default();
    terminal.part("compiling and timing");
    let mut watch = |point: &GrowthPoint| {
        if printed.is_ok() {
            printed = terminal.suspended(|| show(&format!("{}{point}\n", std::mem::take(&mut head))));
        }
    };
    let growth = growth(device, name, config, args.budget, &mut watch);
    terminal.finished();
    let growth = growth?;
    printed?;
    let file = |name: &str| Path::new(&args.out).join(name);
    let (table, picture) = (file("growth.csv"), file("growth").with_extension(args.format.extension()));
    write_file(&table, growth.csv().as_bytes())?;
    let drawn = growth.picture(args.format).map_err(|message| PlotError::Draw { path: picture.clone(), message })?;
    write_file(&picture, &drawn)?;
    show(&format!("\n{growth}table in {}, picture in {}\n", table.display(), picture.display()))
}
