//! Tables of comma-separated values with a header: one column is y, and the others are x.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::array::{Array, Numbers};
use super::{Half, broken};
use crate::data::{DataError, page};
use crate::files::{open_regular, shown};
use crate::text::{counted, visible};

/// Reads x and y; the column `target` is y, or the last one if it is empty.
pub(super) fn read(path: &Path, target: &str) -> Result<Half, DataError> {
    let name = shown(path);
    page::refuse_file(&name, path)?;
    let file = open_regular(path).map_err(DataError::io(&name))?;
    let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let header = reader.headers().map_err(|error| csv_error(&name, error))?.clone();
    let y_at = column(&name, &header, target)?;
    let (mut x, mut y) = (vec![], vec![]);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| csv_error(&name, error))? {
        for (at, cell) in record.iter().enumerate() {
            let Ok(number) = cell.parse::<f64>() else { return Err(no_number(&name, &header, &record, at)) };
            if at == y_at { y.push(number) } else { x.push(number as f32) }
        }
    }
    let rows = y.len();
    let is_whole = |value: &f64| value.fract() == 0.0 && i32::try_from(*value as i64).is_ok();
    let y = match y.iter().all(is_whole) {
        true => Numbers::Whole(y.into_iter().map(|value| value as i32).collect()),
        false => Numbers::Real(y.into_iter().map(|value| value as f32).collect()),
    };
    let x = Array { shape: vec![rows, header.len() - 1], numbers: Numbers::Real(x) };
    Ok(Half { x_name: name.clone(), y_name: name, x, y: Array { shape: vec![rows], numbers: y } })
}

/// The place of the column of labels.
fn column(name: &str, header: &StringRecord, target: &str) -> Result<usize, DataError> {
    if header.len() < 2 {
        let found = counted(header.len(), "column");
        return Err(broken(name, "a header with two columns or more", &found, "separate the columns with commas"));
    }
    if header.iter().all(|cell| cell.parse::<f64>().is_ok()) {
        let advice = "write the names of the columns in the first line";
        return Err(broken(name, "a header", "a first line of numbers", advice));
    }
    let places: Vec<usize> = (0..header.len()).filter(|&at| &header[at] == target).collect();
    match places[..] {
        [at] => Ok(at),
        _ if target.is_empty() => Ok(header.len() - 1),
        _ => {
            const MOST: usize = 20;
            let names: Vec<String> = header.iter().take(MOST).map(visible).collect();
            let found = format!("{} of that name among {}", places.len(), names.join(", "));
            Err(broken(name, &format!("one column `{}`", visible(target)), &found, "correct data.target"))
        }
    }
}

fn no_number(name: &str, header: &StringRecord, record: &StringRecord, at: usize) -> DataError {
    /// The most characters of a cell in a message.
    const SHOWN: usize = 40;
    let cell: String = record[at].chars().take(SHOWN).collect();
    let line = record.position().map_or(0, csv::Position::line);
    let place = format!("{name}, line {line}, column `{}`", visible(&header[at]));
    broken(&place, "a number", &format!("`{}`", visible(&cell)), "write numbers only, and classes as 0, 1, 2 …")
}

fn csv_error(name: &str, error: csv::Error) -> DataError {
    let message = visible(&error.to_string());
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::Io { file: name.into(), source },
        _ => broken(name, "a table with as many cells in every line", &message, "correct that line"),
    }
}
