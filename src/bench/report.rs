//! A benchmark in words for people and in JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Bench, KernelTime, WholeTime};
use crate::device::Peaks;
use crate::text::{counted, duration};

const GIGA: f64 = 1e9;

impl Bench {
    /// All measurements, in seconds, operations and bytes.
    pub fn json(&self) -> Value {
        let gradient = self.gradient_secs();
        let kernel = |kernel: &KernelTime| {
            json!({
                "kernel": kernel.label,
                "count": kernel.count,
                "secs": kernel.secs,
                "flops": kernel.flops,
                "bytes": kernel.bytes,
                "of_limit": kernel.of_limit(&self.peaks),
            })
        };
        let whole = |whole: &WholeTime| {
            json!({
                "name": whole.name,
                "dispatches": whole.dispatches,
                "secs": whole.secs,
                "flops": whole.flops,
                "gradients": whole.secs / gradient,
            })
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "name": self.name,
            "adapter": self.adapter,
            "parameters": self.parameters,
            "examples": self.examples,
            "chunk": self.rows,
            "peaks": {
                "flops_per_sec": self.peaks.flops_per_sec,
                "bytes_per_sec": self.peaks.bytes_per_sec,
                "launch_secs": self.peaks.launch_secs,
            },
            "kernels_of": self.kernels_of,
            "kernels": self.kernels.iter().map(kernel).collect::<Vec<_>>(),
            "wholes": self.wholes.iter().map(whole).collect::<Vec<_>>(),
        })
    }

    /// Seconds of the first whole, the gradient step.
    fn gradient_secs(&self) -> f64 {
        self.wholes.first().map_or(f64::NAN, |whole| whole.secs)
    }
}

impl KernelTime {
    /// The least time that the adapter's limits allow, as a share of the time taken. Above 1 if operands come from
    /// caches, which the memory limit ignores.
    pub fn of_limit(&self, peaks: &Peaks) -> f64 {
        peaks.least_secs(self.flops, self.bytes) / self.secs
    }
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, adapter, parameters, examples, wanted, rows, peaks, kernels_of, .. } = self;
        writeln!(f, "{name} on {adapter}")?;
        let (parameters, made_up) = (counted(*parameters, "parameter"), counted(*examples, "made-up example"));
        write!(f, "{parameters}; {made_up}, {rows} at a time")?;
        match wanted {
            Some(wanted) if wanted > examples => writeln!(f, ", for an update on {wanted}: the rest take as long each"),
            _ => writeln!(f),
        }?;
        writeln!(
            f,
            "at best {:.1} GFLOP/s (multiply-adds in registers), {:.1} GB/s (copy), {:.1} µs from a dispatch to the \
             next\n",
            peaks.flops_per_sec / GIGA,
            peaks.bytes_per_sec / GIGA,
            1e6 * peaks.launch_secs
        )?;
        let total: f64 = self.kernels.iter().map(|kernel| kernel.secs).sum();
        writeln!(f, "kernels of {kernels_of}, {} in all:", duration(total))?;
        writeln!(f, "count        ms   share   GFLOP/s     GB/s   limit  kernel")?;
        for kernel in &self.kernels {
            let KernelTime { label, count, secs, flops, bytes } = kernel;
            writeln!(
                f,
                "{count:5} {:9.3} {:5.1} % {:9.1} {:8.1} {:5.0} %  {label}",
                1e3 * secs,
                100.0 * secs / total,
                flops / secs / GIGA,
                bytes / secs / GIGA,
                100.0 * kernel.of_limit(peaks)
            )?;
        }
        writeln!(f, "\n                    ms  ÷ gradient  dispatches   GFLOP/s")?;
        let gradient = self.gradient_secs();
        for WholeTime { name, dispatches, secs, flops } in &self.wholes {
            writeln!(
                f,
                "{name:13} {:8.3} {:11.2} {dispatches:11} {:9.1}",
                1e3 * secs,
                secs / gradient,
                flops / secs / GIGA
            )?;
        }
        Ok(())
    }
}
