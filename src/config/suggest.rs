//! Suggestions for unknown words: a similar known word, or the equivalent of a word of other programs.

/// The known word that differs from `word` by a typing error: at most one letter in three, or a missing end.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter_map(|other| Some((distance(word, other)?, other)));
    near.min_by_key(|&(distance, _)| distance).map(|(_, other)| other)
}

/// Letters to change from one word to another; `None` if they have little in common.
pub(crate) fn distance(word: &str, known: &str) -> Option<usize> {
    let [len, known_len] = [word, known].map(|text| text.chars().count());
    if len >= 3 && known.starts_with(word) {
        return Some(1);
    }
    // The whole matrix of a very long word would take memory in proportion.
    let most = len.max(known_len) / 3;
    if len.abs_diff(known_len) > most {
        return None;
    }
    let letters = strsim::damerau_levenshtein(word, known);
    (letters <= most).then_some(letters)
}

/// Words of other programs, and their equivalents.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["learning_rate", "lr0", "eta", "step_size", "alpha"], "did you mean `optim.lr`?"),
    (&["wd", "l2", "decay"], "did you mean `optim.weight_decay`?"),
    (&["epoch", "epochs", "num_epochs", "n_epochs", "max_epochs"], "a run is measured in updates: set `run.steps`"),
    (&["iterations", "iters", "max_steps", "num_steps", "max_iters"], "did you mean `run.steps`?"),
    (&["optimizer", "optimiser", "algorithm"], "did you mean `optim.kind`?"),
    (&["batch_size", "minibatch", "batchsize"], "did you mean `optim.batch`?"),
    (&["initialization", "initialisation", "init_scheme", "kernel_init"], "did you mean `model.initializer`?"),
    (&["batchnorm", "batch_norm", "groupnorm", "group_norm", "layernorm"], "did you mean `model.norm`?"),
    (&["dataset"], "did you mean `data.name`?"),
    (&["hidden", "hidden_size", "units"], "did you mean `model.width`?"),
    (&["adam", "adamw", "rmsprop"], "adaptive rules are values of `optim.base`"),
    (&["adagrad", "lion", "muon", "lamb", "adamax", "nadam"], "`optim.base` has RMSProp, Adam and AdamW alone"),
    (&["betas", "beta"], "did you mean `optim.beta1` and `optim.beta2`?"),
    (&["sgd"], "stochastic gradient descent is `optim.kind = \"gd\"` with `optim.batch` above 0"),
    (
        &["warm_up", "warmup_steps", "warmup_ratio", "warmup_updates"],
        "the warm-up is so many updates: set `optim.warmup`",
    ),
    (
        &["scheduler", "lr_schedule", "lr_scheduler", "lr_decay", "milestones", "cosine"],
        "did you mean `optim.schedule`?",
    ),
    (&["edge"], "set `optim.schedule = \"edge\"`, with `optim.lr` as the largest learning rate"),
    (&["gamma"], "did you mean `optim.drop_factor`?"),
    (&["min_lr", "end_lr", "lr_end", "eta_min"], "did you mean `optim.final_lr`?"),
    (&["clip", "grad_clip", "clip_grad", "clip_norm", "max_grad_norm"], "there is no clipping of gradients yet"),
    (&["dropout", "droprate", "drop_rate"], "there is no dropout"),
    (&["augment", "augmentation", "transform", "transforms"], "there is no augmentation of data"),
    (&["device", "gpu", "cuda", "cpu", "adapter", "backend"], "the device is chosen by `--adapter`"),
    (&["dtype", "fp16", "bf16", "amp", "float64", "double"], "`run.precision` is f32 or f64"),
    (&["workers", "num_workers", "threads", "num_threads"], "threads need no setting"),
    (&["out", "output", "output_dir", "out_dir", "log_dir", "save_dir"], "the run folder is chosen by `--out`"),
];

/// The equivalent of a word of other programs; `None` if unknown.
pub(crate) fn elsewhere(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase().replace('-', "_");
    ELSEWHERE.iter().find(|(words, _)| words.contains(&word.as_str())).map(|&(_, says)| says)
}
