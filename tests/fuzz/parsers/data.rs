//! Data sets. Each is read a second time here, in the plainest way there is.

use std::fs;
use std::io::Read;

use edgewalk::data::catalogue::Item;
use edgewalk::data::idx::{IdxSource, read_pair};
use edgewalk::data::images::Images;
use edgewalk::data::text::{self, TestLines};
use edgewalk::data::{DataName, Dataset, Examples, Features, Request, Split, cifar, fetch};
use flate2::Compression;
use flate2::read::{GzEncoder, MultiGzDecoder};
use sha2::{Digest, Sha256};

use super::{agree, bounded, in_folder, parts, put};

/// Options (how many examples; which files to zip), labels, images.
pub fn idx(input: &[u8]) -> bool {
    let [options, labels, images] = parts(input);
    let [first_n, zip] = [0, 1].map(|at| options.get(at).copied().unwrap_or_default());
    let (labels, images) = (zipped(labels, zip & 1 > 0), zipped(images, zip & 2 > 0));
    let (plain_labels, plain_images) = (unzipped(&labels), unzipped(&images));
    let size = [&plain_labels, &plain_images].iter().map(|file| file.as_ref().map_or(0, Vec::len)).sum::<usize>();
    let read = bounded(labels.len() + images.len() + size, || {
        read_pair(IdxSource::bytes("the file", &images)?, IdxSource::bytes("the file", &labels)?, first_n.into())
    });
    let expected = plain_images.zip(plain_labels).and_then(|(images, labels)| pair(&images, &labels, first_n.into()));
    agree(read, expected.as_ref(), "the file")
}

fn pair(images: &[u8], labels: &[u8], first_n: usize) -> Option<Images> {
    let pixels = images.strip_prefix(&[0, 0, 8, 3])?;
    let labels = labels.strip_prefix(&[0, 0, 8, 1])?;
    let (count, pixels) = pixels.split_at_checked(4)?;
    let (sizes, pixels) = pixels.split_at_checked(8)?;
    let (rows, columns) = sizes.split_at(4);
    let [rows, columns] = [rows, columns].map(|size| size.iter().fold(0, |size, &byte| size << 8 | usize::from(byte)));
    let size = rows * columns;
    let labels = labels.strip_prefix(count)?;
    let held = u32::from_be_bytes(count.try_into().ok()?) as usize;
    let kept = if first_n == 0 { held } else { first_n };
    let fits = held > 0
        && labels.len() == held
        && (1..=1 << 24).contains(&size)
        && pixels.len() == held * size
        && kept <= held;
    let labels = labels.get(..kept)?;
    (fits && labels.iter().all(|&label| label < 10)).then(|| Images {
        pixels: pixels[..kept * size].to_vec(),
        labels: labels.to_vec(),
        shape: [rows, columns, 1],
    })
}

fn zipped(bytes: &[u8], zip: bool) -> Vec<u8> {
    let mut out = vec![];
    let mut bytes = bytes;
    if zip { GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out) } else { bytes.read_to_end(&mut out) }
        .expect("memory can be read");
    out
}

fn unzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Some(bytes.to_vec());
    }
    let mut out = vec![];
    MultiGzDecoder::new(bytes).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Options (how many examples), two batches.
pub fn cifar(input: &[u8]) -> bool {
    let [options, first, second] = parts(input);
    let first_n = options.first().copied().unwrap_or_default().into();
    in_folder(|folder| {
        put(&folder.join("data_batch_1.bin"), first);
        put(&folder.join("data_batch_2.bin"), second);
        let read = bounded(first.len() + second.len(), || cifar::read_folder(folder, Split::Train, first_n));
        agree(read, batches(&[first, second], first_n).as_ref(), &folder.to_string_lossy())
    })
}

fn batches(files: &[&[u8]], first_n: usize) -> Option<Images> {
    if files.iter().any(|file| file.is_empty() || file.len() % 3073 > 0) {
        return None;
    }
    let all = files.concat();
    let held = all.len() / 3073;
    let kept = if first_n == 0 { held } else { first_n };
    let records: Vec<&[u8]> = all.chunks(3073).take(kept).collect();
    let mut images = Images { pixels: vec![], labels: vec![], shape: [32, 32, 3] };
    for record in &records {
        images.labels.push(record[0]);
        for at in 0..1024 {
            images.pixels.extend([1, 1025, 2049].map(|plane| record[plane + at]));
        }
    }
    (kept <= held && images.labels.iter().all(|&label| label < 10)).then_some(images)
}

/// Options (window, training and test windows, which split), text.
pub fn characters(input: &[u8]) -> bool {
    let [options, text] = parts(input);
    let [seq_len, train, test, lines] =
        [0, 1, 2, 3].map(|at| usize::from(options.get(at).copied().unwrap_or_default()));
    let (seq_len, lines) =
        (seq_len.max(1), if lines % 4 == 3 { TestLines::Shakespeare } else { TestLines::LastQuarter });
    let read = in_folder(|folder| {
        let path = folder.join("input.txt");
        put(&path, text);
        bounded(text.len(), || {
            text::read(&path, lines, &Request { train, test: test.into(), seq_len, ..Request::new(DataName::Text) })
        })
    });
    agree(read, windows(text, lines, train, test, seq_len).as_ref(), "input.txt")
}

fn windows(text: &[u8], lines: TestLines, train: usize, test: usize, seq_len: usize) -> Option<Dataset> {
    if text.iter().any(|&byte| !(1..128).contains(&byte)) {
        return None;
    }
    let all: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let last = match lines {
        TestLines::Shakespeare => all.len().min(10_000),
        // A text without a test set is for training as a whole.
        TestLines::LastQuarter if test == 0 => 0,
        TestLines::LastQuarter => all.len() / 4,
    };
    let (first, last) = all.split_at(all.len() - last);
    let part = |lines: &[&[u8]], first_n: usize| {
        let text = lines.concat();
        let held = text.len() / (seq_len + 1);
        let kept = if first_n == 0 { held } else { first_n };
        let windows: Vec<&[u8]> = text.chunks_exact(seq_len + 1).take(kept).collect();
        let codes = |from: usize| -> Vec<u32> {
            windows.iter().flat_map(|window| window[from..from + seq_len].iter().map(|&code| code.into())).collect()
        };
        (held > 0 && kept <= held).then(|| Examples::new(Features::Tokens(codes(0)), [seq_len], codes(1), 128).unwrap())
    };
    let train = part(first, train)?;
    let test = if test == 0 { None } else { Some(part(last, test)?) };
    Some(Dataset { train, test })
}

/// The SHA-256 of [`MEMBER`].
const MEMBER: Item =
    Item { name: "one.bin", bytes: 5, sha256: "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e" };

/// A tar.gz archive that should hold [`MEMBER`].
pub fn archive(input: &[u8]) -> bool {
    let [options, tar] = parts(input);
    let archive = zipped(tar, options.first().is_some_and(|&zip| zip & 1 > 0));
    in_folder(|folder| {
        let (path, out) = (folder.join("pictures.tar.gz"), folder.join("out"));
        put(&path, &archive);
        fs::create_dir_all(&out).expect("the folder for files takes others");
        let unpacked = bounded(archive.len() + unzipped(&archive).map_or(0, |tar| tar.len()), || {
            fetch::unpack(&path, &[MEMBER], &out)
        });
        let names: Vec<_> = fs::read_dir(folder).expect("it is there").filter_map(Result::ok).collect();
        assert_eq!(names.len(), 2, "something has left the folder: {names:?}");
        let found = fs::read(out.join(MEMBER.name)).ok();
        let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        fs::remove_dir_all(&out).expect("it can be removed again");
        match &unpacked {
            Ok(()) => assert_eq!(hash(&found.expect("it is there")), MEMBER.sha256),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        unpacked.is_ok()
    })
}
