//! The rows of a run's three tables. `columns` lists how they are written and read, and what they mean.
//!
//! Row `step = t` describes the parameters before update t.

use crate::config::{MeasureAt, MeasuringSet};

/// One row of `metrics.csv`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The training loss, or that of the step's minibatch.
    pub loss: f64,
    /// The fraction of these examples that is misclassified.
    pub error: f64,
    /// The Euclidean norm of the loss gradient.
    pub grad_norm: f64,
    /// The loss on the test set, if measured.
    pub test_loss: Option<f64>,
    /// The fraction of the test set that is misclassified.
    pub test_error: Option<f64>,
    /// The learning rate of the update; early tables lack this.
    pub lr: Option<f64>,
}

/// One row of `curvature.csv`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CurvatureRow {
    /// Updates made so far.
    pub step: u64,
    /// Seconds since the run began.
    pub secs: f64,
    /// The loss on the measuring set.
    pub loss: f64,
    /// The Euclidean norm of its gradient.
    pub grad_norm: f64,
    /// The Hessian's eigenvalues, signed, largest in magnitude first.
    pub lambdas: Vec<f64>,
    /// The relative residual of each eigenpair, see [`crate::curvature::Spectrum::relative_residuals`].
    pub residuals: Vec<f64>,
    /// Whether each eigenpair has converged; early tables lack this.
    pub converged: Vec<bool>,
    /// A bound on the distance of each of `lambdas` from an eigenvalue, see [`crate::curvature::Eigenpair::error`].
    pub errors: Vec<f64>,
    /// For each of `lambdas`, the number, from 1, of the eigenpair in the row before that it continues: the one whose
    /// eigenvector has cos² > ½ to its own. Empty if none does, and in early tables.
    pub follows: Vec<Option<u64>>,
    /// The lowest eigenvalues, rising, if requested.
    pub bottoms: Vec<f64>,
    /// A bound on the distance of each of `bottoms` from an eigenvalue.
    pub bottom_errors: Vec<f64>,
    /// The largest and the smallest Ritz value, inner bounds, if measured.
    pub lambda_max: Option<Extreme>,
    /// See `lambda_max`.
    pub lambda_min: Option<Extreme>,
    /// ‖H‖ = |λ₁|.
    pub hessian_norm: f64,
    /// The edge of the rule without its perturbation: 2/η unless there is momentum or decay.
    pub gd_edge: f64,
    /// The edge of the rule: the SAM-edge, or that of its relative; `gd_edge` when ρ = 0. NaN, an empty cell, if theory
    /// gives none; so are the two columns that follow from it.
    pub sam_edge: f64,
    /// λ_max divided by `sam_edge`; NaN if no eigenvalue is positive.
    pub edge_ratio: f64,
    /// The largest eigenvalue of the update operator; early tables lack this.
    pub update_sharpness: Option<f64>,
    /// A bound on its distance from an eigenvalue.
    pub update_error: Option<f64>,
    /// The gauge of the update, 1 at the edge: η(λ_max(M) + c)/S, see [`crate::optim::Rule::gauge`].
    pub gauge: f64,
    /// For an adaptive base, how its preconditioner shows in it.
    pub preconditioned: Option<PreconditionedRow>,
    /// |cos(g, v₁)|.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v₁)|.
    pub sam_grad_alignment: f64,
    /// The share of the length of g that lies in the span of the eigenvectors of `lambdas`; early tables lack this.
    pub grad_subspace: Option<f64>,
    /// The same for the gradient that the update follows.
    pub sam_grad_subspace: Option<f64>,
    /// Hessian-vector products spent on this row.
    pub hvps: u64,
    /// Seconds that they took, and the algebra between them.
    pub solve_secs: Option<f64>,
    /// The sharpness of the step's minibatch, if there are minibatches.
    pub batch: Option<BatchRow>,
    /// The parameters of the eigenvalues; early tables lack this and mean those of the step.
    pub at: Option<MeasureAt>,
    /// The examples of this row; early tables lack this.
    pub measured: Option<MeasuringSet>,
    /// The report of the official code, if requested.
    pub official: Option<OfficialRow>,
}

/// The columns of `curvature.csv` that show the official code's estimate beside the exact values.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficialRow {
    /// Its ‖H‖.
    pub hessian_norm: f64,
    /// Its ‖H‖ divided by the SAM-edge; NaN, an empty cell, if there is no edge.
    pub edge_ratio: f64,
    /// |cos(g, v)| with its vector.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/‖g‖), v)| with its vector.
    pub sam_grad_alignment: f64,
    /// Differences of gradients it took.
    pub hvps: u64,
}

/// A Ritz value at an end of the spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    /// The value.
    pub value: f64,
    /// Its residual: some eigenvalue is this close.
    pub error: f64,
}

/// The columns of `curvature.csv` about the minibatch B of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchRow {
    /// g_BᵀH_Bg_B/‖g_B‖², the curvature along the batch's own gradient, which settles at 2/η in stochastic gradient
    /// descent (A. Andreyev and P. Beneventano, "Edge of Stochastic Stability", 2025, whose batch sharpness is its
    /// mean). NaN, an empty cell, if g_B = 0.
    pub sharpness: f64,
    /// ‖g_B‖
    pub grad_norm: f64,
    /// The mean of the sharpness over fresh minibatches at the same parameters, if measured.
    pub fresh: Option<FreshBatches>,
}

/// The batch sharpness as an expectation, E_B[g_BᵀH_Bg_B/‖g_B‖²] over minibatches drawn at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshBatches {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// The minibatches drawn.
    pub batches: u64,
}

/// The columns of `curvature.csv` about the diagonal P of an adaptive base, at the update of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreconditionedRow {
    /// λ_max(P^-½MP^-½), M being H, or for SAM its update operator: the update operator of the rule.
    pub sharpness: f64,
    /// A bound on its distance from an eigenvalue.
    pub error: f64,
    /// Where it is at the edge, see [`crate::optim::Rule::most`].
    pub edge: f64,
    /// Their quotient.
    pub gauge: f64,
    /// The share of parameters that take part in the eigenvector, (Σv²)²/Σv⁴ ÷ n. Where it is tiny, the sharpness tells of
    /// parameters whose gradient has hardly been above ε.
    pub participation: f64,
}

impl CurvatureRow {
    /// Whether the SAM-edge is 2/η here to rounding, as in gradient descent.
    pub fn edges_coincide(&self) -> bool {
        (self.sam_edge - self.gd_edge).abs() <= 1e-6 * self.gd_edge
    }

    /// Whether λ₁ can be judged: it has converged, if the table has the column.
    pub fn is_sound(&self) -> bool {
        self.converged.first() != Some(&false)
    }

    /// Whether λ₁ has converged, and yet its error bar is above a hundredth of it: float32 cannot resolve it.
    pub fn is_unresolved(&self) -> bool {
        let first = self.errors.first().zip(self.lambdas.first());
        self.is_sound() && first.is_some_and(|(error, lambda)| *error > 0.01 * lambda.abs())
    }
}

/// The optional columns of a table of curvature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CurvatureColumns {
    /// Eigenvalues by magnitude.
    pub top: usize,
    /// Lowest eigenvalues.
    pub bottom: usize,
    /// The minibatch's own sharpness.
    pub batch: bool,
    /// The official code's estimate.
    pub official: bool,
    /// The preconditioned sharpness.
    pub adaptive: bool,
}

/// One row of `oscillation.csv`: what the parameters did in some updates after a measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OscillationRow {
    /// The step that was measured, with which the window begins.
    pub step: u64,
    /// The updates followed.
    pub updates: u64,
    /// λ₁ at the beginning.
    pub lambda_1: f64,
    /// Mean of ½|⟨w₊ − w, v₁⟩| over the updates.
    pub amplitude: f64,
    /// What a two-cycle on a quadratic would have, where theory gives it.
    pub amplitude_predicted: Option<f64>,
    /// That times |cos(g, v₁)|; early tables lack this.
    pub amplitude_aligned: Option<f64>,
    /// The period of ⟨w, v₁⟩, where there is one.
    pub period: Option<u64>,
    /// Movement an update along the unit vector in which λ₁ rises.
    pub drift: f64,
    /// What plain gradient descent would make of it.
    pub drift_of_gradient: f64,
    /// What SAM's oscillation adds on a quadratic in a valley of changing width, where theory gives it.
    pub drift_predicted: Option<f64>,
    /// The same from the amplitude as measured and |cos(g, v₁)|; early tables lack this.
    pub drift_aligned: Option<f64>,
}
