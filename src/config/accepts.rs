//! The values that a key accepts, and their description in messages and pages.

use toml::Value;

use super::{Until, suggest};

/// The longest time to spend on kernels: a day.
const MAX_SECS: f32 = 86_400.0;
/// The most classes of a list.
const MOST_CLASSES: usize = 1000;

/// The values that a key accepts.
#[derive(Clone, Copy)]
pub(super) enum Accepts {
    /// One of the given words.
    Word(&'static [&'static str]),
    /// Any text; empty means none.
    Text,
    /// A whole number in an inclusive range.
    Count(i64, i64),
    /// A number that is finite and above 0 in 32 bits.
    Positive,
    /// A number that is finite and not negative in 32 bits.
    NonNegative,
    /// A number of seconds that is finite and not above a day, or `auto`.
    Seconds,
    /// A whole number, not negative, or `auto`.
    CountOrAuto,
    /// A condition that ends a run early; empty means none.
    Until,
    /// A number above 0 and below 1.
    Fraction,
    /// A number that is not negative and in 32 bits below 1.
    BelowOne,
    /// `true` or `false`.
    Flag,
    /// `true`, `false` or `auto`.
    FlagOrAuto,
    /// A whole number that is not negative and within a limit, or a number above 0 and below 1.
    CountOrShare(i64),
    /// A whole number, or `none`.
    WholeOrNone,
    /// A list of different whole numbers, not negative.
    Classes,
}

impl Accepts {
    pub fn accepts(self, value: &Value) -> bool {
        // The device computes in 32 bits: a number that becomes infinite or 0 there is out of range.
        let number = || match *value {
            Value::Float(number) => Some(number as f32),
            Value::Integer(number) => Some(number as f32),
            _ => None,
        };
        match self {
            Self::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Text => value.is_str(),
            Self::Count(min, max) => value.as_integer().is_some_and(|n| (min..=max).contains(&n)),
            Self::Positive => number().is_some_and(|x| x > 0.0 && x.is_finite()),
            Self::NonNegative => number().is_some_and(|x| x >= 0.0 && x.is_finite()) && !vanishes(value),
            Self::Seconds => value.as_str() == Some("auto") || number().is_some_and(|x| (0.0..=MAX_SECS).contains(&x)),
            Self::CountOrAuto => value.as_str() == Some("auto") || value.as_integer().is_some_and(|n| n >= 0),
            Self::Until => value.as_str().is_some_and(|text| text.is_empty() || text.parse::<Until>().is_ok()),
            Self::Fraction => number().is_some_and(|x| x > 0.0 && x < 1.0),
            Self::BelowOne => number().is_some_and(|x| (0.0..1.0).contains(&x)),
            Self::WholeOrNone => value.as_str() == Some("none") || value.is_integer(),
            Self::Flag => value.is_bool(),
            Self::FlagOrAuto => value.is_bool() || value.as_str() == Some("auto"),
            Self::CountOrShare(max) => match value {
                Value::Integer(count) => (0..=max).contains(count),
                value => value.is_float() && Self::Fraction.accepts(value),
            },
            Self::Classes => value.as_array().is_some_and(|classes| {
                let is_class = |class: &Value| class.as_integer().is_some_and(|class| u32::try_from(class).is_ok());
                let is_new = |i: usize| !classes[..i].contains(&classes[i]);
                classes.len() <= MOST_CLASSES && classes.iter().all(is_class) && (0..classes.len()).all(is_new)
            }),
        }
    }

    pub fn describe(self) -> String {
        match self {
            Self::Word([word]) => format!("\"{word}\""),
            Self::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Text => "text in quotes".into(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Positive => "a number above 0 that 32 bits can hold, such as 0.1 or 1e-3".into(),
            Self::NonNegative => "a number, 0 or above, that 32 bits can hold, such as 0.1".into(),
            Self::Seconds => format!("\"auto\", or a number of seconds from 0 to {MAX_SECS}"),
            Self::CountOrAuto => format!("\"auto\", or a whole number of steps from 0 to {}", i64::MAX),
            Self::Until => Until::ALLOWED.into(),
            Self::Fraction => "a number above 0 and below 1, such as 1e-3".into(),
            Self::BelowOne => "a number, 0 or above and below 1, such as 0.9".into(),
            Self::WholeOrNone => format!("\"none\", or a whole number from {} to {}, such as -100", i64::MIN, i64::MAX),
            Self::Flag => "true or false".into(),
            Self::FlagOrAuto => "true, false or \"auto\"".into(),
            Self::CountOrShare(max) => {
                format!("a whole number from 0 to {max}, or a share above 0 and below 1, such as 0.2")
            }
            Self::Classes => {
                format!("a list of different classes from 0 to {}, such as [3, 5], or [] for all", u32::MAX)
            }
        }
    }

    /// A similar word to a refused one, to follow [`Self::describe`].
    pub fn meant(self, value: &Value) -> Option<String> {
        let Self::Word(words) = self else { return None };
        let word = value.as_str()?;
        let elsewhere = suggest::elsewhere(word).map(|says| format!("; {says}"));
        elsewhere.or_else(|| Some(format!("; did you mean \"{}\"?", suggest::nearest(word, words.iter().copied())?)))
    }

    /// The accepted values in few words, for a table in Markdown.
    pub fn short(self) -> String {
        // Counts without a limit of their own have that of TOML.
        let up_to = |max: i64| match max {
            i64::MAX => "or above".to_owned(),
            max if max == i64::from(u32::MAX) => "to 2³² − 1".to_owned(),
            max => format!("to {max}"),
        };
        match self {
            Self::Word(words) => format!("`{}`", words.join("`, `")),
            Self::Text => "text".into(),
            Self::Count(min, max) => format!("{min} {}", up_to(max)),
            Self::Positive => "above 0".into(),
            Self::NonNegative => "0 or above".into(),
            Self::Seconds => format!("seconds, 0 to {MAX_SECS}, or `auto`"),
            Self::CountOrAuto => "steps, 0 or above, or `auto`".into(),
            Self::Until => "`loss < NUMBER` (above 0), `error < NUMBER` (above 0, at most 1)".into(),
            Self::Fraction => "above 0, below 1".into(),
            Self::BelowOne => "0 or above, below 1".into(),
            Self::WholeOrNone => "whole number, or `none`".into(),
            Self::Flag => "`true`, `false`".into(),
            Self::FlagOrAuto => "`true`, `false`, `auto`".into(),
            Self::CountOrShare(max) => format!("0 {}, or a share above 0 and below 1", up_to(max)),
            Self::Classes => "list of whole numbers".into(),
        }
    }
}

/// Whether a number that is not 0 is 0 on the device.
fn vanishes(value: &Value) -> bool {
    value.as_float().is_some_and(|number| number != 0.0 && number as f32 == 0.0)
}
