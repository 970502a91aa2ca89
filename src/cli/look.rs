//! The options of pictures.

use clap::Args;

use crate::results::Format;
use crate::results::look::{AxisLook, FontSize, Look, Range, Size};

/// How pictures are to look.
#[derive(Debug, Args)]
pub struct LookArgs {
    /// The file format
    #[arg(long, value_enum, default_value_t = Format::Svg)]
    pub format: Format,
    /// The size of curves' pictures: column (3.4 in), page, talk, default, or WIDTHxHEIGHT in inches or with a unit (cm,
    /// mm, px)
    #[arg(long, value_name = "SIZE", default_value = "default", help_heading = "Look")]
    size: Size,
    /// The height of the numbers at the axes in points; titles follow
    #[arg(long, value_name = "POINTS", help_heading = "Look")]
    font_size: Option<FontSize>,
    /// A logarithmic horizontal axis
    #[arg(long, help_heading = "Look")]
    x_log: bool,
    /// A logarithmic vertical axis
    #[arg(long, help_heading = "Look")]
    y_log: bool,
    /// The ends of the horizontal axis, such as 100:400
    #[arg(long, value_name = "A:B", allow_hyphen_values = true, help_heading = "Look")]
    x_range: Option<Range>,
    /// The ends of the vertical axis, such as 0:2.5
    #[arg(long, value_name = "A:B", allow_hyphen_values = true, help_heading = "Look")]
    y_range: Option<Range>,
}

impl From<LookArgs> for Look {
    fn from(args: LookArgs) -> Self {
        let LookArgs { format, size, font_size, x_log, y_log, x_range, y_range } = args;
        let [x, y] = [(x_log, x_range), (y_log, y_range)].map(|(log, range)| AxisLook { log, range });
        Self { format, size, font_size, x, y }
    }
}
