//! From arrays to examples: the meaning of the labels, the examples in use, and their features as a network reads them.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::array::{Array, Numbers};
use super::{Half, broken, transposed};
use crate::data::{
    DataError, Dataset, Examples, ExamplesError, Features, IGNORED, ImageLayout, Options, Request, Targets, TargetsAs,
    TestSize,
};

/// The most classes, and the most tokens of a vocabulary.
const MOST_CLASSES: usize = 1 << 20;

/// What the labels of a half mean, before any are left out.
enum Labels {
    /// Classes or [`IGNORED`], `each` of every example.
    Classes { labels: Vec<u32>, each: usize },
    /// −1 or 1 of every example.
    Signs(Vec<f32>),
    /// `width` numbers of every example.
    Numbers { values: Vec<f32>, width: usize },
}

/// A half, its labels, and the numbers of the examples in use.
struct Used {
    half: Half,
    labels: Labels,
    rows: Vec<usize>,
}

/// The examples of one or both halves, as a request wants them.
///
/// # Errors
/// [`DataError`], naming the array.
pub(super) fn prepared(train: Half, test: Option<Half>, request: &Request) -> Result<Dataset, DataError> {
    let options = &request.options;
    let mut train = used(train, options)?;
    let mut test = test.map(|half| used(half, options)).transpose()?;
    if let Some(test) = &test {
        check_alike(&train.half, &test.half)?;
    }
    let chosen = chosen(&train, options)?;
    for half in std::iter::once(&mut train).chain(&mut test) {
        half.keep(&chosen)?;
    }
    let held_out = match request.test {
        TestSize::First(first_n) => {
            if let Some(test) = &mut test {
                test.first(first_n)?;
            }
            None
        }
        TestSize::Share(share) => Some(train.split(share, options.split_seed)?),
    };
    train.first(request.train)?;
    let outputs = outputs(&train, test.as_ref(), &chosen, options)?;
    let finish = Finish { chosen: &chosen, outputs, options };
    let shift = finish.shift(&train);
    let test = match (&test, &held_out) {
        (Some(test), _) => Some(finish.examples(test, &test.rows, &shift)?),
        (None, Some(rows)) => Some(finish.examples(&train, rows, &shift)?),
        (None, None) => None,
    };
    Ok(Dataset { train: finish.examples(&train, &train.rows, &shift)?, test })
}

/// Checks the shapes of a half and reads its labels; all of its examples are in use.
fn used(mut half: Half, options: &Options) -> Result<Used, DataError> {
    let Half { x_name, y_name, x, y } = &mut half;
    let (Some(&rows), true) = (x.shape.first(), !y.shape.is_empty()) else {
        let expected = "arrays with the examples along their first axis";
        return Err(broken(x_name, expected, "a single number", "give x the shape [examples, …] and y [examples]"));
    };
    if y.shape[0] != rows {
        let (expected, found) = (format!("{rows} labels, one for each example of {x_name}"), y.shape[0].to_string());
        return Err(broken(y_name, &expected, &found, "give every example its label"));
    }
    if x.shape.len() == 1 {
        x.shape.push(1);
    }
    if options.tokens && !matches!(x.numbers, Numbers::Whole(_)) {
        let advice = "save the tokens as whole numbers, or choose a network that reads numbers";
        return Err(broken(x_name, "tokens, which are whole numbers", "numbers of floating point", advice));
    }
    let labels = labels(&half, options)?;
    Ok(Used { half, labels, rows: (0..rows).collect() })
}

/// Refuses a test set of another shape than the training set.
fn check_alike(train: &Half, test: &Half) -> Result<(), DataError> {
    match train.x.shape[1..] == test.x.shape[1..] {
        true => Ok(()),
        false => {
            let expected = format!("examples of shape {:?}, as in {}", &train.x.shape[1..], train.x_name);
            let found = format!("{:?}", &test.x.shape[1..]);
            Err(broken(&test.x_name, &expected, &found, "give both the same shape"))
        }
    }
}

/// Reads the labels of a half.
fn labels(half: &Half, options: &Options) -> Result<Labels, DataError> {
    let Half { x, y, y_name, .. } = half;
    let width: usize = y.shape[1..].iter().product();
    let all = || (0..y.numbers.len()).map(|at| y.numbers.get(at));
    let is_whole = matches!(y.numbers, Numbers::Whole(_));
    let is_sign = |value: f64| value.abs() == 1.0;
    match options.targets {
        TargetsAs::Signs if width == 1 && all().all(is_sign) => Ok(Labels::Signs(all().map(|x| x as f32).collect())),
        TargetsAs::Auto if !is_whole => numbers(y, y_name),
        TargetsAs::Numbers => numbers(y, y_name),
        TargetsAs::Auto | TargetsAs::Classes | TargetsAs::Signs => {
            let each = if options.tokens { x.shape[1..].iter().product() } else { 1 };
            if width != each {
                let expected = if options.tokens { "one class for each token" } else { "one class for each example" };
                let advice = "give y the shape [examples] (for tokens that of x), or set data.targets = \"numbers\"";
                return Err(broken(y_name, expected, &format!("the shape {:?}", y.shape), advice));
            }
            let class = |value: f64| match options.ignored {
                Some(ignored) if value == ignored as f64 => Some(IGNORED),
                _ => (value.fract() == 0.0 && (0.0..MOST_CLASSES as f64).contains(&value)).then_some(value as u32),
            };
            let wrong = |value: f64| {
                let advice = "count classes from 0, or set data.targets to \"numbers\" or (for −1 and 1) \"signs\"";
                broken(y_name, &format!("classes from 0 to {}", MOST_CLASSES - 1), &format!("{value}"), advice)
            };
            let labels = all().map(|value| class(value).ok_or_else(|| wrong(value))).collect::<Result<_, _>>()?;
            Ok(Labels::Classes { labels, each })
        }
    }
}

/// The labels as targets of a regression.
fn numbers(y: &Array, name: &str) -> Result<Labels, DataError> {
    match y.shape[1..] {
        [] => Ok(Labels::Numbers { values: values(&y.numbers), width: 1 }),
        [width] if width > 0 => Ok(Labels::Numbers { values: values(&y.numbers), width }),
        _ => {
            let found = format!("{:?}", y.shape);
            Err(broken(name, "targets of shape [examples] or [examples, outputs]", &found, "reshape them"))
        }
    }
}

fn values(numbers: &Numbers) -> Vec<f32> {
    (0..numbers.len()).map(|at| numbers.get(at) as f32).collect()
}

/// The classes to keep, in their new order; empty for all, each under its own number.
fn chosen(train: &Used, options: &Options) -> Result<Vec<u32>, DataError> {
    match &train.labels {
        Labels::Signs(_) | Labels::Numbers { .. } if !options.classes.is_empty() => {
            let advice = "remove data.classes, or set data.targets = \"classes\"";
            Err(broken(&train.half.y_name, "classes, of which data.classes keeps some", "numbers", advice))
        }
        Labels::Classes { labels, each: 1 } if options.classes.is_empty() && options.targets == TargetsAs::Signs => {
            let mut there = labels.clone();
            there.retain(|&label| label != IGNORED);
            there.sort_unstable();
            there.dedup();
            if there.len() == 2 { Ok(there) } else { Err(ExamplesError::NotTwo { classes: there.len() }.into()) }
        }
        Labels::Classes { each: 1, .. } | Labels::Signs(_) | Labels::Numbers { .. } => Ok(options.classes.clone()),
        Labels::Classes { .. } if options.classes.is_empty() => Ok(vec![]),
        Labels::Classes { .. } => {
            let advice = "remove data.classes";
            Err(broken(&train.half.y_name, "one class for each example", "one for each token", advice))
        }
    }
}

/// The outputs of a network for these labels.
fn outputs(train: &Used, test: Option<&Used>, chosen: &[u32], options: &Options) -> Result<usize, DataError> {
    match &train.labels {
        Labels::Signs(_) => Ok(1),
        Labels::Numbers { width, .. } => Ok(*width),
        Labels::Classes { .. } if !chosen.is_empty() => Ok(chosen.len()),
        // Classes that only the test set or an unused example has count too.
        Labels::Classes { .. } => {
            let highest = |labels: &Labels| match labels {
                Labels::Classes { labels, .. } => {
                    labels.iter().copied().filter(|&label| label != IGNORED).max().unwrap_or(0)
                }
                Labels::Signs(_) | Labels::Numbers { .. } => 0,
            };
            let highest_token = |half: &Half| match &half.x.numbers {
                Numbers::Whole(codes) if options.tokens => codes.iter().copied().max().unwrap_or(0).max(0) as u32,
                Numbers::Whole(_) | Numbers::Real(_) => 0,
            };
            let halves = std::iter::once(train).chain(test);
            let most = halves.map(|used| highest(&used.labels).max(highest_token(&used.half))).max().unwrap_or(0);
            match most as usize {
                most if most < MOST_CLASSES => Ok(most + 1),
                most => {
                    let expected = format!("tokens from 0 to {}", MOST_CLASSES - 1);
                    Err(broken(&train.half.x_name, &expected, &most.to_string(), "number them without gaps"))
                }
            }
        }
    }
}

impl Used {
    /// Keeps the examples of these classes; all if there are none.
    fn keep(&mut self, classes: &[u32]) -> Result<(), DataError> {
        let Labels::Classes { labels, .. } = &self.labels else { return Ok(()) };
        if classes.is_empty() {
            return Ok(());
        }
        if let Some(&class) = classes.iter().find(|class| !labels.contains(class)) {
            return Err(DataError::NoSuchClass { file: self.half.y_name.clone(), class });
        }
        self.rows.retain(|&row| classes.contains(&labels[row]));
        Ok(())
    }

    /// Keeps the first examples; 0 is all.
    fn first(&mut self, first_n: usize) -> Result<(), DataError> {
        let held = self.rows.len();
        if first_n > held {
            let advice = "lower data.train (0 = all) or data.test";
            return Err(DataError::TooFew { file: self.half.x_name.clone(), held, asked: first_n, advice });
        }
        if first_n > 0 {
            self.rows.truncate(first_n);
        }
        Ok(())
    }

    /// Takes this share of the examples out, at random, and returns their numbers; both parts stay in file order.
    fn split(&mut self, share: f64, seed: u64) -> Result<Vec<usize>, DataError> {
        let count = (share * self.rows.len() as f64).round() as usize;
        if !(1..self.rows.len()).contains(&count) {
            let held = self.rows.len();
            let expected = format!("a share of its {held} examples that leaves some in both parts");
            return Err(broken(&self.half.x_name, &expected, &share.to_string(), "correct data.test"));
        }
        self.rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut held_out = self.rows.split_off(self.rows.len() - count);
        self.rows.sort_unstable();
        held_out.sort_unstable();
        Ok(held_out)
    }
}

/// What the examples of both halves have in common.
struct Finish<'a> {
    chosen: &'a [u32],
    outputs: usize,
    options: &'a Options,
}

impl Finish<'_> {
    /// The mean of each scaled feature over the examples in use, which is subtracted; zeros if nothing is.
    fn shift(&self, Used { half, rows, .. }: &Used) -> Vec<f64> {
        let dim: usize = half.x.shape[1..].iter().product();
        let mut sum = vec![0.0; dim];
        if self.options.centre != Some(true) || self.options.tokens {
            return sum;
        }
        for row in rows {
            for (at, sum) in sum.iter_mut().enumerate() {
                *sum += half.x.numbers.get(row * dim + at);
            }
        }
        sum.iter().map(|sum| sum / (rows.len() as f64 * self.options.scale)).collect()
    }

    /// These examples of a half.
    fn examples(&self, Used { half, labels, .. }: &Used, rows: &[usize], shift: &[f64]) -> Result<Examples, DataError> {
        let Options { tokens, scale, .. } = *self.options;
        let (order, shape) = self.axes(half)?;
        let dim = order.len();
        let places = rows.iter().flat_map(|row| order.iter().map(move |at| (row * dim + at, *at)));
        let features = match &half.x.numbers {
            Numbers::Whole(codes) if tokens => {
                let code = |(place, _): (usize, usize)| {
                    u32::try_from(codes[place]).map_err(|_| {
                        let found = codes[place].to_string();
                        broken(&half.x_name, "tokens, which are not negative", &found, "count tokens from 0")
                    })
                };
                Features::Tokens(places.map(code).collect::<Result<_, _>>()?)
            }
            numbers => {
                Features::Real(places.map(|(place, at)| (numbers.get(place) / scale - shift[at]) as f32).collect())
            }
        };
        let targets = match labels {
            Labels::Classes { labels, each } => {
                let new = |label: u32| match self.chosen.iter().position(|&class| class == label) {
                    Some(place) => place as u32,
                    None => label,
                };
                let labels = rows.iter().flat_map(|row| labels[row * each..(row + 1) * each].iter().map(|&it| new(it)));
                Targets::Classes { labels: labels.collect(), classes: self.outputs }
            }
            Labels::Signs(values) => Targets::Signs(rows.iter().map(|&row| values[row]).collect()),
            &Labels::Numbers { ref values, width } => {
                let values = rows.iter().flat_map(|row| values[row * width..(row + 1) * width].iter().copied());
                Targets::Numbers { values: values.collect(), width }
            }
        };
        let examples = Examples::with_targets(features, shape, targets)?;
        let examples = if self.options.padding { examples } else { examples.without_padding() };
        let is_classes = matches!(labels, Labels::Classes { .. });
        Ok(if is_classes && self.options.targets == TargetsAs::Signs { examples.with_signs()? } else { examples })
    }

    /// The places of an example's features in the order of the axes that the network reads, and their shape.
    fn axes(&self, half: &Half) -> Result<(Vec<usize>, Vec<usize>), DataError> {
        let shape = &half.x.shape[1..];
        match (self.options.layout, shape) {
            (ImageLayout::Nchw, &[channels, height, width]) => {
                Ok((transposed(shape, &[1, 2, 0]).collect(), vec![height, width, channels]))
            }
            (ImageLayout::Nchw, _) => {
                let found = format!("{:?}", half.x.shape);
                let expected = "images of shape [examples, channels, height, width] (data.layout = \"nchw\")";
                Err(broken(&half.x_name, expected, &found, "add the missing axis, or remove data.layout"))
            }
            (ImageLayout::Nhwc, _) => Ok(((0..shape.iter().product()).collect(), shape.to_vec())),
        }
    }
}
