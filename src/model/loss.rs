//! Losses and errors, one value per label; the loss of a data set is the mean of its labels' values. An image has one
//! label, a window of text one for each of its tokens.

use super::layers::{Exponentials, exponentials};
use crate::choice::choice;
use crate::graph::{Compare, Graph, NodeId, Unary};

choice! {
    /// How the squared error of the outputs of one example becomes a number.
    Reduction {
        /// Mean over the outputs, no ½: the convention of Long and Bartlett. (Cross-entropy is always averaged.)
        Mean = "mean",
        /// ½ · sum over the outputs: the convention of Cohen et al.; its Hessian is outputs/2 times that of `Mean`.
        HalfSum = "half-sum",
    }
}

/// A loss of one's own: outputs `[n, classes]` and `U32` labels `[n]`, each below `classes`, to the loss of each label `[n]`, in ops
/// of the graph. Derivatives of every order follow from the ops.
pub type PerLabel = fn(&mut Graph, NodeId, NodeId) -> NodeId;

/// What is minimised, as a function of a model's outputs: a loss for classification by labels, or the output itself.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Squared distance to the one-hot label.
    Mse(Reduction),
    /// `−log softmax(outputs)[label]`
    CrossEntropy,
    /// A loss of one's own, of outputs and labels.
    Custom(PerLabel),
    /// The model's single output, for losses that need no labels, such as the residual of an equation or the distance to
    /// targets among the features: labels have no effect, and nothing is misclassified. Its Gauss–Newton matrix is 0,
    /// since it is linear in the output.
    Output,
}

impl Loss {
    /// Loss of each label: outputs `[n, classes]` and `U32` labels `[n]` to `[n]`.
    ///
    /// # Panics
    /// For [`Loss::Output`], when there is more than one output; for [`Loss::Custom`], when its result is not `[n]`.
    pub fn per_label(self, g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
        let [n, classes] = g.shape(outputs)[..] else { panic!("outputs have two axes, not {:?}", g.shape(outputs)) };
        let target = g.one_hot(labels, classes);
        match self {
            Loss::Mse(reduction) => {
                let difference = g.sub(outputs, target);
                let square = g.mul(difference, difference);
                let sum = g.reduce_sum(square, &[1]);
                match reduction {
                    Reduction::Mean => g.scale(sum, 1.0 / classes as f32),
                    Reduction::HalfSum => g.scale(sum, 0.5),
                }
            }
            Loss::CrossEntropy => {
                let Exponentials { shifted, sum, .. } = exponentials(g, outputs);
                let log_sum = g.unary(Unary::Log, sum);
                let hit = g.mul(target, shifted);
                let hit = g.reduce_sum(hit, &[1]);
                g.sub(log_sum, hit)
            }
            Loss::Custom(per_label) => {
                let losses = per_label(g, outputs, labels);
                assert_eq!(g.shape(losses), [n], "a loss of one's own gives one value for each label");
                losses
            }
            Loss::Output => g.reshape(outputs, &[n]),
        }
    }
}

/// 1 for each label that does not have the largest output, else 0: outputs `[n, classes]` and labels `[n]` to
/// `[n]`. Where there is a single output, nothing is wrong.
pub fn wrong(g: &mut Graph, outputs: NodeId, labels: NodeId) -> NodeId {
    let [n, classes] = g.shape(outputs)[..] else { panic!("outputs have two axes, not {:?}", g.shape(outputs)) };
    if classes == 1 {
        return g.full(0.0, &[n]);
    }
    let target = g.one_hot(labels, classes);
    let hit = g.mul(target, outputs);
    let hit = g.reduce_sum(hit, &[1]);
    let max = g.reduce_max(outputs, &[1]);
    let beaten = g.compare(Compare::Gt, max, hit);
    g.to_f32(beaten)
}
