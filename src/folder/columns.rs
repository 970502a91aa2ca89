//! The columns of a run's tables, each in one entry of a list: its name, how its cells are written and read, and what
//! they mean; `curvature_columns` has those of `curvature.csv`. From these lists come the tables, their readers and the
//! pages about them. New columns go to the end of a list, and are read with `optional`, so that older tables stay
//! readable.

use super::rows::{CurvatureColumns, MetricsRow, OscillationRow};
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

/// A number of a part that not all rows have.
macro_rules! part {
    ($name:literal, $count:expr, |$row:ident| $value:expr, $read:expr, $meaning:literal) => {
        Column { name: $name, count: $count, write: |$row, _| optional($value), read: $read, meaning: $meaning }
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

pub(super) use {field, list, maybe, part, real, whole};
