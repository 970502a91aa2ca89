//! An analysis in words for people and in JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Analysis, Finding, Part, UpdateFound};
use crate::curvature::{Eigenpair, Estimate, QuadratureNode, RitzValue, SpectralDensity};
use crate::files::write_file;
use crate::results::Format;
use crate::run::RunError;
use crate::text::{counted, decimals, duration};

impl Analysis {
    /// Writes the files of the results.
    pub(super) fn write(&self, format: Format) -> Result<(), RunError> {
        let text = serde_json::to_string_pretty(&self.json()).unwrap_or_default() + "\n";
        self.remove_densities();
        write_file(&self.out.join("curvature.json"), text.as_bytes())?;
        self.write_densities(format)
    }

    /// All results. Values that are not finite are null.
    fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "params": self.params,
            "step": self.step,
            "adapter": self.adapter,
            "examples": self.examples,
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            "gd_edge": self.rule.unperturbed().edge(&[]),
            "sam_edge": self.edge,
            "findings": self.findings.iter().map(|finding| self.finding(finding)).collect::<Vec<_>>(),
        })
    }

    fn finding(&self, finding: &Finding) -> Value {
        let spectrum = &finding.spectrum;
        let pair = |pair: &Eigenpair| {
            json!({
                "value": pair.value,
                "error": pair.error,
                "residual": pair.residual,
                "converged": pair.converged,
            })
        };
        let estimate = |e: &Estimate| {
            json!({
                "value": e.value,
                "standard_error": e.standard_error,
                "rounding": e.rounding,
                "interval": [e.interval.0, e.interval.1],
                "level": e.level,
            })
        };
        let ritz = |r: &RitzValue| json!({ "value": r.value, "residual": r.residual });
        let mut value = json!({
            "block": finding.block,
            "parameters": finding.parameters,
            "matrix": finding.part.key(),
            "eigenvalues": spectrum.pairs.iter().map(pair).collect::<Vec<_>>(),
            "lowest": spectrum.bottom.iter().map(pair).collect::<Vec<_>>(),
            "lambda_max": ritz(&spectrum.lambda_max),
            "lambda_min": ritz(&spectrum.lambda_min),
            "grad_alignments": finding.alignments,
            "grad_subspace": finding.subspace[0],
            "sam_grad_subspace": finding.subspace[1],
            "products": spectrum.products,
            "secs": finding.secs[0],
        });
        if let (Part::Hessian, Some(UpdateFound { sharpness, lambda_max, participation })) = (finding.part, self.update)
        {
            let positive = Some(lambda_max.value).filter(|max| *max > 0.0);
            value["update_sharpness"] = sharpness.value.into();
            value["update_error"] = sharpness.error.into();
            value["gauge"] = self.rule.gauge(sharpness.value).into();
            if participation.is_some() {
                value["preconditioned_sharpness"] = sharpness.value.into();
                value["preconditioned_edge"] = self.rule.most().into();
                value["participation"] = participation.into();
            }
            value["edge_ratio"] = positive.zip(self.edge).map(|(max, edge)| max / edge).into();
        }
        if let Some(trace) = &finding.trace {
            value["trace"] = estimate(&trace.estimate);
            value["trace"]["products"] = trace.products.into();
            value["trace"]["secs"] = finding.secs[1].into();
        }
        if let Some(density) = &finding.density {
            let probes = density.probes.iter();
            let nodes = |nodes: &Vec<QuadratureNode>| nodes.iter().map(|n| [n.value, n.weight]).collect::<Vec<_>>();
            value["density"] = json!({
                "trace": estimate(&density.trace()),
                "lambda_min": ritz(&density.lambda_min),
                "lambda_max": ritz(&density.lambda_max),
                "nodes": probes.map(nodes).collect::<Vec<_>>(),
                "products": density.products,
                "secs": finding.secs[2],
            });
        }
        value
    }
}

impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{}{}, {}",
            self.params.display(),
            self.step.map_or_else(String::new, |step| format!("step {step}, ")),
            counted(self.examples, "training example"),
            self.adapter
        )?;
        write!(f, "loss {:.6e}, ‖g‖ {:.4e}", self.loss, self.grad_norm)?;
        if let Some(edge) = self.rule.unperturbed().edge(&[]) {
            write!(f, ", gradient descent's edge {}", decimals(edge, 4))?;
        }
        if self.rule.perturbs()
            && let Some(edge) = self.edge
        {
            write!(f, ", the perturbed rule's {}", decimals(edge, 4))?;
        }
        if let Some(reason) = self.rule.no_edge(&self.rule.climb(&[self.grad_norm])) {
            write!(f, "\nno eigenvalue has an edge: {reason}")?;
        }
        if let Some(UpdateFound { sharpness, participation, .. }) = self.update {
            let (gauge, error) =
                (self.rule.gauge(sharpness.value), self.rule.gauge(sharpness.error) - self.rule.gauge(0.0));
            write!(f, "\ngauge of the update {} ± {error:.1e}, 1 at the edge", decimals(gauge, 4))?;
            if let Some(participation) = participation {
                let (value, edge) = (decimals(sharpness.value, 4), decimals(self.rule.most(), 4));
                write!(f, "\npreconditioned sharpness {value}, edge {edge}, {participation:.1e} of the parameters")?;
            }
        }
        writeln!(f)?;
        self.findings.iter().try_for_each(|finding| self.describe(finding, f))
    }
}

impl Analysis {
    fn describe(&self, finding: &Finding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { block, parameters, part, spectrum, alignments, subspace, trace, density, secs } = finding;
        let whole = if block == "all" { "all parameters".to_owned() } else { format!("block {block}") };
        writeln!(f, "\n{} of {whole} ({parameters})", part.words())?;
        let edge = self.edge.filter(|edge| *edge > 0.0);
        for (i, pair) in spectrum.pairs.iter().enumerate() {
            write!(f, "  λ{:<3} {}", i + 1, value(pair))?;
            match (part, edge) {
                (Part::Hessian, Some(edge)) if pair.value > 0.0 => {
                    write!(f, "   {:>7} × edge", decimals(pair.value / edge, 4))?;
                }
                (Part::Hessian, Some(_)) => write!(f, "   {:14}", "escapes")?,
                _ => {}
            }
            writeln!(f, "   |cos(g, v)| {}{}{}", share(alignments[i]), shortfall(pair), unresolved(pair))?;
        }
        for (i, pair) in spectrum.bottom.iter().enumerate() {
            writeln!(f, "  lowest {} {}{}", i + 1, value(pair), shortfall(pair))?;
        }
        let (first, gradient) = (spectrum.pairs.len(), subspace[0]);
        writeln!(
            f,
            "  {} of ‖g‖ and {} of the followed gradient's in the span of the first {first}",
            share(gradient),
            share(subspace[1])
        )?;
        writeln!(f, "  {}, {}", counted(spectrum.products, "product"), duration(secs[0]))?;
        if let Some(trace) = trace {
            let products = counted(trace.products, "product");
            writeln!(f, "  trace   {}, {products}, {}", interval(&trace.estimate), duration(secs[1]))?;
        }
        if let Some(density) = density {
            let (range, trace) = (range(density), interval(&density.trace()));
            let products = counted(density.products, "product");
            writeln!(f, "  density {range}; its trace {trace}, {products}, {}", duration(secs[2]))?;
        }
        Ok(())
    }
}

/// An eigenvalue with its error bar and residual.
fn value(pair: &Eigenpair) -> String {
    format!("{:>12} ± {:.1e} (residual {:.1e})", decimals(pair.value, 6), pair.error, pair.residual)
}

/// The range of a density, and its clearly negative share; a remark for a matrix that is 0 to rounding.
fn range(density: &SpectralDensity) -> String {
    let (low, high) = (density.lambda_min.value, density.lambda_max.value);
    let norm = high.abs().max(low.abs());
    if norm <= density.rounding {
        return match density.rounding {
            0.0 => "of a matrix whose eigenvalues are all 0".to_owned(),
            rounding => format!("of a matrix whose eigenvalues are all 0 to rounding (± {rounding:.1e})"),
        };
    }
    let below = 100.0 * density.cumulative(-1e-3 * norm);
    format!("from {} to {}, {below:.2} % of it below −‖·‖/1000", decimals(low, 4), decimals(high, 4))
}

/// A cosine or a share of a length; of a gradient that is 0 there is none.
fn share(x: f64) -> String {
    if x.is_nan() { "undefined".into() } else { format!("{x:.4}") }
}

fn shortfall(pair: &Eigenpair) -> &'static str {
    if pair.converged { "" } else { "   not converged: raise --max-products" }
}

/// A remark on one of the eigenvalues by magnitude whose error is float32's.
fn unresolved(pair: &Eigenpair) -> &'static str {
    let is_rough = pair.converged && pair.error > pair.residual + 0.01 * pair.value.abs();
    if is_rough { "   float32 resolves it no better" } else { "" }
}

fn interval(e: &Estimate) -> String {
    let [value, low, high] = [e.value, e.interval.0, e.interval.1].map(|x| decimals(x, 5));
    format!("{value} ({low} to {high} at {:.0} %)", 100.0 * e.level)
}
