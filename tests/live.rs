//! A run for other programs: lines of JSON that read back to the bit, and event files of TensorBoard, decoded here by a reader
//! that shares nothing with their writer; `tests/needs` has TensorBoard's own.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use edgewalk::folder::RunDir;
use edgewalk::folder::rows::{CurvatureColumns, MetricsRow};
use edgewalk::folder::tables::MetricsWriter;
use edgewalk::observer::Logged;
use edgewalk::results::live::json;
use edgewalk::results::live::tensorboard::TensorBoard;
use proptest::prelude::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.into()).collect()
}

#[test]
fn a_line_of_a_table_is_an_object_in_the_order_of_its_columns() {
    let columns = strings(&["step", "lambda_1", "lambda_min", "measured_on", "sam_edge", "hvps"]);
    let cells = strings(&["18446744073709551615", "-0.25", "", "fi\"xed", "NaN", "12"]);
    assert_eq!(
        json::line(Logged { table: "curvature", columns: &columns, cells: &cells }),
        "{\"table\":\"curvature\",\"step\":18446744073709551615,\"lambda_1\":-0.25,\"lambda_min\":null,\
         \"measured_on\":\"fi\\\"xed\",\"sam_edge\":null,\"hvps\":12}\n"
    );
}

proptest! {
    #[test]
    fn numbers_in_json_have_the_bits_of_the_table(step: u64, values in proptest::collection::vec(proptest::num::f64::ANY, 4)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let (secs, loss, error, grad_norm) = (values[0], values[1], values[2], values[3]);
        let row = MetricsRow { step, secs, loss, error, grad_norm, test_loss: None, test_error: None, lr: None };
        MetricsWriter::create(&path, CurvatureColumns::default()).unwrap().write(&row).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let [columns, cells] = [0, 1].map(|i| strings(&text.lines().nth(i).unwrap().split(',').collect::<Vec<_>>()));
        let line = json::line(Logged { table: "metrics", columns: &columns, cells: &cells });
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&object["table"], "metrics");
        prop_assert_eq!(&object["step"], step);
        prop_assert!(object["test_loss"].is_null());
        for (name, value) in ["secs", "loss", "error", "grad_norm"].into_iter().zip(values) {
            let read = object[name].as_f64().map(f64::to_bits);
            prop_assert_eq!(read, value.is_finite().then_some(value.to_bits()), "{} in {}", name, line);
        }
    }
}

/// An event, as far as these files use it: step, wall time and scalars, or the version.
#[derive(Debug, PartialEq)]
enum Event {
    Version(f64, String),
    Scalars(u64, f64, Vec<(String, f32)>),
}

/// CRC-32C bit by bit: the polynomial of Castagnoli, reflected.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let (front, rest) = data.split_at(N);
    *data = rest;
    front.try_into().unwrap()
}

fn varint(data: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let [byte] = take(data);
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message: number, kind and bytes, those of a varint as its eight bytes.
fn fields(mut data: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut fields = vec![];
    while !data.is_empty() {
        let tag = varint(&mut data);
        let bytes = match tag & 7 {
            0 => varint(&mut data).to_le_bytes().into(),
            1 => take::<8>(&mut data).into(),
            2 => {
                let len = varint(&mut data) as usize;
                let (front, rest) = data.split_at(len);
                data = rest;
                front.into()
            }
            5 => take::<4>(&mut data).into(),
            kind => panic!("kind {kind}"),
        };
        fields.push((tag >> 3, tag & 7, bytes));
    }
    fields
}

fn decoded(mut file: &[u8]) -> Vec<Event> {
    let mut events = vec![];
    while !file.is_empty() {
        let unmask = |masked: [u8; 4]| u32::from_le_bytes(masked).wrapping_sub(0xa282_ead8).rotate_left(15);
        let len = take::<8>(&mut file);
        assert_eq!(unmask(take(&mut file)), crc32c(&len));
        let (message, rest) = file.split_at(u64::from_le_bytes(len) as usize);
        file = rest;
        assert_eq!(unmask(take(&mut file)), crc32c(message));

        let (mut wall, mut step, mut version, mut scalars) = (f64::NAN, 0, None, vec![]);
        for (number, kind, bytes) in fields(message) {
            match (number, kind) {
                (1, 1) => wall = f64::from_le_bytes(bytes.try_into().unwrap()),
                (2, 0) => step = u64::from_le_bytes(bytes.try_into().unwrap()),
                (3, 2) => version = Some(String::from_utf8(bytes).unwrap()),
                (5, 2) => {
                    for (number, kind, value) in fields(&bytes) {
                        assert_eq!((number, kind), (1, 2));
                        let [(1, 2, tag), (2, 5, number)] = &fields(&value)[..] else { panic!("{value:?}") };
                        let number = f32::from_le_bytes(number[..].try_into().unwrap());
                        scalars.push((String::from_utf8(tag.clone()).unwrap(), number));
                    }
                }
                other => panic!("field {other:?}"),
            }
        }
        events.push(match version {
            Some(version) => Event::Version(wall, version),
            None => Event::Scalars(step, wall, scalars),
        });
    }
    events
}

#[test]
fn the_test_knows_the_checksum() {
    // The check value of CRC-32C in the catalogues of CRCs, and RFC 3720, B.4: 32 bytes of zeros.
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
}

const METRICS: &str = "step,secs,loss,error,grad_norm,test_loss,test_error\n0,0.5,0.25,0.9,2.0,0.3,0.8\n";
const CURVATURE: &str = "step,secs,lambda_1,measured_on,sam_edge\n0,0.125,-3.5,train,\n300,1.5,0.1,train,4.0\n";
const OSCILLATION: &str = "step,updates,amplitude\n300,4,0.001\n";

/// A run folder with these tables.
fn run_of(folder: &Path, tables: &[(&str, &str)]) -> RunDir {
    fs::write(folder.join("config.toml"), "").unwrap();
    for (name, table) in tables {
        fs::write(folder.join(name), table).unwrap();
    }
    RunDir::open(folder).unwrap()
}

#[test]
fn an_event_file_has_the_numbers_of_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let all = [("metrics.csv", METRICS), ("curvature.csv", CURVATURE), ("oscillation.csv", OSCILLATION)];
    let run = run_of(folder.path(), &all);
    let board = TensorBoard::of_tables(&run).unwrap();
    let written = fs::metadata(run.config()).unwrap().modified().unwrap();
    let start = written.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let name = format!("tensorboard/events.out.tfevents.{start}.edgewalk");
    assert_eq!(board.path(), run.path().join(name));

    let start = start as f64;
    let scalars = |step, secs, values: &[(&str, f32)]| {
        Event::Scalars(step, start + secs, values.iter().map(|(tag, number)| ((*tag).to_owned(), *number)).collect())
    };
    let (train, test) = ([("train/loss", 0.25), ("train/error", 0.9)], [("test/loss", 0.3), ("test/error", 0.8)]);
    let expected = [
        Event::Version(start, "brain.Event:2".into()),
        scalars(0, 0.5, &[&train[..], &[("train/grad_norm", 2.0)], &test].concat()),
        scalars(0, 0.125, &[("curvature/lambda_1", -3.5)]),
        scalars(300, 1.5, &[("curvature/lambda_1", 0.1), ("curvature/sam_edge", 4.0)]),
        // Its time is that of the measurement at step 300.
        scalars(300, 1.5, &[("oscillation/updates", 4.0), ("oscillation/amplitude", 0.001)]),
    ];
    assert_eq!(decoded(&fs::read(board.path()).unwrap()), expected);
}

#[test]
fn what_follows_row_by_row_is_what_the_tables_give() {
    let folder = tempfile::tempdir().unwrap();
    // A run that goes on: half an event file of its earlier life, which knows its start, and somebody else's notes.
    let header = |table: &'static str| table.split_inclusive('\n').next().unwrap();
    let run = run_of(folder.path(), &[("metrics.csv", METRICS), ("curvature.csv", header(CURVATURE))]);
    let events = folder.path().join("tensorboard");
    fs::create_dir(&events).unwrap();
    fs::write(events.join("events.out.tfevents.17.edgewalk"), "half").unwrap();
    fs::write(events.join("notes"), "keep").unwrap();
    let mut board = TensorBoard::of_tables(&run).unwrap();
    assert_eq!(board.path(), events.join("events.out.tfevents.17.edgewalk"));
    for (table, text) in [("curvature", CURVATURE), ("oscillation", OSCILLATION)] {
        let mut lines = text.lines().map(|line| strings(&line.split(',').collect::<Vec<_>>()));
        let columns = lines.next().unwrap();
        for cells in lines {
            board.write(Logged { table, columns: &columns, cells: &cells }).unwrap();
        }
    }
    let live = fs::read(board.path()).unwrap();
    fs::write(run.curvature(), CURVATURE).unwrap();
    // Its last row is not all there.
    fs::write(run.oscillation(), OSCILLATION.to_owned() + "308,4,0.0").unwrap();
    assert_eq!(live, fs::read(TensorBoard::of_tables(&run).unwrap().path()).unwrap());
    let mut names: Vec<_> = fs::read_dir(&events).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [board.path().file_name().unwrap(), "notes".as_ref()]);
}

#[test]
fn damaged_tables_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(folder.path(), &[("metrics.csv", "step,secs,loss\n0,0.5\n")]);
    let text = TensorBoard::of_tables(&run).err().expect("must fail").to_string();
    assert!(text.contains("metrics.csv"), "{text}");
    assert!(!folder.path().join("tensorboard").exists());
}
