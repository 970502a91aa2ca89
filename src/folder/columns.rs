//! The columns of a run's three tables, each in one entry of a list: its name, how its cells are written and read, and what they
//! mean. From these lists come the tables, their readers and the pages about them. New columns go to the end of a list, and are
//! read with `optional`, so that older tables stay readable.

use super::cells::{batch, converged, extreme, measured, official, preconditioned};
use super::rows::{CurvatureColumns, CurvatureRow, MetricsRow, OscillationRow};
use super::table::{Line, RecordError, number, optional};

/// One column, or several that are numbered from 1.
pub struct Column<R: 'static> {
    pub(super) name: &'static str,
    pub(super) count: Count,
    /// The cell of the column with an index from 0.
    pub(super) write: fn(&R, usize) -> String,
    pub(super) read: fn(&mut R, &Line<'_>, &str) -> Result<(), RecordError>,
    pub(super) meaning: &'static str,
}

/// Which of them a table has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// The column itself, without a number.
    One,
    /// As many as eigenvalues by magnitude.
    Top,
    /// As many as lowest eigenvalues.
    Bottom,
    /// One where there are minibatches.
    Batch,
    /// One where the official code's estimate is asked for.
    Official,
    /// One for an adaptive base.
    Adaptive,
}

/// A row of a table with these columns.
pub trait Row: Default + 'static {
    /// In the order of the table.
    const COLUMNS: &'static [Column<Self>];
}

impl Count {
    /// The numbers of the columns, 0 standing for none.
    pub(super) fn numbers(self, columns: CurvatureColumns) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::One => 0..=0,
            Self::Top => 1..=columns.top,
            Self::Bottom => 1..=columns.bottom,
            Self::Batch => usize::from(!columns.batch)..=0,
            Self::Official => usize::from(!columns.official)..=0,
            Self::Adaptive => usize::from(!columns.adaptive)..=0,
        }
    }
}

/// The columns as rows of a table in Markdown (docs/run-folder.md).
pub fn in_markdown<R: Row>() -> String {
    let name = |column: &Column<R>| match column.count {
        Count::One | Count::Batch | Count::Official | Count::Adaptive => format!("`{}`", column.name),
        Count::Top => format!("`{0}_1` … `{0}_k`", column.name),
        Count::Bottom => format!("`{}_1` …", column.name),
    };
    let line = |column: &Column<R>| format!("| {} | {} |\n", name(column), column.meaning.replace('|', "\\|"));
    R::COLUMNS.iter().map(line).collect()
}

/// A column that is one field: how a cell is made of it, and the method of [`Line`] that reads it.
macro_rules! field {
    ($name:literal, $field:ident, $write:expr, $read:ident, $meaning:literal) => {
        Column {
            name: $name,
            count: Count::One,
            write: |row, _| $write(row.$field),
            read: |row, line, name| line.$read(name).map(|value| row.$field = value),
            meaning: $meaning,
        }
    };
}

/// A whole number, which every row has.
macro_rules! whole {
    ($name:literal, $field:ident, $meaning:literal) => {
        field!($name, $field, |value: u64| value.to_string(), required, $meaning)
    };
}

/// A number; NaN is an empty cell.
macro_rules! real {
    ($name:literal, $field:ident, $meaning:literal) => {
        field!($name, $field, number, or_nan, $meaning)
    };
}

/// A number that not all rows or tables have.
macro_rules! maybe {
    ($name:literal, $field:ident, $meaning:literal) => {
        field!($name, $field, optional, optional, $meaning)
    };
}

/// Numbered columns.
macro_rules! list {
    ($name:literal, $field:ident, $count:expr, $meaning:literal) => {
        Column {
            name: $name,
            count: $count,
            write: |row, i| optional(row.$field.get(i).copied()),
            read: |row, line, name| line.numbered(name).map(|values| row.$field = values),
            meaning: $meaning,
        }
    };
}

impl Row for MetricsRow {
    const COLUMNS: &'static [Column<Self>] = &[
        whole!("step", step, "updates made"),
        real!("secs", secs, "seconds since the run began"),
        real!("loss", loss, "mean training loss; with minibatches, the loss of the step's minibatch"),
        real!(
            "error",
            error,
            "fraction misclassified among the same examples (for text, among the characters). An example counts as right if the output of its label is larger than all others. A tie counts as wrong."
        ),
        real!("grad_norm", grad_norm, "‖∇L(w)‖ of the same examples"),
        maybe!(
            "test_loss",
            test_loss,
            "loss on the test set, at the steps where the curvature is measured and at the end"
        ),
        maybe!("test_error", test_error, "fraction misclassified of the test set, at the same steps"),
        maybe!("lr", lr, "learning rate η of the update"),
    ];
}

impl Row for OscillationRow {
    const COLUMNS: &'static [Column<Self>] = &[
        whole!("step", step, "first step of the window"),
        whole!("updates", updates, "its number of updates"),
        real!("lambda_1", lambda_1, "λ₁ at the first step"),
        real!(
            "amplitude",
            amplitude,
            "mean of ½|⟨w₊ − w, v₁⟩| over the window, where w₊ is the parameters after the update"
        ),
        maybe!(
            "amplitude_predicted",
            amplitude_predicted,
            "ηρλ₁/(2 + 2β − η(λ₁ + c)), the amplitude of SAM's two-cycle on a quadratic with momentum β and weight decay c; empty for other rules"
        ),
        Column {
            name: "period",
            count: Count::One,
            write: |row, _| row.period.map_or_else(String::new, |period| period.to_string()),
            read: |row, line, name| line.optional(name).map(|period| row.period = period),
            meaning: "period of ⟨w, v₁⟩ about its trend: 2 for a two-cycle, empty where there is none",
        },
        real!(
            "drift",
            drift,
            "movement for each update along n, the unit vector along which λ₁ rises (∇(v₁ᵀHv₁) made orthogonal to v₁)"
        ),
        real!(
            "drift_of_gradient",
            drift_of_gradient,
            "−η⟨∇L + c w, n⟩/(1 − β), the part of the drift that the plain gradient and the decay explain"
        ),
        maybe!(
            "drift_predicted",
            drift_predicted,
            "−[2ηρ²/(2 − ηλ₁)²]‖∇λ₁‖, the part that SAM's oscillation adds on a quadratic in a valley whose width changes (Bartlett, Long, Bousquet 2023)"
        ),
        maybe!(
            "amplitude_aligned",
            amplitude_aligned,
            "`amplitude_predicted` · |cos(g, v₁)|: the amplitude along v₁ where other modes take part in the cycle"
        ),
        maybe!(
            "drift_aligned",
            drift_aligned,
            "−(η/2)(`amplitude` + ρ|cos(g, v₁)|)²‖∇λ₁‖/(1 − β): the drift that SAM's oscillation adds, from the amplitude as measured"
        ),
    ];
}

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
        Column {
            name: "lambda_min",
            count: Count::One,
            write: |row, _| optional(row.lambda_min.map(|extreme| extreme.value)),
            read: |row, line, name| extreme(line, name).map(|found| row.lambda_min = found),
            meaning: "the lowest eigenvalue, if the solve found it: with `measure.bottom`, or if its residual is below a hundredth of it",
        },
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
        Column {
            name: "lambda_max",
            count: Count::One,
            write: |row, _| optional(row.lambda_max.map(|extreme| extreme.value)),
            read: |row, line, name| extreme(line, name).map(|found| row.lambda_max = found),
            meaning: "the largest eigenvalue, positive before negative",
        },
        Column {
            name: "lambda_max_error",
            count: Count::One,
            write: |row, _| optional(row.lambda_max.map(|extreme| extreme.error)),
            read: with_another,
            meaning: "upper bound on the distance from it to an eigenvalue",
        },
        Column {
            name: "lambda_min_error",
            count: Count::One,
            write: |row, _| optional(row.lambda_min.map(|extreme| extreme.error)),
            read: with_another,
            meaning: "the residual of `lambda_min`",
        },
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
        Column {
            name: "batch_sharpness",
            count: Count::Batch,
            write: |row, _| optional(row.batch.map(|batch| batch.sharpness)),
            read: with_another,
            meaning: "only with minibatches: g_BᵀH_Bg_B/‖g_B‖² of the step's minibatch B",
        },
        Column {
            name: "batch_grad_norm",
            count: Count::Batch,
            write: |row, _| optional(row.batch.map(|batch| batch.grad_norm)),
            read: batch,
            meaning: "‖g_B‖ of the same",
        },
        Column {
            name: "official_hessian_norm",
            count: Count::Official,
            write: |row, _| optional(row.official.as_ref().map(|official| official.hessian_norm)),
            read: official,
            meaning: "only with `measure.method = \"official\"`: `hessian_norm` as the paper's code would report it ([curvature.md](curvature.md#the-estimate-of-the-papers-code))",
        },
        Column {
            name: "official_edge_ratio",
            count: Count::Official,
            write: |row, _| optional(row.official.as_ref().map(|official| official.edge_ratio)),
            read: with_another,
            meaning: "`edge_ratio`, likewise",
        },
        Column {
            name: "official_grad_alignment",
            count: Count::Official,
            write: |row, _| optional(row.official.as_ref().map(|official| official.grad_alignment)),
            read: with_another,
            meaning: "`grad_alignment`, likewise",
        },
        Column {
            name: "official_sam_grad_alignment",
            count: Count::Official,
            write: |row, _| optional(row.official.as_ref().map(|official| official.sam_grad_alignment)),
            read: with_another,
            meaning: "`sam_grad_alignment`, likewise",
        },
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
        Column {
            name: "preconditioned_sharpness",
            count: Count::Adaptive,
            write: |row, _| optional(row.preconditioned.map(|it| it.sharpness)),
            read: preconditioned,
            meaning: "only with an adaptive base: λ_max(P^-½MP^-½) with the base's P of this update, which is `update_sharpness` ([rules.md](rules.md#adaptive-bases))",
        },
        Column {
            name: "preconditioned_error",
            count: Count::Adaptive,
            write: |row, _| optional(row.preconditioned.map(|it| it.error)),
            read: with_another,
            meaning: "upper bound on the distance from it to an eigenvalue",
        },
        Column {
            name: "preconditioned_edge",
            count: Count::Adaptive,
            write: |row, _| optional(row.preconditioned.map(|it| it.edge)),
            read: with_another,
            meaning: "the edge that it is compared with: 2/η for RMSProp, (2 + 2β₁)/((1 − β₁)η) for Adam",
        },
        Column {
            name: "preconditioned_gauge",
            count: Count::Adaptive,
            write: |row, _| optional(row.preconditioned.map(|it| it.gauge)),
            read: with_another,
            meaning: "their quotient, which is `gauge`",
        },
        Column {
            name: "participation",
            count: Count::Adaptive,
            write: |row, _| optional(row.preconditioned.map(|it| it.participation)),
            read: with_another,
            meaning: "share of the parameters that take part in its eigenvector v, (Σv²)²/Σv⁴ ÷ n. If it is tiny, the sharpness is about a few parameters whose √ν is near ε.",
        },
    ];
}

/// Of a column whose cells are read with those of another.
fn with_another(_: &mut CurvatureRow, _: &Line<'_>, _: &str) -> Result<(), RecordError> {
    Ok(())
}
