//! Text: windows against ones cut by hand, the split by lines, every character that is refused, and tiny_shakespeare.

use std::fs;
use std::path::Path;

use edgewalk::data::{DataError, DataName, Dataset, Examples, Features, Request};
use proptest::prelude::*;

fn load(name: DataName, path: &Path, train: usize, test: usize, seq_len: usize) -> Result<Dataset, DataError> {
    edgewalk::data::load(&Request {
        name,
        path: Some(path.into()),
        train,
        test: test.into(),
        seq_len,
        ..Request::new(name)
    })
}

/// Loads a text of one's own.
fn read(text: &[u8], train: usize, test: usize, seq_len: usize) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("TEXT");
    fs::write(&path, text).unwrap();
    load(DataName::Text, &path, train, test, seq_len)
}

/// Asserts that loading fails with a message that names the file and contains each of `parts`.
fn refused(text: &[u8], train: usize, test: usize, seq_len: usize, parts: &[&str]) {
    let message = read(text, train, test, seq_len).unwrap_err().to_string();
    parts.iter().chain(&["TEXT"]).for_each(|part| assert!(message.contains(part), "{part:?} is not in {message:?}"));
}

fn string(codes: &[u32]) -> String {
    codes.iter().map(|&code| char::from_u32(code).unwrap()).collect()
}

/// What is read and what is predicted, window by window.
fn windows(examples: &Examples) -> Vec<(String, String)> {
    let Features::Tokens(codes) = examples.features() else { panic!("text is tokens") };
    assert_eq!((examples.classes(), examples.labels().len()), (128, codes.len()));
    let length = examples.shape()[0];
    codes.chunks(length).zip(examples.labels().chunks(length)).map(|(x, y)| (string(x), string(y))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|&(x, y)| (x.into(), y.into())).collect()
}

#[test]
fn windows_follow_one_another_and_predict_the_next_character() {
    // Four lines: three for training, whose last character fills no window, and one for testing, two of it left over.
    let text = b"abc\nde\nf\nghijkl";
    let Dataset { train, test } = read(text, 0, 1, 3).unwrap();
    assert_eq!((train.shape(), train.dim(), train.labels_each(), train.len()), (&[3][..], 3, 3, 2));
    assert_eq!(windows(&train), pairs(&[("abc", "bc\n"), ("de\n", "e\nf")]));
    assert_eq!(windows(&test.unwrap()), pairs(&[("ghi", "hij")]));
    // A window may be the whole part.
    assert_eq!(windows(&read(text, 1, 0, 8).unwrap().train), pairs(&[("abc\nde\nf", "bc\nde\nf\n")]));
}

#[test]
fn the_first_n_windows_come_from_a_split_that_does_not_move() {
    let text: String = (0..400).map(|i| format!("line {i}\n")).collect();
    let all = windows(&read(text.as_bytes(), 0, 1, 5).unwrap().train);
    for n in [1, 2, all.len()] {
        let Dataset { train, test } = read(text.as_bytes(), n, 1, 5).unwrap();
        assert_eq!(windows(&train), all[..n]);
        assert_eq!(windows(&test.unwrap()), pairs(&[("line ", "ine 3")]));
    }
    assert!(read(text.as_bytes(), 0, 0, 5).unwrap().test.is_none());
    let asked = (all.len() + 1).to_string();
    refused(text.as_bytes(), all.len() + 1, 1, 5, &["training part", &asked, &all.len().to_string(), "data.train"]);
    refused(text.as_bytes(), 0, 1000, 5, &["for testing", "first 1000", "data.test"]);
}

#[test]
fn the_last_quarter_of_the_lines_is_for_testing() {
    let starts = |text: &str| {
        let Dataset { train, test } = read(text.as_bytes(), 0, 1, 1).unwrap();
        (windows(&train).remove(0).0, windows(&test.unwrap()).remove(0).0)
    };
    let pair = |train: &str, test: &str| (train.into(), test.into());
    assert_eq!(starts("1.\n2.\n3.\n4.\n"), pair("1", "4"));
    // A last line without an end is a line, and a quarter is rounded down.
    assert_eq!(starts("1.\n2.\n3.\n4."), pair("1", "4"));
    assert_eq!(starts("1.\n2.\n3.\n4.\n5.\n6.\n7."), pair("1", "7"));
    assert_eq!(starts("1.\n2.\n3.\n4.\n5.\n6.\n7.\n8."), pair("1", "7"));
    refused(b"1.\n2.\n3.", 0, 1, 1, &["for testing", "0 characters", "takes 2"]);
}

#[test]
fn shakespeare_keeps_its_last_ten_thousand_lines_for_testing() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..10_003).map(|i| format!("{i}\n")).collect();
    fs::write(folder.path().join("input.txt"), &text).unwrap();
    let Dataset { train, test } = load(DataName::Shakespeare, folder.path(), 0, 1, 5).unwrap();
    assert_eq!(windows(&train), pairs(&[("0\n1\n2", "\n1\n2\n")]));
    assert_eq!(windows(&test.unwrap()), pairs(&[("3\n4\n5", "\n4\n5\n")]));
    fs::write(folder.path().join("input.txt"), &text[..20_000]).unwrap();
    let message = load(DataName::Shakespeare, folder.path(), 0, 0, 5).unwrap_err().to_string();
    assert!(message.contains("training part") && message.contains("0 characters"), "{message}");
}

#[test]
fn a_text_without_a_window_says_how_long_it_is() {
    refused(b"", 0, 0, 3, &["has 0 characters", "takes 4", "model.seq_len"]);
    refused(b"abc", 0, 0, 3, &["has 3 characters", "takes 4"]);
    assert_eq!(windows(&read(b"abcd", 0, 0, 3).unwrap().train), pairs(&[("abc", "bcd")]));
    // Long enough as a whole, but not its part for training.
    refused(b"ab\ncd\nef\ngh\n", 0, 1, 9, &["training part", "has 9 characters", "takes 10"]);
}

#[test]
fn characters_beyond_ascii_are_refused_by_place() {
    refused("plain\ncaf\u{e9}\n".as_bytes(), 0, 0, 3, &["0xc3 at byte 9", "line 2, column 4", "ASCII"]);
    refused(b"\0", 0, 0, 3, &["0x00 at byte 0", "line 1, column 1"]);
    refused(b"ab\n\n\x80", 0, 0, 3, &["0x80 at byte 4", "line 3, column 1"]);
    assert_eq!(windows(&read(b"\x01\x7f\r\n", 0, 0, 3).unwrap().train), pairs(&[("\x01\x7f\r", "\x7f\r\n")]));
}

#[test]
fn a_web_page_is_called_one() {
    refused(b"<!DOCTYPE html>\n<html>\n</html>\n", 0, 0, 3, &["is an HTML page"]);
}

#[test]
fn a_missing_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = load(DataName::Text, folder.path(), 0, 0, 3).unwrap_err().to_string();
    assert!(message.contains("input.txt") && message.contains(folder.path().to_str().unwrap()), "{message}");
    let message = load(DataName::Text, &folder.path().join("nowhere"), 0, 0, 3).unwrap_err().to_string();
    assert!(message.contains("nowhere") && message.contains("cannot read"), "{message}");
}

proptest! {
    #[test]
    fn windows_are_the_text_again(
        text in "[a-c\n]{1,200}", seq_len in 1_usize..20, test in 0_usize..3,
    ) {
        if let Ok(Dataset { train, test: held_out }) = read(text.as_bytes(), 0, test, seq_len) {
            let joined = |examples: &Examples| -> String {
                windows(examples).into_iter().map(|(x, y)| format!("{x}{}", &y[y.len() - 1..])).collect()
            };
            let first = joined(&train);
            prop_assert!(text.starts_with(&first));
            // At most one window's worth is lost of the training part, and nothing is in both parts.
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let held = if test == 0 { 0 } else { lines.len() / 4 };
            let part: usize = lines[..lines.len() - held].iter().map(|line| line.len()).sum();
            prop_assert!(first.len() <= part && part - first.len() <= seq_len);
            if let Some(held_out) = held_out {
                prop_assert_eq!(held_out.len(), test);
                prop_assert!(text[part..].starts_with(&joined(&held_out)));
            }
        }
    }
}
