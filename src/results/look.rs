//! How pictures are to look: their format and size, the size of their letters, and their axes.

use std::str::FromStr;

use super::Format;

/// The look of pictures; the default is that of a run folder's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The file format.
    pub format: Format,
    /// Width and height.
    pub size: Size,
    /// The height of the numbers at the axes, in points; titles are larger in proportion. `None` suits the size.
    pub font_size: Option<FontSize>,
    /// The horizontal axis.
    pub x: AxisLook,
    /// The vertical axis.
    pub y: AxisLook,
}

/// What is asked of an axis; by default it follows the data.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AxisLook {
    /// Logarithmic, where the values would give a linear axis.
    pub log: bool,
    /// Its ends.
    pub range: Option<Range>,
}

/// The ends of an axis, finite, the lower one first: `A:B` as text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

/// The size of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// In inches.
    width: f64,
    height: f64,
    /// Letters that suit it, in points.
    font: f64,
    /// Dots an inch in PNG files.
    dots: f64,
    /// Whether a long legend adds to the height.
    grows: bool,
}

/// A height of letters in points, from 4 to 72.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FontSize(f64);

/// CSS pixels an inch.
pub(crate) const PIXELS: f64 = 96.0;
const CENTIMETRES: f64 = 2.54;
/// Points an inch.
const POINTS: f64 = 72.0;
/// The smallest and the largest side of a picture in inches.
const SIDES: (f64, f64) = (1.0, 60.0);
/// The width in inches below which letters are smaller by default.
const NARROW: f64 = 5.0;

impl Size {
    /// A column of a two-column page.
    const COLUMN: Self = Self { width: 3.4, height: 2.5, font: 7.0, dots: 300.0, grows: false };
    /// The width of a page.
    const PAGE: Self = Self { width: 7.0, height: 4.2, font: 9.0, dots: 300.0, grows: false };
    /// A slide.
    const TALK: Self = Self { width: 13.333, height: 7.5, font: 20.0, dots: 144.0, grows: false };
}

impl Default for Size {
    /// 900 by 540 pixels.
    fn default() -> Self {
        Self { width: 900.0 / PIXELS, height: 540.0 / PIXELS, font: 9.75, dots: 2.0 * PIXELS, grows: true }
    }
}

impl From<Format> for Look {
    /// The default look in this format.
    fn from(format: Format) -> Self {
        let axis = AxisLook::default();
        Self { format, size: Size::default(), font_size: None, x: axis, y: axis }
    }
}

impl Look {
    /// Width and height in CSS pixels.
    pub(crate) fn pixels(&self) -> (f64, f64) {
        // In hundredths, which files show.
        let side = |inches: f64| (100.0 * PIXELS * inches).round() / 100.0;
        (side(self.size.width), side(self.size.height))
    }

    /// The height of the numbers at the axes in CSS pixels.
    pub(crate) fn letters(&self) -> f64 {
        self.font_size.map_or(self.size.font, |size| size.0) * PIXELS / POINTS
    }

    /// Whether a long legend adds to the height.
    pub(crate) fn grows(&self) -> bool {
        self.size.grows
    }

    /// Dots for each CSS pixel.
    pub(crate) fn density(&self) -> f64 {
        self.size.dots / PIXELS
    }
}

impl Range {
    /// The ends.
    pub(crate) fn ends(self) -> (f64, f64) {
        (self.low, self.high)
    }
}

impl FromStr for Size {
    type Err = String;

    /// A name, or `WxH` in inches, or with `cm`, `mm` or `px` behind it.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "default" => return Ok(Self::default()),
            "column" => return Ok(Self::COLUMN),
            "page" => return Ok(Self::PAGE),
            "talk" => return Ok(Self::TALK),
            _ => {}
        }
        let units = [("in", 1.0), ("cm", CENTIMETRES), ("mm", 10.0 * CENTIMETRES), ("px", PIXELS)];
        let (sides, unit) =
            units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1.0));
        let wrong = || {
            let (low, high) = SIDES;
            format!(
                "write column, page, talk, default, or WIDTHxHEIGHT in inches, cm, mm or px from {low} to {high} inches, such as 3.4x2.5 or 16x10cm"
            )
        };
        let (width, height) = sides.split_once('x').ok_or_else(wrong)?;
        let side = |text: &str| -> Option<f64> {
            let inches = text.trim().parse::<f64>().ok()? / unit;
            (SIDES.0..=SIDES.1).contains(&inches).then_some(inches)
        };
        let (width, height) = side(width).zip(side(height)).ok_or_else(wrong)?;
        let font = if width < NARROW { Self::COLUMN.font } else { Self::default().font };
        Ok(Self { width, height, font, dots: Self::PAGE.dots, grows: false })
    }
}

impl FromStr for FontSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let points = text.strip_suffix("pt").unwrap_or(text).parse().ok();
        let points = points.filter(|points| (4.0..=72.0).contains(points));
        points.map(Self).ok_or_else(|| "write a number of points from 4 to 72".into())
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once(':').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let is_range = |&(low, high): &(f64, f64)| low < high && low.abs() < 1e100 && high.abs() < 1e100;
        let ends = ends.filter(is_range);
        ends.map(|(low, high)| Self { low, high })
            .ok_or_else(|| "write two numbers A:B with A < B, such as 0:2.5".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_names_and_units() {
        let inches = |text: &str| text.parse::<Size>().map(|size| (size.width, size.height));
        assert_eq!(inches("column"), Ok((3.4, 2.5)));
        assert_eq!(inches("4x3"), Ok((4.0, 3.0)));
        assert_eq!(inches("4x3in"), inches("384x288px"));
        assert_eq!(inches("25.4x12.7cm"), inches("254x127mm"));
        for bad in ["", "4", "x", "4x", "0x3", "4x-3", "nanx3", "1e9x3", "infx3", "4x3pt", "99999999x1px"] {
            assert!(inches(bad).unwrap_err().contains("WIDTHxHEIGHT"), "{bad}");
        }
    }

    #[test]
    fn ranges_and_fonts_are_checked() {
        assert_eq!("-1:2e3".parse(), Ok(Range { low: -1.0, high: 2e3 }));
        for bad in ["", ":", "1", "2:1", "1:1", "nan:1", "0:inf", "0:1e200", "0-1"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
        assert_eq!("8".parse(), Ok(FontSize(8.0)));
        assert_eq!("8pt".parse(), Ok(FontSize(8.0)));
        for bad in ["", "3", "73", "nan", "-8"] {
            assert!(bad.parse::<FontSize>().is_err(), "{bad}");
        }
    }
}
