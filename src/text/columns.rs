//! Tables and texts in the width of a terminal. No word is ever broken: cells are wrapped between words. In a table that
//! does not fit even so, each row has its name in a line of its own.

/// The distance between two columns.
const GAP: usize = 2;
/// In a cell, a space at which no line is broken; it is printed as any other.
pub(crate) const HARD_SPACE: char = '\u{a0}';

/// Lines of cells in aligned columns, the headings first; empty columns are left out. Without a `width` nothing is
/// wrapped.
pub(crate) fn in_columns(lines: Vec<Vec<String>>, width: Option<usize>) -> String {
    rows_in_columns(lines, width).concat()
}

/// The same line by line.
pub(crate) fn rows_in_columns(mut lines: Vec<Vec<String>>, width: Option<usize>) -> Vec<String> {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    lines.iter_mut().for_each(|line| line.resize(count, String::new()));
    let is_used: Vec<bool> = (0..count).map(|column| lines.iter().any(|line| !line[column].is_empty())).collect();
    for line in &mut lines {
        let mut is_used = is_used.iter();
        line.retain(|_| is_used.next() == Some(&true));
    }
    let rows = match width {
        None => aligned(&lines, &widest(&lines, len)),
        Some(width) => match fitted(&lines, width) {
            Some(widths) => aligned(&lines, &widths),
            None => below_names(&lines, width),
        },
    };
    rows.into_iter().map(|row| row.replace(HARD_SPACE, " ")).collect()
}

/// The largest number of every column.
fn widest(lines: &[Vec<String>], of: fn(&str) -> usize) -> Vec<usize> {
    let columns = lines.first().map_or(0, Vec::len);
    (0..columns).map(|column| lines.iter().map(|line| of(&line[column])).max().unwrap_or(0)).collect()
}

/// Widths that add up to at most `width`, if words are not longer: the widest columns are narrowed.
fn fitted(lines: &[Vec<String>], width: usize) -> Option<Vec<usize>> {
    let (mut widths, least) = (widest(lines, len), widest(lines, longest_word));
    let room = width.checked_sub(GAP * widths.len().saturating_sub(1))?;
    while widths.iter().sum::<usize>() > room {
        let wide = (0..widths.len()).filter(|&column| widths[column] > least[column]);
        let widest = wide.max_by_key(|&column| widths[column])?;
        widths[widest] -= 1;
    }
    Some(widths)
}

fn aligned(lines: &[Vec<String>], widths: &[usize]) -> Vec<String> {
    let gap = " ".repeat(GAP);
    let row = |line: &Vec<String>| {
        let cells: Vec<Vec<String>> =
            line.iter().zip(widths).map(|(cell, &width)| broken(cell, width, width)).collect();
        let part = |part: usize| {
            let cells = cells.iter().zip(widths);
            let cells = cells.map(|(cell, &width)| format!("{:width$}", cell.get(part).map_or("", String::as_str)));
            format!("{}\n", cells.collect::<Vec<String>>().join(&gap).trim_end())
        };
        (0..cells.iter().map(Vec::len).max().unwrap_or(0)).map(part).collect()
    };
    lines.iter().map(row).collect()
}

/// The rows of a table whose first column is too wide. A name that is longer than what the others leave has a line of its
/// own. If the others do not fit either, they follow in words.
fn below_names(lines: &[Vec<String>], width: usize) -> Vec<String> {
    let rest: Vec<Vec<String>> = lines.iter().map(|line| line.iter().skip(1).cloned().collect()).collect();
    let name = |line: &Vec<String>| line.first().cloned().unwrap_or_default();
    if let Some(widths) = fitted(&rest, width.saturating_sub(2 * GAP)) {
        let room = width.saturating_sub(widths.iter().map(|width| width + GAP).sum());
        let row = |(line, below): (&Vec<String>, String)| {
            let name = name(line);
            let (first, other) = below.split_once('\n').unwrap_or_default();
            let indent = " ".repeat(room + GAP);
            let others = other.lines().map(|line| format!("{indent}{line}\n"));
            let others: String = others.collect();
            let begin = if len(&name) <= room { format!("{name:room$}  ") } else { format!("{name}\n{indent}") };
            format!("{}\n{others}", format!("{begin}{first}").trim_end())
        };
        return lines.iter().zip(aligned(&rest, &widths)).map(row).collect();
    }
    let names = rest.first().cloned().unwrap_or_default();
    let row = |line: &Vec<String>| {
        let cells = names.iter().zip(line.iter().skip(1)).filter(|(_, cell)| !cell.is_empty());
        let cells: Vec<String> = cells.map(|(name, cell)| format!("{name} {cell}").trim().to_owned()).collect();
        let indent = " ".repeat(GAP);
        let below = wrapped(&format!("{}\n", cells.join(", ")), Some(width.saturating_sub(GAP)));
        let below: String = below.lines().map(|line| format!("{indent}{line}\n")).collect();
        format!("{}\n{below}", name(line))
    };
    lines.iter().skip(1).map(row).fold(vec![String::new()], |mut rows, row| {
        rows.push(row);
        rows
    })
}

/// A text whose lines are broken between words where they are longer than the width. What follows is indented to the
/// last column of the line that begins in its first half, or by two characters more than the line.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut wrapped = String::new();
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if len(line) <= width {
            wrapped += line;
        } else {
            let indent = indent(line, width);
            let parts = broken(line, width, width.saturating_sub(indent));
            wrapped += &parts.join(&format!("\n{}", " ".repeat(indent)));
        }
        wrapped += end;
    }
    wrapped
}

fn indent(line: &str, width: usize) -> usize {
    let chars: Vec<char> = line.chars().collect();
    let is_start = |at: &usize| chars[*at] != ' ' && *at >= GAP && chars[*at - GAP..*at].iter().all(|c| *c == ' ');
    let own = chars.iter().take_while(|c| **c == ' ').count();
    (own + 1..chars.len().min(width / 2)).rev().find(is_start).unwrap_or((own + 2).min(width / 2))
}

/// A line in parts of at most `first` and then `rest` characters, broken at spaces; a longer word is a part of its own.
fn broken(line: &str, first: usize, rest: usize) -> Vec<String> {
    let mut parts = vec![];
    let (mut part, mut limit) = (String::new(), first);
    let mut left = line;
    while !left.is_empty() {
        let spaces = left.len() - left.trim_start_matches(' ').len();
        let end = left[spaces..].find(' ').map_or(left.len(), |end| spaces + end);
        let (piece, after) = left.split_at(end);
        let is_first = part.trim_start().is_empty();
        if !is_first && len(&part) + len(piece) > limit {
            parts.push(std::mem::take(&mut part));
            limit = rest;
            part += piece.trim_start();
        } else {
            part += piece;
        }
        left = after;
    }
    parts.push(part.trim_end().to_owned());
    parts
}

fn len(text: &str) -> usize {
    text.chars().count()
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{GAP, in_columns, len, wrapped};

    fn table() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        vec![
            row(["run", "ratio [low, high]", "", "note"]),
            row(["a", "0.998 [0.912, 1.034]", "", "the data set is not here; fetch it with edgewalk data fetch"]),
            row(["bcd", "", "", ""]),
        ]
    }

    #[test]
    fn a_table_has_the_width_that_it_is_given_and_breaks_no_word() {
        let wide = in_columns(table(), None);
        assert_eq!(wide.lines().count(), 3);
        assert_eq!(wide.lines().nth(1).unwrap().find("the data"), wide.lines().next().unwrap().find("note"));
        for width in [120, 80, 40, 30, 20, 9] {
            let text = in_columns(table(), Some(width));
            let widest = text.lines().map(len).max().unwrap();
            // One word is as long as this.
            assert!(widest <= width.max("edgewalk".len() + 2 * GAP), "{width}: {text}");
            for word in wide.lines().skip(1).flat_map(str::split_whitespace) {
                assert!(text.split_whitespace().any(|found| found.trim_end_matches(',') == word.trim_end_matches(',')));
            }
        }
        assert_eq!(in_columns(table(), Some(120)), wide);
        assert_eq!(in_columns(vec![], Some(10)), "");
    }

    #[test]
    fn a_long_line_goes_on_below_its_last_column() {
        let line = "pass  exp     error 1e-7 at x = 1, 17 % of it  3 ulp\n  short\n";
        assert_eq!(wrapped(line, None), line);
        assert_eq!(
            wrapped(line, Some(36)),
            "pass  exp     error 1e-7 at x = 1,\n              17 % of it  3 ulp\n  short\n"
        );
        let path = "/a/very/long/path/that/is/one/word";
        assert_eq!(wrapped(&format!("in {path} it is"), Some(10)), format!("in\n  {path}\n  it is"));
    }
}
