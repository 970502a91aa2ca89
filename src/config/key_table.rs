//! The table of all configuration keys: section and name, accepted values, and meaning. The default is the value of the
//! quickstart preset. [`super::keys`] reads the table for files, `--set` and messages; [`super::reference`] writes it
//! for people.

use super::accepts::Accepts;
use super::{
    Activation, DataName, ImageLayout, Initializer, LossKind, LrSchedule, MeasureAt, MeasureMethod, MeasureOn,
    ModelKind, Norm, OptimBase, OptimKind, Pool, Readout, Reduction, TargetsAs, WeightLayout,
};
use crate::adapter::Precision;
use crate::curvature::Order;
use crate::optim::MOST_FRESH;

/// One key of one section.
pub(super) struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub accepts: Accepts,
    pub help: &'static str,
}

impl Key {
    /// Whether it can be written without its section if no other such key has its name.
    pub(super) fn has_short_name(&self) -> bool {
        // `path` means `data.path`.
        !(self.section == "model" && self.name == "path")
    }
}

const fn key(section: &'static str, name: &'static str, accepts: Accepts, help: &'static str) -> Key {
    Key { section, name, accepts, help }
}

/// The largest count of examples: indices on the device are 32 bits wide.
const MAX_INDEX: i64 = u32::MAX as i64;
/// The widest layer whose width × width weights still have 32-bit indices.
const MAX_WIDTH: i64 = u16::MAX as i64;

/// See the module text.
pub(super) const KEYS: &[Key] = &[
    key("data", "name", Accepts::Word(DataName::NAMES), "data set"),
    key(
        "data",
        "path",
        Accepts::Text,
        "folder of the data files, a text file, or a file of arrays. Empty: the place where edgewalk data list finds \
         them.",
    ),
    key(
        "data",
        "train",
        Accepts::Count(0, MAX_INDEX),
        "number of training examples, the first ones in file order; 0: all",
    ),
    key(
        "data",
        "test",
        Accepts::CountOrShare(MAX_INDEX),
        "number of test examples, likewise; 0: none, and then no test file is needed. A share such as 0.2 takes test \
         examples at random out of arrays without a test set.",
    ),
    key(
        "data",
        "classes",
        Accepts::Classes,
        "classes to keep, such as [3, 5], which become classes 0, 1 … in this order; []: all",
    ),
    key(
        "data",
        "targets",
        Accepts::Word(TargetsAs::NAMES),
        "meaning of labels. signs: two classes as −1 and 1, for one output. numbers: targets of a regression. auto: \
         whole numbers are classes, and others are targets of a regression.",
    ),
    key(
        "data",
        "centre",
        Accepts::FlagOrAuto,
        "subtract the mean of each feature over the training set. auto: for images of a data set yes, for arrays no.",
    ),
    key("data", "degree", Accepts::Count(0, 100), "chebyshev: degree of the polynomial"),
    key("data", "scale", Accepts::Positive, "arrays: features are divided by this, such as 255 for bytes"),
    key(
        "data",
        "layout",
        Accepts::Word(ImageLayout::NAMES),
        "arrays: axes of images in the file, examples first. nchw: channels, height, width, as in PyTorch. A CNN reads \
         either; other networks read the numbers in the order of the file.",
    ),
    key("data", "target", Accepts::Text, "tables: column of the labels. Empty: the last one."),
    key(
        "data",
        "split_seed",
        Accepts::Count(0, i64::MAX),
        "seed that chooses the test examples if data.test is a share",
    ),
    key("model", "kind", Accepts::Word(ModelKind::NAMES), "kind of network"),
    key("model", "path", Accepts::Text, "ONNX: file of the network"),
    key(
        "model",
        "freeze",
        Accepts::Text,
        "ONNX: names of arrays that are no parameters, separated by commas; * stands for any characters",
    ),
    key(
        "model",
        "initializer",
        Accepts::Word(Initializer::NAMES),
        "initial values of kernels, by their fans ([models.md](models.md)). usual: those of the kind of network.",
    ),
    key("model", "activation", Accepts::Word(Activation::NAMES), "activation of an MLP, CNN, ResNet or VGG"),
    key(
        "model",
        "depth",
        Accepts::Count(1, 1000),
        "MLP: dense layers, the output layer included. ResNet: 6n + 2 layers, such as 20.",
    ),
    key("model", "width", Accepts::Count(1, MAX_WIDTH), "MLP: units of a hidden layer"),
    key("model", "blocks", Accepts::Count(1, 100), "CNN: blocks"),
    key("model", "layers_per_block", Accepts::Count(1, 100), "CNN: 3 × 3 convolutions in each block"),
    key("model", "channels", Accepts::Count(1, MAX_WIDTH), "CNN, ResNet, VGG: channels of the first layer"),
    key("model", "growth", Accepts::Count(1, 16), "CNN: factor by which the channels grow from each block to the next"),
    key("model", "stride", Accepts::Count(1, 16), "CNN: stride of the first convolution of each block"),
    key(
        "model",
        "norm",
        Accepts::Word(Norm::NAMES),
        "CNN: normalisation after each activation; ResNet, VGG: after each convolution. layer: over the channels at each \
         position. group: over each group of channels. batch: over the examples of a batch.",
    ),
    key("model", "groups", Accepts::Count(1, MAX_WIDTH), "group normalisation: number of groups of channels"),
    key(
        "model",
        "norm_batch",
        Accepts::Count(0, MAX_INDEX),
        "batch normalisation: examples that share their statistics, in the order of the examples; 0: all of an update, \
         and all of a set that is evaluated",
    ),
    key("model", "pool", Accepts::Word(Pool::NAMES), "CNN: 2 × 2 pooling after each block. VGG: its five poolings."),
    key("model", "layers", Accepts::Count(1, 1000), "Transformer, ViT: blocks"),
    key("model", "heads", Accepts::Count(1, 1000), "Transformer, ViT: attention heads"),
    key(
        "model",
        "key_size",
        Accepts::Count(1, MAX_WIDTH),
        "Transformer, ViT: size of the queries, keys and values of a head",
    ),
    key("model", "model_size", Accepts::Count(1, MAX_WIDTH), "Transformer, ViT: features of a token"),
    key("model", "seq_len", Accepts::Count(1, MAX_WIDTH), "Transformer: characters of a window"),
    key("model", "patch_size", Accepts::Count(1, MAX_WIDTH), "ViT: height and width of a patch"),
    key(
        "model",
        "readout",
        Accepts::Word(Readout::NAMES),
        "ViT: what the outputs are computed from: the mean over all tokens, or a class token",
    ),
    key(
        "loss",
        "kind",
        Accepts::Word(LossKind::NAMES),
        "loss of an example. mse is the squared error against one-hot labels, or against numbers as targets. \
         binary-cross-entropy takes logits and targets from 0 to 1, one-hot labels or signs. output: the network of an \
         ONNX file computes it, one number for each example.",
    ),
    key(
        "loss",
        "reduction",
        Accepts::Word(Reduction::NAMES),
        "mse only. mean: average over the outputs, without ½. half-sum: ½ times the sum over the outputs, whose \
         Hessian is outputs/2 times larger.",
    ),
    key(
        "loss",
        "label_smoothing",
        Accepts::BelowOne,
        "cross-entropy only: share of each label that is spread evenly over all classes, as in PyTorch; 0: none",
    ),
    key(
        "loss",
        "ignore_index",
        Accepts::WholeOrNone,
        "cross-entropy on arrays only: the label that does not count, such as −100. The loss is the mean over those \
         that do.",
    ),
    key("optim", "kind", Accepts::Word(OptimKind::NAMES), "update rule. flow is gradient flow in steps lr of time."),
    key(
        "optim",
        "base",
        Accepts::Word(OptimBase::NAMES),
        "what makes an update of the gradient. adam adds the weight decay to the gradient, adamw applies it beside the \
         update.",
    ),
    key("optim", "lr", Accepts::Positive, "learning rate η; the largest of a schedule"),
    key(
        "optim",
        "schedule",
        Accepts::Word(LrSchedule::NAMES),
        "learning rate after the warm-up. cosine and linear lead to final_lr; step multiplies by drop_factor after \
         every drop_every updates; inverse-sqrt is lr·√(max(warmup, 1)/t) for update t = 1, 2 …; edge sets it at every \
         measurement so that the gauge is target_gauge, but to lr at most.",
    ),
    key(
        "optim",
        "warmup",
        Accepts::Count(0, i64::MAX),
        "updates through which the learning rate rises to lr along a straight line; 0: none",
    ),
    key(
        "optim",
        "decay_steps",
        Accepts::Count(0, i64::MAX),
        "cosine and linear: number of updates, warm-up included, until final_lr. 0: run.steps, also if the run is made \
         longer later.",
    ),
    key("optim", "final_lr", Accepts::NonNegative, "cosine and linear: learning rate at the end, at most lr"),
    key("optim", "drop_every", Accepts::Count(1, i64::MAX), "step: updates between two drops, from the warm-up on"),
    key("optim", "drop_factor", Accepts::Fraction, "step: factor of a drop"),
    key("optim", "target_gauge", Accepts::Positive, "edge: gauge that every measurement sets; 1 is the edge"),
    key("optim", "rho", Accepts::NonNegative, "radius ρ; 0 is gradient descent"),
    key("optim", "epsilon", Accepts::NonNegative, "ε in the normaliser of SAM and ASAM"),
    key("optim", "asam_eta", Accepts::NonNegative, "ASAM: the number added to every |w|"),
    key(
        "optim",
        "asam_biases",
        Accepts::Flag,
        "ASAM: true scales biases as weights (the paper's formula); false does not scale them (the paper's code)",
    ),
    key("optim", "ascent_steps", Accepts::Count(1, 1000), "steps of the ascent, each of ρ/ascent_steps"),
    key("optim", "sam_from", Accepts::Count(0, i64::MAX), "first update with a perturbation"),
    key(
        "optim",
        "sam_until",
        Accepts::Count(0, i64::MAX),
        "first update after sam_from without a perturbation; 0: none",
    ),
    key("optim", "momentum", Accepts::BelowOne, "momentum β"),
    key("optim", "nesterov", Accepts::Flag, "true: Nesterov's momentum; false: Polyak's"),
    key("optim", "beta1", Accepts::BelowOne, "Adam: β₁ of the mean of gradients"),
    key("optim", "beta2", Accepts::BelowOne, "RMSProp and Adam: β₂ of the mean of squared gradients"),
    key("optim", "eps", Accepts::Positive, "RMSProp and Adam: ε, added to the square root of that mean"),
    key("optim", "weight_decay", Accepts::NonNegative, "weight decay c"),
    key("optim", "batch", Accepts::Count(0, MAX_INDEX), "examples of an update; 0: the full training set"),
    key(
        "optim",
        "micro_batch",
        Accepts::Count(0, MAX_INDEX),
        "m of m-SAM: examples that share a perturbation; 0, or all examples of the update: one for all, which is SAM",
    ),
    key("run", "steps", Accepts::Count(1, i64::MAX), "number of updates"),
    key(
        "run",
        "until",
        Accepts::Until,
        "ends the run earlier. The run ends after the update of the first logged step whose row of metrics.csv \
         meets the condition. The run then reads every row at once, so that the step does not depend on timing; \
         this slows tiny networks a little.",
    ),
    key(
        "run",
        "time_limit",
        Accepts::NonNegative,
        "the run writes a checkpoint and ends after so many seconds, counted anew at every start and resumption; \
         0: no limit",
    ),
    key(
        "run",
        "checkpoint_every",
        Accepts::CountOrAuto,
        "steps between checkpoints. auto: every ten seconds, or less often where writing would take more than 1/50 \
         of the time. 0: only at the end.",
    ),
    key("run", "keep", Accepts::Count(0, MAX_INDEX), "number of checkpoints kept, the latest ones; 0: all"),
    key(
        "run",
        "init",
        Accepts::Text,
        "initial weights: a safetensors file, a checkpoint, or a run (its last checkpoint). Reads float16, bfloat16, \
         float32, and float64 (rounded). Empty: draw them from the seed.",
    ),
    key(
        "run",
        "init_layout",
        Accepts::Word(WeightLayout::NAMES),
        "names and axes of the tensors of run.init. pytorch: a state of torch.nn.Sequential, for MLP and CNN.",
    ),
    key("run", "tensorboard", Accepts::Flag, "true: rows also go to a TensorBoard event file"),
    key(
        "run",
        "seed",
        Accepts::Count(0, i64::MAX),
        "seed of the initial weights, the minibatches and the eigensolver's start vectors",
    ),
    key("run", "log_every", Accepts::Count(1, i64::MAX), "steps between rows of metrics.csv"),
    key(
        "run",
        "chunk",
        Accepts::Count(0, MAX_INDEX),
        "examples handled at once; 0: as planned for the adapter. Changes results by rounding only.",
    ),
    key(
        "run",
        "memory",
        Accepts::BelowOne,
        "share of the free memory in which the products H·v may keep what they have in common; with too little a product \
         takes longer and has the same bits. A discrete GPU does not tell what is free: there the limit is 1.5 GiB, or \
         nothing for 0.",
    ),
    key(
        "run",
        "precision",
        Accepts::Word(Precision::NAMES),
        "width of parameters, data, state and products. f64 is for the native device only.",
    ),
    key(
        "run",
        "tune",
        Accepts::Seconds,
        "seconds to spend on choosing kernels by timing them, once for each adapter and class of shapes. 0: use \
         the default rules only, and no remembered kernels. auto: 1 on GPUs, 0 on software adapters.",
    ),
    key(
        "run",
        "kernels",
        Accepts::Text,
        "manifest.json of an earlier run. The run uses the kernels that it lists, and so repeats the bits of the \
         earlier run.",
    ),
    key("measure", "every", Accepts::Count(0, i64::MAX), "steps between rows of curvature.csv; 0: never"),
    key(
        "measure",
        "per_decade",
        Accepts::Count(0, 1000),
        "n above 0: measure at steps 0 and 10^(k/n), rounded, for k = 0, 1, 2 …, in place of measure.every",
    ),
    key(
        "measure",
        "on",
        Accepts::Word(MeasureOn::NAMES),
        "examples to measure on: the full training set, the first measure.examples of it, or the minibatch of the \
         step",
    ),
    key(
        "measure",
        "examples",
        Accepts::Count(0, MAX_INDEX),
        "number of examples, with measure.on = fixed only; 0: all",
    ),
    key(
        "measure",
        "at",
        Accepts::Word(MeasureAt::NAMES),
        "parameters to measure at. midpoint is (w₋ + 2w + w₊)/4, in which a two-cycle cancels.",
    ),
    key("measure", "top", Accepts::Count(1, 100), "number of eigenvalues to find"),
    key(
        "measure",
        "order",
        Accepts::Word(Order::NAMES),
        "which of them come first: the largest by magnitude, or the largest, positive before negative",
    ),
    key("measure", "bottom", Accepts::Count(0, 100), "number of lowest eigenvalues to find as well"),
    key(
        "measure",
        "track",
        Accepts::NonNegative,
        "above 0: find only those of the top eigenvalues that reach this fraction of the edge, and the next one",
    ),
    key(
        "measure",
        "method",
        Accepts::Word(MeasureMethod::NAMES),
        "eigensolver. official uses Lanczos and adds the estimate of the paper's code.",
    ),
    key("measure", "tol", Accepts::Fraction, "relative residual at which an eigenpair counts as converged"),
    key(
        "measure",
        "max_iterations",
        Accepts::Count(1, MAX_INDEX),
        "limit on the products of a measurement. An eigenpair that has not converged by then is logged with its \
         residual.",
    ),
    key(
        "measure",
        "batches",
        Accepts::Count(0, MOST_FRESH as i64),
        "minibatch runs: fresh minibatches, at most, for the mean of the batch sharpness. It ends earlier when the \
         standard error is 1/50 of the mean. 0: none.",
    ),
    key(
        "measure",
        "window",
        Accepts::Count(0, 10_000),
        "updates to follow after each measurement, for oscillation.csv; 0: none. Otherwise at least 8, at most \
         measure.every, and not with measure.per_decade.",
    ),
];

/// The sections, with their subject and further pages.
pub(super) const SECTIONS: &[(&str, &str, &str)] = &[
    ("data", "the examples", "[data.md](data.md) describes the data sets."),
    ("model", "the network", "[models.md](models.md) describes the kinds."),
    ("loss", "what is minimised", ""),
    ("optim", "the update rule", "[rules.md](rules.md) has the rules and their edges."),
    ("run", "length, checkpoints and kernels", ""),
    ("measure", "the measurements of the Hessian", "[curvature.md](curvature.md) explains them."),
];
