//! Dashed lines as their dashes. The library's pixels begin the pattern anew at every point of a curve, so that one of
//! many points would be solid.

use kuva::render::render::Primitive;

/// The same drawing without patterns.
pub(super) fn in_pieces(elements: Vec<Primitive>) -> Vec<Primitive> {
    let cut = |element: Primitive| match element {
        Primitive::PolyLine { points, stroke, stroke_width, stroke_dasharray: Some(pattern) } => {
            let piece =
                |points| Primitive::PolyLine { points, stroke: stroke.clone(), stroke_width, stroke_dasharray: None };
            dashes(&points, &lengths(&pattern)).into_iter().map(piece).collect()
        }
        Primitive::Line { x1, y1, x2, y2, stroke, stroke_width, stroke_dasharray: Some(pattern) } => {
            let piece =
                |points| Primitive::PolyLine { points, stroke: stroke.clone(), stroke_width, stroke_dasharray: None };
            dashes(&[(x1, y1), (x2, y2)], &lengths(&pattern)).into_iter().map(piece).collect()
        }
        other => vec![other],
    };
    elements.into_iter().flat_map(cut).collect()
}

fn lengths(pattern: &str) -> Vec<f64> {
    let lengths = pattern.split([' ', ',']).filter_map(|length| length.parse().ok());
    lengths.filter(|length: &f64| *length > 0.0).collect()
}

/// The pieces of a line that a pattern of dashes and gaps leaves; the whole line for no pattern.
fn dashes(line: &[(f64, f64)], pattern: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let (Some(&start), Some(&first)) = (line.first(), pattern.first()) else { return vec![line.to_vec()] };
    let (mut pieces, mut piece) = (vec![], vec![start]);
    // The part of the pattern, and what is left of it.
    let (mut part, mut left) = (0, first);
    for ends in line.windows(2) {
        let ((x1, y1), (x2, y2)) = (ends[0], ends[1]);
        let length = (x2 - x1).hypot(y2 - y1);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (x1 + (x2 - x1) * done / length, y1 + (y2 - y1) * done / length);
            if part % 2 == 0 {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            part += 1;
            left = pattern[part % pattern.len()];
        }
        left -= length - done;
        if part % 2 == 0 {
            piece.push((x2, y2));
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_goes_on_around_corners() {
        let line = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 4.0)];
        let pieces = dashes(&line, &[3.0, 2.0]);
        assert_eq!(pieces, [vec![(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0)], vec![(2.0, 3.0), (2.0, 4.0)]]);
        assert_eq!(dashes(&line, &[]), [line.to_vec()]);
        assert!(dashes(&[], &[1.0]).iter().all(Vec::is_empty));
    }

    #[test]
    fn a_curve_of_many_points_is_dashed_like_one_of_two() {
        let many: Vec<(f64, f64)> = (0..=1000).map(|i| (f64::from(i) / 10.0, 0.0)).collect();
        let ends = |pieces: Vec<Vec<(f64, f64)>>| -> Vec<f64> {
            pieces.iter().flat_map(|piece| [piece[0].0, piece[piece.len() - 1].0]).collect()
        };
        let (many, two) = (ends(dashes(&many, &[7.0, 5.0])), ends(dashes(&[(0.0, 0.0), (100.0, 0.0)], &[7.0, 5.0])));
        assert_eq!(many.len(), two.len());
        assert!(many.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
