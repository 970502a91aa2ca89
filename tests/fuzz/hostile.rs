//! Inputs made to hurt, by hand: headers that promise too much, gzip streams that swell, and deep nests.

use std::io::Write;

use edgewalk::data::idx::{IdxSource, read_pair};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::join;
use super::parsers::{data, folders, settings, tables, tensors};

fn gzip(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut zipped = GzEncoder::new(vec![], Compression::best());
    pieces.into_iter().for_each(|piece| zipped.write_all(&piece).unwrap());
    zipped.finish().unwrap()
}

fn idx_header(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn headers_that_promise_too_much_take_no_memory() {
    let labels = [idx_header(&[0x0801, 3]), vec![1, 2, 3]].concat();
    for count in [4, 1 << 20, (1 << 20) + 1, u32::MAX] {
        let images = idx_header(&[0x0803, count, 28, 28]);
        let as_many = idx_header(&[0x0801, count]);
        assert!(!data::idx(&join(&[vec![0, 0], labels.clone(), images.clone()])));
        assert!(!data::idx(&join(&[vec![0, 0], as_many, images])));
    }
    for len in [9, 100 << 20, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 7, u64::MAX] {
        let file = [&len.to_le_bytes()[..], b"{}"].concat();
        assert!(!tensors::params(&file) && !tensors::state(&file));
    }
    for shape in ["[4294967296,4294967296]", "[18446744073709551615]", "[1e9]", "[1099511627776]"] {
        let header = format!("{{\"step\":{{\"dtype\":\"U64\",\"shape\":{shape},\"data_offsets\":[0,8]}}}}");
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        assert!(!tensors::params(&file) && !tensors::state(&file));
    }
}

#[test]
fn a_gzip_stream_that_swells_is_refused_by_its_header() {
    let labels = [idx_header(&[0x0801, 3]), vec![1, 2, 3]].concat();
    // A thousandth of it on the disk.
    let zeros = std::iter::repeat_n(vec![0; 1 << 20], 64);
    let images = gzip([idx_header(&[0x0803, 3, 28, 28])].into_iter().chain(zeros));
    let mut read = Ok(());
    let info = allocation_counter::measure(|| {
        let [images, labels] = [&images, &labels].map(|bytes| IdxSource::bytes("the file", bytes).unwrap());
        read = read_pair(images, labels, 0).map(drop);
    });
    assert!(read.unwrap_err().to_string().contains("more bytes"));
    assert!(info.bytes_max < 1 << 18, "{info:?}");
}

#[test]
fn deep_nests_end_in_an_error() {
    for depth in [1000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a=", "}")] {
            let nest = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let json = format!("{{\"choices\":{{}},\"more\":{nest}}}");
            assert!(!settings::config(format!("x = {nest}").as_bytes()));
            assert!(!settings::sets(format!("lr = {nest}").as_bytes()));
            assert!(!settings::sweep(format!("x = {nest}").as_bytes()));
            assert!(!folders::kernels(json.as_bytes()) && !folders::manifest(json.as_bytes()));
        }
        let keys = "a.".repeat(depth);
        for toml in
            [format!("{keys}a = 1"), format!("[{keys}a]"), format!("[[{keys}a]]"), format!("x = {{{keys}a = 1}}")]
        {
            assert!(!settings::config(toml.as_bytes()) && !settings::sweep(toml.as_bytes()));
        }
        assert!(!settings::sets(format!("lr={{{keys}a = 1}}").as_bytes()));
    }
}

#[test]
fn values_of_one_letter_take_their_share_of_memory() {
    let dense = ["1,", "[],", "\"\",", "{},"].map(|value| format!("[{}1]", value.repeat(100_000)));
    for array in dense {
        assert!(!settings::config(format!("x = {array}").as_bytes()));
        assert!(!settings::sets(format!("lr = {array}").as_bytes()));
        let json = format!("{{\"choices\":{{}},\"more\":{array}}}");
        assert!(!folders::kernels(json.as_bytes()) && !folders::manifest(json.as_bytes()));
    }
    let keys: String = (0..50_000).map(|i| format!("a{i}=1\n")).collect();
    assert!(!settings::config(keys.as_bytes()) && !settings::sweep(keys.as_bytes()));
    assert!(!tables::metrics(format!("step\n{}", "1\n".repeat(100_000)).as_bytes()));
    let columns: String = (0..50_000).map(|i| format!("{i},")).collect();
    assert!(!tables::metrics(format!("{columns}step\n{}1\n", ",".repeat(50_000)).as_bytes()));
}

#[test]
fn lines_without_an_end_are_errors_or_unfinished_rows() {
    let wide = "1,".repeat(100_000);
    assert!(!tables::metrics(format!("step,loss\n{wide}\n").as_bytes()));
    assert!(!tables::official(wide.as_bytes()));
    assert!(!tables::official(&b"1 ".repeat(100_000)));
    assert!(!settings::sets(format!("lr={wide}").as_bytes()));
    let text = b"a".repeat(1 << 20);
    assert!(data::characters(&join(&[vec![255, 0, 0, 0], text])));
}
