//! Losses and errors, one value per label; the loss of a data set is the mean of its labels' values. An image has one
//! label, a window of text one for each of its tokens.

use super::layers::{Exponentials, exponentials};
use crate::choice::choice;
use crate::graph::{Compare, DType, Graph, GraphError, NodeId, Type, Unary};

choice! {
    /// Reduces the squared error of one example's outputs to a number.
    Reduction {
        /// Mean over the outputs, no ½: the convention of Long and Bartlett. (Cross-entropy is always averaged.)
        Mean = "mean",
        /// ½ · sum over the outputs: the convention of Cohen et al.; its Hessian is outputs/2 times that of `Mean`.
        HalfSum = "half-sum",
    }
}

/// A custom loss: outputs `[n, outputs]` and the labels to the loss of each label `[n]`, in ops of the graph. Labels
/// are classes, `U32` of shape `[n]`, or targets, `F32` of the shape of the outputs. Derivatives of every order follow
/// from the ops.
pub type PerLabel = fn(&mut Graph, NodeId, NodeId) -> NodeId;

/// The minimised function of a model's outputs: a loss for classification by labels, or the output itself.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Squared distance to the one-hot label, or to the targets.
    Mse(Reduction),
    /// `−log softmax(outputs)[label]`
    CrossEntropy,
    /// Cross-entropy with label smoothing (Szegedy et al. 2016): with a share ε, in [0, 1], of every label spread evenly
    /// over all K classes, `−Σₖ ((1 − ε)·[k = label] + ε/K)·log softmax(outputs)[k]`.
    Smoothed(f64),
    /// Binary cross-entropy of logits z against probabilities t, averaged over the outputs:
    /// `t·log(1 + e⁻ᶻ) + (1 − t)·log(1 + eᶻ)`. Classes stand for one-hot probabilities.
    BinaryCrossEntropy,
    /// A custom loss of outputs and labels.
    Custom(PerLabel),
    /// The model's single output, for losses that need no labels, such as the residual of an equation or the distance
    /// to targets among the features: labels have no effect, and nothing is misclassified. Its Gauss–Newton matrix is
    /// 0, since it is linear in the output.
    Output,
}

impl Loss {
    /// Whether it is 0 or more whatever the outputs.
    pub fn is_never_negative(self) -> bool {
        match self {
            Loss::Mse(_) | Loss::CrossEntropy | Loss::Smoothed(_) | Loss::BinaryCrossEntropy => true,
            Loss::Custom(_) | Loss::Output => false,
        }
    }

    /// Loss of each label: outputs `[n, outputs]` and labels, classes `[n]` (`U32`) or targets `[n, outputs]` (`F32`),
    /// to `[n]`. Outputs of another shape, more than one output of [`Loss::Output`], targets for
    /// [`Loss::CrossEntropy`] and [`Loss::Smoothed`], or a result of [`Loss::Custom`] other than `[n]` give the graph an
    /// error.
    pub fn per_label(self, g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
        let (outputs, [n, classes]) = rows(g, outputs, labels);
        match self {
            Loss::Mse(reduction) => {
                let target = numbers(g, labels, classes);
                let difference = g.sub(outputs, target);
                let square = g.mul(difference, difference);
                let sum = g.reduce_sum(square, &[1]);
                match reduction {
                    Reduction::Mean => g.scale(sum, 1.0 / classes as f64),
                    Reduction::HalfSum => g.scale(sum, 0.5),
                }
            }
            Loss::CrossEntropy => {
                let target = g.one_hot(labels, classes);
                cross_entropy(g, outputs, target)
            }
            Loss::Smoothed(share) => {
                let target = g.one_hot(labels, classes);
                let target = g.scale(target, 1.0 - share);
                let target = g.offset(target, share / classes.max(1) as f64);
                cross_entropy(g, outputs, target)
            }
            Loss::BinaryCrossEntropy => {
                let target = numbers(g, labels, classes);
                let one = g.full(1.0, &[n, classes]);
                let rest = g.sub(one, target);
                let opposite = g.neg(outputs);
                // Each keeps its digits where it is small.
                let [below, above] = [opposite, outputs].map(|z| g.unary(Unary::Softplus, z));
                let (of_ones, of_zeros) = (g.mul(target, below), g.mul(rest, above));
                let both = g.add(of_ones, of_zeros);
                let sum = g.reduce_sum(both, &[1]);
                g.scale(sum, 1.0 / classes.max(1) as f64)
            }
            Loss::Custom(per_label) => {
                let losses = per_label(g, outputs, labels);
                let (found, wanted) = (g.ty(losses).clone(), Type { shape: vec![n], dtype: DType::F32 });
                if found == wanted {
                    return losses;
                }
                let reason = format!("it gives {found} where {wanted} is needed, one value for each label");
                g.refuse(GraphError::Type { op: "a loss of one's own".to_owned(), reason }, wanted)
            }
            Loss::Output => g.reshape(outputs, &[n]),
        }
    }
}

/// Targets, or labels as one-hot rows.
fn numbers(g: &mut Graph, labels: NodeId, classes: usize) -> NodeId {
    match g.ty(labels).dtype {
        DType::F32 => labels,
        DType::U32 | DType::Bool => g.one_hot(labels, classes),
    }
}

/// log Σₖ eᶻᵏ − Σₖ tₖ·zₖ, for targets t whose sum is 1 or that are all 0.
fn cross_entropy(g: &mut Graph, outputs: NodeId, target: NodeId) -> NodeId {
    let Exponentials { shifted, sum, .. } = exponentials(g, outputs);
    let log_sum = g.unary(Unary::Log, sum);
    let hit = g.mul(target, shifted);
    let hit = g.reduce_sum(hit, &[1]);
    g.sub(log_sum, hit)
}

/// Outputs with one row for each label, and their shape.
fn rows(g: &mut Graph, outputs: NodeId, labels: NodeId) -> (NodeId, [usize; 2]) {
    let (found, wanted) = (g.ty(outputs).clone(), g.ty(labels).clone());
    match (&found.shape[..], &wanted.shape[..]) {
        (&[n, classes], &[labels]) if n == labels && found.dtype == DType::F32 => (outputs, [n, classes]),
        (&[n, width], targets) if [n, width] == targets && [found.dtype, wanted.dtype] == [DType::F32; 2] => {
            (outputs, [n, width])
        }
        _ => {
            let reason =
                format!("they are {found} for labels that are {wanted}; one row of F32 for each label is needed");
            let shape = [wanted.shape.first().copied().unwrap_or(1), found.shape.last().copied().unwrap_or(1)];
            let ty = Type { shape: shape.to_vec(), dtype: DType::F32 };
            (g.refuse(GraphError::Type { op: "a model's outputs".to_owned(), reason }, ty), shape)
        }
    }
}

/// 0 for each label that the outputs predict correctly, and 1 for the others, ties and NaN included: outputs
/// `[n, outputs]` and labels to `[n]`. The output of a class `[n]` must be larger than all others; a single output is
/// never wrong. A single output must have the sign of its target `[n, 1]`; several outputs for targets are never wrong.
pub fn wrong(g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
    let (outputs, shape @ [n, classes]) = rows(g, outputs, labels);
    if g.ty(labels).dtype == DType::F32 {
        return wrong_sign(g, outputs, labels, shape);
    }
    if classes <= 1 {
        return g.full(0.0, &[n]);
    }
    let mask = g.label_mask(labels, classes);
    let zero = g.full(0.0, &shape);
    let hit = g.select(mask, outputs, zero);
    let hit = g.reduce_sum(hit, &[1]);
    let repeated = g.broadcast_over(hit, &shape, &[1]);
    // A comparison with NaN is false.
    let below = g.compare(Compare::Gt, repeated, outputs);
    let below = g.to_f32(below);
    let below = g.reduce_sum(below, &[1]);
    let others = g.full((classes - 1) as f64, &[n]);
    let beaten = g.compare(Compare::Gt, others, below);
    g.to_f32(beaten)
}

/// The share of the logits `[n, outputs]` of each example that are not on the side of their probabilities: above 0 where
/// that is more than ½, and below where it is less. NaN, and a probability of ½, count as wrong.
pub fn wrong_probabilities(g: &mut Graph, outputs: NodeId, targets: NodeId) -> NodeId {
    let (outputs, shape @ [_, width]) = rows(g, outputs, targets);
    let side = g.offset(targets, -0.5);
    let product = g.mul(outputs, side);
    let zero = g.full(0.0, &shape);
    let right = g.compare(Compare::Gt, product, zero);
    let right = g.to_f32(right);
    let one = g.full(1.0, &shape);
    let wrong = g.sub(one, right);
    let sum = g.reduce_sum(wrong, &[1]);
    g.scale(sum, 1.0 / width.max(1) as f64)
}

/// [`wrong`] for signs.
fn wrong_sign(g: &mut Graph, outputs: NodeId, targets: NodeId, shape @ [n, width]: [usize; 2]) -> NodeId {
    if width != 1 {
        return g.full(0.0, &[n]);
    }
    let product = g.mul(outputs, targets);
    let zero = g.full(0.0, &shape);
    // A comparison with NaN is false.
    let right = g.compare(Compare::Gt, product, zero);
    let right = g.to_f32(right);
    let right = g.reshape(right, &[n]);
    let one = g.full(1.0, &[n]);
    g.sub(one, right)
}
