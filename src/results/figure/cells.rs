//! A table of numbers as coloured cells with the numbers written in; a cell without a number gives the reason. The
//! colours are C. Brewer's RdBu (diverging) and viridis (sequential), which colour-blind readers can tell apart and
//! which keep their order in grey.

use kuva::render::color::Color;
use kuva::render::render::{Primitive, Scene, TextAnchor};

use super::encode::encode;
use super::heat_map::{Cell, Colors, HeatMap};
use crate::results::Format;
use crate::text::digits;

const RED_BLUE: [[f64; 3]; 5] =
    [[33.0, 102.0, 172.0], [146.0, 197.0, 222.0], [247.0, 247.0, 247.0], [244.0, 165.0, 130.0], [178.0, 24.0, 43.0]];
const VIRIDIS: [[f64; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
/// An unknown value.
const NOTHING: Color = Color::Rgb(238, 238, 238);
const INK: Color = Color::Rgb(0, 0, 0);
const FAINT: Color = Color::Rgb(85, 85, 85);

/// The height of a cell in pixels.
const CELL: f64 = 46.0;
/// The width of a letter of nominal size 13.
const LETTER: f64 = 7.8;
/// The height of the title and the space above the cells.
const TOP: f64 = 64.0;
/// The space of the scale, with its numbers.
const RIGHT: f64 = 130.0;
/// Stripes of the scale.
const STRIPES: usize = 64;
/// The least and the greatest factor from 1 to the ends of the scale of ratios.
const FACTORS: (f64, f64) = (1.25, 4.0);

impl HeatMap {
    /// Draws the picture into the bytes of a file.
    ///
    /// # Errors
    /// The plotting library's message, if it cannot encode the picture.
    pub fn render(&self, format: Format) -> Result<Vec<u8>, String> {
        encode(self.scene(), format, 2.0)
    }

    /// The logarithms at the ends of the scale.
    fn ends(&self) -> (f64, f64) {
        let values = self.cells.iter().flatten().filter_map(|cell| match cell {
            Cell::Value(value) => Some(value.ln()),
            Cell::Missing(_) => None,
        });
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        match self.colors {
            Colors::Ratio => {
                let reach = low.abs().max(high.abs());
                let reach =
                    if reach.is_finite() { reach.clamp(FACTORS.0.ln(), FACTORS.1.ln()) } else { FACTORS.0.ln() };
                (-reach, reach)
            }
            Colors::Log if low < high => (low, high),
            Colors::Log if low.is_finite() => (low - 1.0, low + 1.0),
            Colors::Log => (-1.0, 1.0),
        }
    }

    /// The colour at a fraction of the scale.
    fn color(&self, share: f64) -> [f64; 3] {
        let stops = match self.colors {
            Colors::Ratio => RED_BLUE,
            Colors::Log => VIRIDIS,
        };
        let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let below = (place as usize).min(stops.len() - 2);
        let part = place - below as f64;
        std::array::from_fn(|i| stops[below][i] + part * (stops[below + 1][i] - stops[below][i]))
    }

    fn scene(&self) -> Scene {
        let longest = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0) as f64;
        let words = self.cells.iter().flatten().map(|cell| match cell {
            Cell::Value(_) => 6,
            Cell::Missing(why) => why.chars().count(),
        });
        let letters = words.max().unwrap_or(0) as f64;
        let wide = (LETTER * letters.max(longest(&self.columns)) + 14.0).clamp(64.0, 140.0);
        let y_label = 1.2 * LETTER * self.y_label.chars().count() as f64;
        let left = (24.0 + LETTER * longest(&self.rows)).max(24.0 + y_label);
        let title = 10.5 * self.title.chars().count() as f64 + 24.0;
        let height = TOP + CELL * self.rows.len() as f64 + 62.0;
        let right = left + wide * self.columns.len() as f64;
        let mut scene = Scene::new((right + RIGHT).max(title), height.max(TOP + 200.0));
        scene.font_family = Some("DejaVu Sans, Arial, sans-serif".into());
        let bottom = TOP + CELL * self.rows.len() as f64;
        let middle = (0.5 * (left + right)).max(0.5 * title);
        text(&mut scene, (middle, 30.0), 18, TextAnchor::Middle, INK, &self.title);
        for (i, name) in self.columns.iter().enumerate() {
            text(&mut scene, (left + wide * (i as f64 + 0.5), bottom + 20.0), 13, TextAnchor::Middle, INK, name);
        }
        text(&mut scene, (0.5 * (left + right), bottom + 46.0), 15, TextAnchor::Middle, INK, &self.x_label);
        // A label at the side of a single row would be longer than the row is high.
        text(&mut scene, (left - 10.0, TOP - 10.0), 15, TextAnchor::End, INK, &self.y_label);
        let ends = self.ends();
        for (i, (name, cells)) in self.rows.iter().zip(&self.cells).enumerate() {
            let top = bottom - CELL * (i + 1) as f64;
            text(&mut scene, (left - 10.0, top + 0.5 * CELL + 5.0), 13, TextAnchor::End, INK, name);
            for (j, cell) in cells.iter().enumerate() {
                self.cell(&mut scene, [left + wide * j as f64, top, wide, CELL], cell, ends);
            }
        }
        self.scale(&mut scene, right + 24.0, ends);
        scene
    }

    fn cell(&self, scene: &mut Scene, [x, y, width, height]: [f64; 4], cell: &Cell, ends: (f64, f64)) {
        let (fill, ink, words, size) = match cell {
            Cell::Value(value) => {
                let [r, g, b] = self.color((value.ln() - ends.0) / (ends.1 - ends.0));
                // The luma of ITU-R BT.601: decides between black and white text.
                let ink = if 0.299 * r + 0.587 * g + 0.114 * b > 140.0 { INK } else { Color::Rgb(255, 255, 255) };
                (Color::Rgb(r as u8, g as u8, b as u8), ink, digits(*value, 3), 13)
            }
            Cell::Missing(why) => (NOTHING, FAINT, why.clone(), 12),
        };
        let (stroke, stroke_width) = (Some(Color::Rgb(255, 255, 255)), Some(2.0));
        scene.add(Primitive::Rect { x, y, width, height, fill, stroke, stroke_width, opacity: None });
        if matches!(cell, Cell::Missing(_)) {
            let (stroke, stroke_dasharray) = (Color::Rgb(216, 216, 216), None);
            let (x1, y1, x2, y2) = (x + 2.0, y + height - 2.0, x + width - 2.0, y + 2.0);
            scene.add(Primitive::Line { x1, y1, x2, y2, stroke, stroke_width: 1.0, stroke_dasharray });
        }
        text(scene, (x + 0.5 * width, y + 0.5 * height + 5.0), size, TextAnchor::Middle, ink, &words);
    }

    /// The colours with their numbers.
    fn scale(&self, scene: &mut Scene, x: f64, ends: (f64, f64)) {
        let (top, bottom) = (TOP, scene.height - 62.0);
        let stripe = (bottom - top) / STRIPES as f64;
        for i in 0..STRIPES {
            let [r, g, b] = self.color((i as f64 + 0.5) / STRIPES as f64);
            scene.add(Primitive::Rect {
                x,
                y: bottom - stripe * (i + 1) as f64,
                width: 16.0,
                // Overlap hides the seams.
                height: stripe + if i > 0 { 0.6 } else { 0.0 },
                fill: Color::Rgb(r as u8, g as u8, b as u8),
                stroke: None,
                stroke_width: None,
                opacity: None,
            });
        }
        for share in [0.0, 0.5, 1.0] {
            let value = (ends.0 + share * (ends.1 - ends.0)).exp();
            let y = bottom - share * (bottom - top) + 4.0;
            text(scene, (x + 22.0, y), 12, TextAnchor::Start, INK, &digits(value, 3));
        }
        text(scene, (x - 4.0, bottom + 24.0), 12, TextAnchor::Start, FAINT, self.label);
    }
}

fn text(scene: &mut Scene, (x, y): (f64, f64), size: u32, anchor: TextAnchor, color: Color, content: &str) {
    let (content, color) = (content.to_owned(), Some(color));
    scene.add(Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(colors: Colors, cells: Vec<Vec<Cell>>) -> HeatMap {
        HeatMap {
            title: "a < b".into(),
            x_label: "ρ".into(),
            y_label: "η".into(),
            label: "ratio",
            columns: (0..cells[0].len()).map(|i| i.to_string()).collect(),
            rows: (0..cells.len()).map(|i| i.to_string()).collect(),
            cells,
            colors,
        }
    }

    #[test]
    fn one_is_the_neutral_middle_of_ratios() {
        let map = map(Colors::Ratio, vec![vec![Cell::Value(0.5), Cell::Value(1.0), Cell::Value(1.5)]]);
        let (low, high) = map.ends();
        assert!((low + high).abs() < 1e-12 && (high - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(map.color(0.5), RED_BLUE[2]);
        let svg = String::from_utf8(map.render(Format::Svg).unwrap()).unwrap();
        for [r, g, b] in [RED_BLUE[0], RED_BLUE[2]] {
            let fill = format!("#{:02x}{:02x}{:02x}", r as u8, g as u8, b as u8);
            assert!(svg.contains(&fill), "{fill}");
        }
    }

    #[test]
    fn numbers_and_reasons_are_written_in() {
        let map = map(Colors::Log, vec![vec![Cell::Value(1e-5), Cell::Missing("diverged".into())]]);
        let svg = String::from_utf8(map.render(Format::Svg).unwrap()).unwrap();
        assert!(svg.contains(">1e-5<") && svg.contains(">diverged<") && svg.contains("a &lt; b"), "{svg}");
    }

    #[test]
    fn a_map_without_numbers_can_still_be_drawn() {
        for colors in [Colors::Ratio, Colors::Log] {
            let map = map(colors, vec![vec![Cell::Missing("waiting".into())]]);
            let (low, high) = map.ends();
            assert!(low < high && low.is_finite() && high.is_finite());
            for format in [Format::Svg, Format::Png, Format::Pdf] {
                assert!(!map.render(format).unwrap().is_empty());
            }
        }
    }
}
