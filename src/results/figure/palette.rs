//! The colours of pictures, and looks for any number of series that are never equal without a word.
//!
//! Fixed meanings have the colours of M. Okabe and K. Ito, which colour-blind readers can tell apart. Series have six
//! colours that keep their distance for them and in grey as well, then the same six in other dashes.

use std::fmt;

/// An opaque colour: red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ink(pub u8, pub u8, pub u8);

impl Ink {
    /// The colour mixed with three parts of white to two of its own.
    pub fn pale(self) -> Self {
        let mix = |own: u8| ((3 * 255 + 2 * u16::from(own) + 2) / 5) as u8;
        Self(mix(self.0), mix(self.1), mix(self.2))
    }
}

impl fmt::Display for Ink {
    /// As SVG spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// The look of a curve.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Style {
    /// Its colour.
    pub color: Ink,
    /// Line width in nominal pixels.
    pub width: f64,
    /// SVG dash pattern; empty is a solid line.
    pub dashes: &'static str,
}

pub(crate) const BLUE: Ink = Ink(0x00, 0x72, 0xb2);
pub(crate) const VERMILLION: Ink = Ink(0xd5, 0x5e, 0x00);
pub(crate) const BLACK: Ink = Ink(0, 0, 0);
pub(crate) const ORANGE: Ink = Ink(0xe6, 0x9f, 0x00);
pub(crate) const GREEN: Ink = Ink(0x00, 0x9e, 0x73);
pub(crate) const PURPLE: Ink = Ink(0xcc, 0x79, 0xa7);
pub(crate) const SKY: Ink = Ink(0x56, 0xb4, 0xe9);
pub(crate) const GREY: Ink = Ink(0x99, 0x99, 0x99);

/// The colours of series, the first ones farthest apart.
const SERIES: [Ink; 6] = [
    Ink(0x23, 0x17, 0x9c),
    Ink(0xd7, 0x51, 0x09),
    Ink(0xdd, 0xc5, 0x42),
    Ink(0x00, 0x61, 0x90),
    Ink(0xd9, 0x86, 0xb1),
    Ink(0, 0, 0),
];
/// The dashes of the first and of the second kind of curve in a picture, by how often the colours have been used.
const DASHES: [[&str; 4]; 2] = [["", "16 4", "16 4 4 4", "16 4 4 4 4 4"], ["7 5", "2 4", "2 4 2 10", "2 4 2 4 2 10"]];

/// The number of series that look different.
pub(crate) const DISTINCT: usize = SERIES.len() * DASHES[0].len();

/// Viridis without its lightest end, which is invisible on white.
const RISING: [Ink; 9] = [
    Ink(0x44, 0x01, 0x54),
    Ink(0x47, 0x2d, 0x7b),
    Ink(0x3b, 0x52, 0x8b),
    Ink(0x2c, 0x72, 0x8e),
    Ink(0x21, 0x91, 0x8c),
    Ink(0x28, 0xae, 0x80),
    Ink(0x5e, 0xc9, 0x62),
    Ink(0x9b, 0xc5, 0x3d),
    Ink(0xc2, 0xb5, 0x11),
];

/// The look of series `i`, from [`DISTINCT`] on again that of the first: `kind` 0 for its main curve and 1 for another.
pub(crate) fn series(i: usize, kind: usize) -> Style {
    let round = i / SERIES.len() % DASHES[0].len();
    Style { color: SERIES[i % SERIES.len()], width: [2.0, 1.5][kind.min(1)], dashes: DASHES[kind.min(1)][round] }
}

/// The colour of value `i` of `count` in order, from dark to light: no two are equal.
pub(crate) fn rising(i: usize, count: usize) -> Ink {
    let place = i as f64 * (RISING.len() - 1) as f64 / count.saturating_sub(1).max(1) as f64;
    let below = (place as usize).min(RISING.len() - 2);
    let (a, b, part) = (RISING[below], RISING[below + 1], place - below as f64);
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    Ink(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Linear RGB from sRGB.
    fn linear(Ink(r, g, b): Ink) -> [f64; 3] {
        [r, g, b].map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(m: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        m.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0))
    }

    /// CIE L*a*b* under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times(
            [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089]],
            rgb,
        );
        let [x, y, z] = [xyz[0] / 0.9505, xyz[1], xyz[2]];
        let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        [116.0 * f(y) - 16.0, 500.0 * (f(x) - f(y)), 200.0 * (f(y) - f(z))]
    }

    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// Protanopia, deuteranopia and tritanopia, G. M. Machado et al., "A Physiologically-based Model for Simulation of
    /// Color Vision Deficiency", 2009, severity 1.
    const BLIND: [[[f64; 3]; 3]; 3] = [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ];

    #[test]
    fn series_stay_apart_for_every_reader_and_in_grey() {
        for (i, &a) in SERIES.iter().enumerate() {
            // White is a colour that they must keep away from, too.
            for &b in SERIES[..i].iter().chain([&Ink(255, 255, 255)]) {
                let plain = [a, b].map(linear);
                for sight in BLIND {
                    let [a_seen, b_seen] = plain.map(|color| lab(times(sight, color)));
                    assert!(distance(a_seen, b_seen) > 22.0, "{a} and {b}: {}", distance(a_seen, b_seen));
                }
                let [a_grey, b_grey] = plain.map(|color| lab(color)[0]);
                assert!((a_grey - b_grey).abs() > 12.0, "{a} and {b} in grey: {a_grey}, {b_grey}");
            }
        }
    }

    #[test]
    fn no_two_series_and_no_two_values_look_alike() {
        let looks: Vec<String> =
            (0..DISTINCT).flat_map(|i| [0, 1].map(|kind| series(i, kind))).map(|look| format!("{look:?}")).collect();
        assert_eq!(looks.iter().collect::<HashSet<_>>().len(), 2 * DISTINCT);
        for count in [1, 2, 9, 10, 40] {
            let colors: HashSet<String> = (0..count).map(|i| rising(i, count).to_string()).collect();
            assert_eq!(colors.len(), count);
        }
        assert_eq!([rising(0, 9), rising(8, 9)], [RISING[0], RISING[8]]);
    }
}
