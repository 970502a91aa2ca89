//! Lines of JSON, one object for each line of a table, for programs that follow a run through a pipe.
//!
//! ```json
//! {"table":"metrics","step":20,"secs":0.81,"loss":0.0731,"error":0.35,"grad_norm":0.11,"test_loss":null,"test_error":null}
//! ```
//!
//! The keys are the columns of the table, in its order, after `table`, its name. A number reads back to the bits of the
//! table's. Values that were not measured, or are not finite, are `null`.

use serde::{Serialize, Serializer};

use super::Value;
use crate::observer::Logged;

/// The object of one line of a table, with its line feed.
pub fn line(logged: Logged<'_>) -> String {
    let json = serde_json::to_string(&logged).expect("words and numbers under words always have a JSON form");
    json + "\n"
}

impl Serialize for Logged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::once(("table", Value::Word(self.table))).chain(self.values()))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Whole(whole) => serializer.serialize_u64(whole),
            Self::Real(real) if real.is_finite() => serializer.serialize_f64(real),
            Self::Real(_) | Self::Missing => serializer.serialize_unit(),
            Self::Word(word) => serializer.serialize_str(word),
        }
    }
}
