//! What follows a run while it goes on sees what its tables hold, resumed or not.

use std::fs;
use std::path::Path;
use std::process::Output;

use edgewalk::folder::RunDir;
use edgewalk::results::live::tensorboard::TensorBoard;
use serde_json::Value;
use tempfile::tempdir;

use super::cli::{edgewalk, text};

const SETS: [&str; 7] =
    ["width=8", "train=50", "test=20", "steps=24", "measure.every=8", "measure.window=8", "tensorboard=true"];

/// The tables' lines as `table` and cells by column.
fn lines(run: &Path) -> Vec<(String, Vec<(String, String)>)> {
    let mut all = vec![];
    for table in ["metrics", "curvature", "oscillation"] {
        let text = fs::read_to_string(run.join(table).with_extension("csv")).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let columns = lines.next().unwrap();
        all.extend(lines.map(|cells| (table.to_owned(), columns.iter().cloned().zip(cells).collect())));
    }
    all
}

/// Every line of JSON must be a line of a table, and the other way round.
fn assert_same_rows(stdout: &str, run: &Path, from: u64) {
    let mut expected = lines(run);
    // A window that was open is closed after the resumption, eight steps after it began.
    let made = |table: &str| if table == "oscillation" { 8 } else { 0 };
    expected.retain(|(table, cells)| cells[0].1.parse::<u64>().unwrap() + made(table) >= from);
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), expected.len(), "{stdout}");
    for row in rows {
        let same = |(column, cell): &(String, String)| match &row[column.as_str()] {
            Value::Null => cell.is_empty(),
            Value::String(word) => word == cell,
            number => number.as_f64() == cell.parse().ok(),
        };
        let place = expected.iter().position(|(table, cells)| row["table"] == *table && cells.iter().all(same));
        expected.remove(place.unwrap_or_else(|| panic!("{row} is in no table")));
    }
}

/// The one event file of a run, and its name.
fn event_file(run: &Path) -> (String, Vec<u8>) {
    let entries: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1);
    (entries[0].file_name().into_string().unwrap(), fs::read(entries[0].path()).unwrap())
}

/// Length, its checksum, the data and theirs: the records of an event file, sorted.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = vec![];
    while let Some((head, _)) = bytes.split_first_chunk() {
        let (record, rest) = bytes.split_at(8 + 4 + u64::from_le_bytes(*head) as usize + 4);
        records.push(record);
        bytes = rest;
    }
    records.sort_unstable();
    records
}

#[test]
fn json_lines_and_event_files_have_the_rows_of_the_tables() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let run = here.join("run");
    let mut train = edgewalk(here, &["train", "--out", "run", "--json", "--set", "time_limit=1e-9"]);
    SETS.iter().for_each(|set| {
        train.args(["--set", set]);
    });
    let mut resume = edgewalk(here, &["resume", "run", "--json", "--set", "time_limit=0"]);
    for (command, from) in [(&mut train, 0), (&mut resume, 1)] {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let (stdout, stderr) = (text(&stdout), text(&stderr));
        assert!(status.success(), "{stderr}");
        assert_same_rows(&stdout, &run, from);
        for words in ["parameters on", "report.html in run"] {
            assert!(stderr.contains(words), "{stderr}");
        }
        // What followed the rows is what the tables give afterwards, but for the order of their rows.
        let (name, live) = event_file(&run);
        let written = TensorBoard::of_tables(&RunDir::open(&run).unwrap()).unwrap();
        assert_eq!(written.path().file_name().unwrap().to_str(), Some(name.as_str()));
        let (_, after) = event_file(&run);
        let (live, after) = (records(&live), records(&after));
        assert!(live == after && live.len() > 2, "{} {}", live.len(), after.len());
    }
}
