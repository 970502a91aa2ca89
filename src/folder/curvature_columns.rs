//! The columns of `curvature.csv`, see `columns`.

use super::cells::{batch, converged, extreme, follows, measured, official, preconditioned};
use super::columns::{Column, Count, Row, field, list, maybe, part, real, whole};
use super::rows::CurvatureRow;
use super::table::{Line, RecordError, number, optional};

impl Row for CurvatureRow {
    const COLUMNS: &'static [Column<Self>] = &[
        whole!("step", step, "as in `metrics.csv`"),
        real!("secs", secs, "as in `metrics.csv`"),
        real!("loss", loss, "loss on the measuring set"),
        real!("grad_norm", grad_norm, "‖∇L(w)‖ on the measuring set"),
        list!(
            "lambda",
            lambdas,
            Count::Top,
            "eigenvalues of the Hessian with their signs, the largest magnitude first"
        ),
        list!(
            "residual",
            residuals,
            Count::Top,
            "relative residual ‖Hv − λv‖ ÷ |λ|. Some eigenvalue lies within that relative distance of λ. Where |λ| is below ‖H‖/1000, the divisor is ‖H‖/1000."
        ),
        part!(
            "lambda_min",
            Count::One,
            |row| row.lambda_min.map(|extreme| extreme.value),
            |row, line, name| extreme(line, name).map(|found| row.lambda_min = found),
            "the lowest eigenvalue, if the solve found it: with `measure.bottom`, or if its residual is below a hundredth of it"
        ),
        real!("hessian_norm", hessian_norm, "‖H‖ = |`lambda_1`|"),
        real!(
            "gd_edge",
            gd_edge,
            "the edge of the update rule without its perturbation, which is 2/η if there is no momentum and no weight decay"
        ),
        real!(
            "sam_edge",
            sam_edge,
            "the edge of one eigenvalue under the update rule at this ‖g‖: the SAM-edge, or that of the rule in use ([rules.md](rules.md#the-rules)); of minibatches at the ‖g_B‖ of the step; empty if the rule has no edge for one eigenvalue"
        ),
        real!(
            "edge_ratio",
            edge_ratio,
            "`lambda_max` ÷ `sam_edge`; empty if no eigenvalue is positive, or the rule has no edge for one eigenvalue"
        ),
        real!(
            "gauge",
            gauge,
            "the gauge of the update, for every rule: 1 at the edge ([rules.md](rules.md#the-gauge-of-an-update))"
        ),
        real!("grad_alignment", grad_alignment, "|cos| of the angle between the top eigenvector v₁ and ∇L(w)"),
        real!(
            "sam_grad_alignment",
            sam_grad_alignment,
            "|cos| of the angle between v₁ and the gradient that the update follows"
        ),
        whole!("hvps", hvps, "Hessian-vector products that this measurement took"),
        Column {
            name: "measured_on",
            count: Count::One,
            write: |row, _| row.measured.map_or_else(String::new, |set| set.on.to_string()),
            read: measured,
            meaning: "the measuring set: `train`, `fixed` or `batch`",
        },
        Column {
            name: "examples",
            count: Count::One,
            write: |row, _| row.measured.map_or_else(String::new, |set| set.examples.to_string()),
            read: with_another,
            meaning: "its number of examples",
        },
        Column {
            name: "measured_at",
            count: Count::One,
            write: |row, _| row.at.map_or_else(String::new, |at| at.to_string()),
            read: |row, line, name| line.optional(name).map(|at| row.at = at),
            meaning: "the parameters that the eigenvalues belong to: the `iterate` of the step, or its `midpoint`",
        },
        list!(
            "error",
            errors,
            Count::Top,
            "upper bound on the distance from λ to an eigenvalue, in the units of λ ([how it is computed](curvature.md#options-and-error-bars))"
        ),
        part!(
            "lambda_max",
            Count::One,
            |row| row.lambda_max.map(|extreme| extreme.value),
            |row, line, name| extreme(line, name).map(|found| row.lambda_max = found),
            "the largest eigenvalue, positive before negative"
        ),
        part!(
            "lambda_max_error",
            Count::One,
            |row| row.lambda_max.map(|extreme| extreme.error),
            with_another,
            "upper bound on the distance from it to an eigenvalue"
        ),
        part!(
            "lambda_min_error",
            Count::One,
            |row| row.lambda_min.map(|extreme| extreme.error),
            with_another,
            "the residual of `lambda_min`"
        ),
        maybe!(
            "grad_subspace",
            grad_subspace,
            "length of the part of ∇L(w) in the span of the k eigenvectors, divided by ‖∇L(w)‖"
        ),
        maybe!("sam_grad_subspace", sam_grad_subspace, "the same of the gradient that the update follows"),
        maybe!("solve_secs", solve_secs, "seconds that the measurement took"),
        list!("bottom", bottoms, Count::Bottom, "only with `measure.bottom`: the lowest eigenvalues, rising"),
        list!(
            "bottom_error",
            bottom_errors,
            Count::Bottom,
            "upper bound on the distance from each of them to an eigenvalue"
        ),
        part!(
            "batch_sharpness",
            Count::Batch,
            |row| row.batch.map(|batch| batch.sharpness),
            with_another,
            "only with minibatches: g_BᵀH_Bg_B/‖g_B‖² of the step's minibatch B"
        ),
        part!(
            "batch_grad_norm",
            Count::Batch,
            |row| row.batch.map(|batch| batch.grad_norm),
            batch,
            "‖g_B‖ of the same"
        ),
        part!(
            "official_hessian_norm",
            Count::Official,
            |row| row.official.as_ref().map(|official| official.hessian_norm),
            official,
            "only with `measure.method = \"official\"`: `hessian_norm` as the paper's code would report it ([curvature.md](curvature.md#the-estimate-of-the-papers-code))"
        ),
        part!(
            "official_edge_ratio",
            Count::Official,
            |row| row.official.as_ref().map(|official| official.edge_ratio),
            with_another,
            "`edge_ratio`, likewise"
        ),
        part!(
            "official_grad_alignment",
            Count::Official,
            |row| row.official.as_ref().map(|official| official.grad_alignment),
            with_another,
            "`grad_alignment`, likewise"
        ),
        part!(
            "official_sam_grad_alignment",
            Count::Official,
            |row| row.official.as_ref().map(|official| official.sam_grad_alignment),
            with_another,
            "`sam_grad_alignment`, likewise"
        ),
        Column {
            name: "official_hvps",
            count: Count::Official,
            write: |row, _| row.official.as_ref().map_or_else(String::new, |official| official.hvps.to_string()),
            read: with_another,
            meaning: "differences of gradients that it took",
        },
        Column {
            name: "converged",
            count: Count::Top,
            write: |row, i| row.converged.get(i).map_or_else(String::new, |&yes| u8::from(yes).to_string()),
            read: converged,
            meaning: "1 if the residual is within `measure.tol`, else 0. A run's verdict ignores rows in which λ₁ has not converged.",
        },
        maybe!(
            "update_sharpness",
            update_sharpness,
            "the largest eigenvalue of the update operator M ([rules.md](rules.md#the-gauge-of-an-update))"
        ),
        maybe!("update_error", update_error, "upper bound on the distance from it to an eigenvalue of M"),
        part!(
            "preconditioned_sharpness",
            Count::Adaptive,
            |row| row.preconditioned.map(|it| it.sharpness),
            preconditioned,
            "only with an adaptive base: λ_max(P^-½MP^-½) with the base's P of this update, which is `update_sharpness` ([rules.md](rules.md#adaptive-bases))"
        ),
        part!(
            "preconditioned_error",
            Count::Adaptive,
            |row| row.preconditioned.map(|it| it.error),
            with_another,
            "upper bound on the distance from it to an eigenvalue"
        ),
        part!(
            "preconditioned_edge",
            Count::Adaptive,
            |row| row.preconditioned.map(|it| it.edge),
            with_another,
            "the edge that it is compared with: 2/η for RMSProp, (2 + 2β₁)/((1 − β₁)η) for Adam"
        ),
        part!(
            "preconditioned_gauge",
            Count::Adaptive,
            |row| row.preconditioned.map(|it| it.gauge),
            with_another,
            "their quotient, which is `gauge`"
        ),
        part!(
            "participation",
            Count::Adaptive,
            |row| row.preconditioned.map(|it| it.participation),
            with_another,
            "share of the parameters that take part in its eigenvector v, (Σv²)²/Σv⁴ ÷ n. If it is tiny, the sharpness is about a few parameters whose √ν is near ε."
        ),
        part!(
            "batch_sharpness_mean",
            Count::Batch,
            |row| row.batch.and_then(|batch| batch.fresh).map(|fresh| fresh.mean),
            with_another,
            "only with minibatches: the mean of `batch_sharpness` over fresh minibatches at the same parameters ([curvature.md](curvature.md#while-a-run-goes))"
        ),
        part!(
            "batch_sharpness_error",
            Count::Batch,
            |row| row.batch.and_then(|batch| batch.fresh).map(|fresh| fresh.error),
            with_another,
            "its standard error"
        ),
        Column {
            name: "batch_sharpness_batches",
            count: Count::Batch,
            write: |row, _| {
                let fresh = row.batch.and_then(|batch| batch.fresh);
                fresh.map_or_else(String::new, |fresh| fresh.batches.to_string())
            },
            read: with_another,
            meaning: "the minibatches drawn for it",
        },
        Column {
            name: "follows",
            count: Count::Top,
            write: |row, i| row.follows.get(i).copied().flatten().map_or_else(String::new, |number| number.to_string()),
            read: follows,
            meaning: "the number of the eigenvalue of the row before that this one continues: their eigenvectors have cos² > ½. Empty if there is none",
        },
    ];
}

/// Of a column whose cells are read with those of another.
fn with_another(_: &mut CurvatureRow, _: &Line<'_>, _: &str) -> Result<(), RecordError> {
    Ok(())
}
