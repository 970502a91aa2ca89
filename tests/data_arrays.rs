//! Data of one's own: arrays in four formats, prepared by the options of `[data]`. Good files are made here byte by
//! byte.

use std::fs;
use std::io::Write;
use std::path::Path;

use edgewalk::data::{
    self, DataError, DataName, Dataset, Examples, Features, ImageLayout, Options, Request, Targets, TargetsAs, TestSize,
};
use safetensors::tensor::{Dtype, TensorView, serialize};
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::data::idx_file;
use super::objective_cases::real;

/// A .npy file by the description of the format: magic, version, length of the header, header, elements.
pub fn npy(descr: &str, fortran: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), elements].concat()
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub fn longs(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn npz(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, bytes) in members {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn request(path: &Path, options: Options) -> Request {
    Request { path: Some(path.into()), options, ..Request::new(DataName::Arrays) }
}

fn load(path: &Path, options: Options) -> Result<Dataset, DataError> {
    data::load(&request(path, options))
}

/// The examples of arrays of floats with six labels or targets, as files in a folder.
fn loaded(x: &[u8], y: &[u8], options: Options) -> Result<Examples, DataError> {
    let folder = folder(&[("x_train.npy", x), ("y_train.npy", y)]);
    load(folder.path(), options).map(|data| data.train)
}

/// Six examples of two numbers: (0, 10), (1, 11) …
fn six() -> Vec<u8> {
    let x: Vec<f32> = (0..6).flat_map(|i| [i as f32, 10.0 + i as f32]).collect();
    npy("<f4", false, "(6, 2)", &floats(&x))
}

fn six_labels() -> Vec<u8> {
    npy("<i8", false, "(6,)", &longs(&[0, 3, 5, 3, 1, 5]))
}

#[test]
fn every_format_gives_the_same_examples() {
    let (x, y) = (six(), six_labels());
    let labels = longs(&[0, 3, 5, 3, 1, 5]);
    let numbers: Vec<u8> = (0..6).flat_map(|i| floats(&[i as f32, 10.0 + i as f32])).collect();
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let tensors = [("x_train", view(Dtype::F32, &[6, 2], &numbers)), ("y_train", view(Dtype::I64, &[6], &labels))];
    let tensors = serialize(tensors, None).unwrap();
    let members = [("x_train", x.as_slice()), ("y_train", y.as_slice())];
    let table = b"a,class,b\n0,0,10\n1, 3,11\n2.0,5,12\n3,3,13\n\"4\",1,14\n5,5,15\n";
    let files = folder(&[
        ("x_train.npy", &x),
        ("y_train.npy", &y),
        ("stored.npz", &npz(&members, CompressionMethod::Stored)),
        ("packed.npz", &npz(&members, CompressionMethod::Deflated)),
        ("set.safetensors", &tensors),
        ("set.csv", table),
    ]);
    let from = |name: &str| {
        let options =
            Options { target: if name == "set.csv" { "class".into() } else { String::new() }, ..Options::default() };
        load(&files.path().join(name), options).unwrap().train
    };
    let expected = from("");
    assert_eq!(real(&expected), [0., 10., 1., 11., 2., 12., 3., 13., 4., 14., 5., 15.]);
    assert_eq!((expected.shape(), expected.labels(), expected.classes()), (&[2][..], &[0, 3, 5, 3, 1, 5][..], 6));
    for name in ["stored.npz", "packed.npz", "set.safetensors", "set.csv"] {
        assert_eq!(from(name), expected, "{name}");
    }
}

#[test]
fn every_type_of_numpy_is_read() {
    // 0, 1, 2 and 3 as half-precision floats: signs, five bits of exponent from 15, ten of mantissa.
    let halves: Vec<u8> = [0_u16, 0x3c00, 0x4000, 0x4200].iter().flat_map(|half| half.to_le_bytes()).collect();
    let each = |bytes: &dyn Fn(u8) -> Vec<u8>| (0..4).flat_map(bytes).collect::<Vec<u8>>();
    let cases = [
        ("<f2", halves.clone()),
        ("<f4", each(&|i| f32::from(i).to_le_bytes().to_vec())),
        (">f4", each(&|i| f32::from(i).to_be_bytes().to_vec())),
        ("<f8", each(&|i| f64::from(i).to_le_bytes().to_vec())),
        (">f8", each(&|i| f64::from(i).to_be_bytes().to_vec())),
        ("|u1", each(&|i| vec![i])),
        ("|i1", each(&|i| vec![i])),
        ("<u2", each(&|i| u16::from(i).to_le_bytes().to_vec())),
        (">i2", each(&|i| i16::from(i).to_be_bytes().to_vec())),
        ("<u4", each(&|i| u32::from(i).to_le_bytes().to_vec())),
        ("<i4", each(&|i| i32::from(i).to_le_bytes().to_vec())),
        ("<i8", each(&|i| i64::from(i).to_le_bytes().to_vec())),
        (">u8", each(&|i| u64::from(i).to_be_bytes().to_vec())),
    ];
    let y = npy("<i8", false, "(2,)", &longs(&[0, 1]));
    for (descr, elements) in cases {
        let x = loaded(&npy(descr, false, "(2, 2)", &elements), &y, Options::default()).unwrap();
        assert_eq!(real(&x), [0., 1., 2., 3.], "{descr}");
        let x = loaded(&npy(descr, true, "(2L, 2L)", &elements), &y, Options::default()).unwrap();
        assert_eq!(real(&x), [0., 2., 1., 3.], "{descr}, columns first");
    }
    let flags = npy("|b1", false, "(2, 2)", &[0, 1, 1, 0]);
    assert_eq!(real(&loaded(&flags, &y, Options::default()).unwrap()), [0., 1., 1., 0.]);
}

#[test]
fn targets_mean_what_their_option_says() {
    let of = |y: Vec<u8>, targets| {
        loaded(&six(), &y, Options { targets, ..Options::default() }).map(|examples| examples.targets().clone())
    };
    let numbers = |values: &[f32], width| Targets::Numbers { values: values.to_vec(), width };
    let real_y = || npy("<f4", false, "(6,)", &floats(&[0.5, 1., 2., 3., 4., -5.]));
    assert_eq!(of(real_y(), TargetsAs::Auto).unwrap(), numbers(&[0.5, 1., 2., 3., 4., -5.], 1));
    assert!(of(real_y(), TargetsAs::Classes).unwrap_err().to_string().contains("found 0.5"));
    let wide = || npy("<f4", false, "(6, 2)", &floats(&[0.5; 12]));
    assert_eq!(of(wide(), TargetsAs::Auto).unwrap(), numbers(&[0.5; 12], 2));
    assert_eq!(of(six_labels(), TargetsAs::Numbers).unwrap(), numbers(&[0., 3., 5., 3., 1., 5.], 1));
    let whole = npy("<f8", false, "(6, 1)", &[0., 1., 2., 0., 1., 2.0_f64].map(f64::to_le_bytes).concat());
    assert_eq!(of(whole, TargetsAs::Classes).unwrap(), Targets::Classes { labels: vec![0, 1, 2, 0, 1, 2], classes: 3 });
    let signs = npy("<i8", false, "(6,)", &longs(&[1, -1, -1, 1, 1, 1]));
    assert_eq!(of(signs.clone(), TargetsAs::Signs).unwrap(), Targets::Signs(vec![1., -1., -1., 1., 1., 1.]));
    assert!(of(signs, TargetsAs::Auto).unwrap_err().to_string().contains("\"signs\""));
    let two = npy("<i8", false, "(6,)", &longs(&[7, 7, 2, 7, 2, 2]));
    assert_eq!(of(two, TargetsAs::Signs).unwrap(), Targets::Signs(vec![1., 1., -1., 1., -1., -1.]));
    assert!(of(six_labels(), TargetsAs::Signs).unwrap_err().to_string().contains("there are 4"));
    assert!(of(wide(), TargetsAs::Signs).unwrap_err().to_string().contains("one class for each example"));
}

#[test]
fn classes_are_kept_in_the_order_of_their_list() {
    let options = |classes: &[u32]| Options { classes: classes.to_vec(), ..Options::default() };
    let kept = loaded(&six(), &six_labels(), options(&[5, 3])).unwrap();
    assert_eq!((kept.labels(), kept.classes()), (&[1, 0, 1, 0][..], 2));
    assert_eq!(real(&kept), [1., 11., 2., 12., 3., 13., 5., 15.]);
    let error = loaded(&six(), &six_labels(), options(&[5, 2])).unwrap_err();
    assert!(matches!(error, DataError::NoSuchClass { class: 2, .. }), "{error}");
    let signs = Options { targets: TargetsAs::Signs, ..options(&[5, 3]) };
    assert_eq!(*loaded(&six(), &six_labels(), signs).unwrap().targets(), Targets::Signs(vec![1., -1., 1., -1.]));
    // Of the images inside the program too.
    let two = |targets| {
        let options = Options { targets, ..options(&[3, 5]) };
        data::load(&Request { train: 7, test: 3.into(), options, ..Request::new(DataName::Embedded) }).unwrap()
    };
    let all = data::load(&Request { train: 100, ..Request::new(DataName::Embedded) }).unwrap().train;
    let expected: Vec<u32> =
        all.labels().iter().filter(|label| [3, 5].contains(*label)).map(|label| (label - 3) / 2).collect();
    let Dataset { train, test } = two(TargetsAs::Auto);
    assert_eq!((train.labels(), train.classes(), test.unwrap().len()), (&expected[..7], 2, 3));
    let mean: f64 = real(&train).iter().map(|&x| f64::from(x)).sum();
    assert!(mean.abs() < 1e-3, "the mean is that of the kept images: {mean}");
    let signs: Vec<f32> = expected[..7].iter().map(|&class| if class == 0 { -1. } else { 1. }).collect();
    assert_eq!(*two(TargetsAs::Signs).train.targets(), Targets::Signs(signs));
}

#[test]
fn a_share_is_held_out_by_its_seed() {
    let (x, y) = (six(), six_labels());
    let folder = folder(&[("x_train.npy", &x), ("y_train.npy", &y)]);
    let split = |share, split_seed, train| {
        let options = Options { split_seed, ..Options::default() };
        let request = Request { train, test: TestSize::Share(share), ..request(folder.path(), options) };
        data::load(&request).map(|Dataset { train, test }| {
            let first = |examples: &Examples| real(examples).iter().step_by(2).copied().collect::<Vec<f32>>();
            (first(&train), first(&test.unwrap()))
        })
    };
    let (train, test) = split(0.34, 0, 0).unwrap();
    assert_eq!((train.len(), test.len()), (4, 2));
    assert!(train.is_sorted() && test.is_sorted());
    let mut all = [train.clone(), test.clone()].concat();
    all.sort_by(f32::total_cmp);
    assert_eq!(all, [0., 1., 2., 3., 4., 5.]);
    assert_eq!(split(0.34, 0, 0).unwrap(), (train.clone(), test.clone()));
    assert!((1..20).any(|seed| split(0.34, seed, 0).unwrap().1 != test));
    assert_eq!(split(0.34, 0, 3).unwrap(), (train[..3].to_vec(), test));
    assert!(split(0.01, 0, 0).unwrap_err().to_string().contains("data.test"));
    let message = split(0.34, 0, 5).unwrap_err().to_string();
    assert!(message.contains("the first 5"), "{message}");
}

#[test]
fn test_sets_are_centred_and_scaled_as_the_training_set() {
    let test_x = npy("<f4", false, "(2, 2)", &floats(&[4., 4., 8., 8.]));
    let test_y = npy("<i8", false, "(2,)", &longs(&[6, 0]));
    let (x, y) = (six(), six_labels());
    let folder = folder(&[("x_train.npy", &x), ("y_train.npy", &y), ("x_test.npy", &test_x), ("y_test.npy", &test_y)]);
    let options = Options { scale: 2.0, centre: Some(true), ..Options::default() };
    let request = Request { train: 3, test: 2.into(), ..request(folder.path(), options) };
    let Dataset { train, test } = data::load(&request).unwrap();
    // The means of 0, 1, 2 and of 10, 11, 12 are 1 and 11; half of each difference.
    assert_eq!(real(&train), [-0.5, -0.5, 0., 0., 0.5, 0.5]);
    assert_eq!(real(test.as_ref().unwrap()), [1.5, -3.5, 3.5, -1.5]);
    assert_eq!((train.classes(), test.unwrap().labels()), (7, &[6, 0][..]));
    let share = data::load(&Request { test: TestSize::Share(0.5), ..request.clone() }).unwrap_err();
    assert!(matches!(share, DataError::ShareOfTwo { .. }), "{share}");
    fs::write(folder.path().join("x_test.npy"), npy("<f4", false, "(2, 3)", &floats(&[0.; 6]))).unwrap();
    let message = data::load(&request).unwrap_err().to_string();
    assert!(message.contains("[2]") && message.contains("[3]"), "{message}");
}

#[test]
fn channels_go_last_for_a_convolution() {
    // Two images of two channels, one row and three columns.
    let x = npy("|u1", false, "(2, 2, 1, 3)", &(0..12).collect::<Vec<u8>>());
    let y = npy("<i8", false, "(2,)", &longs(&[0, 1]));
    let turned = loaded(&x, &y, Options { layout: ImageLayout::Nchw, ..Options::default() }).unwrap();
    assert_eq!(turned.shape(), [1, 3, 2]);
    assert_eq!(real(&turned), [0., 3., 1., 4., 2., 5., 6., 9., 7., 10., 8., 11.]);
    let centred = Options { layout: ImageLayout::Nchw, centre: Some(true), ..Options::default() };
    assert_eq!(real(&loaded(&x, &y, centred).unwrap()), [[-3.0_f32; 6], [3.; 6]].concat());
    let message = loaded(&six(), &six_labels(), Options { layout: ImageLayout::Nchw, ..Options::default() });
    assert!(message.unwrap_err().to_string().contains("[6, 2]"));
}

#[test]
fn tokens_have_a_label_each() {
    let x = npy("<i4", false, "(2, 3)", &[1_i32, 2, 3, 4, 0, 9].map(i32::to_le_bytes).concat());
    let y = npy("<i8", false, "(2, 3)", &longs(&[2, 3, 4, 0, 9, 1]));
    let options = Options { tokens: true, ..Options::default() };
    let text = loaded(&x, &y, options.clone()).unwrap();
    assert_eq!(*text.features(), Features::Tokens(vec![1, 2, 3, 4, 0, 9]));
    assert_eq!((text.labels(), text.classes(), text.shape()), (&[2, 3, 4, 0, 9, 1][..], 10, &[3][..]));
    for (x, y, words) in [
        (six(), six_labels(), "tokens, which are whole numbers"),
        (x.clone(), npy("<i8", false, "(2,)", &longs(&[0, 1])), "one class for each token"),
        (npy("|i1", false, "(2, 1)", &[1, 255]), npy("|i1", false, "(2, 1)", &[1, 1]), "not negative"),
        (
            npy("<i4", false, "(1, 1)", &[255; 3].into_iter().chain([127]).collect::<Vec<u8>>()),
            npy("|i1", false, "(1, 1)", &[1]),
            "tokens from 0 to",
        ),
    ] {
        let message = loaded(&x, &y, options.clone()).unwrap_err().to_string();
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
}

#[test]
fn any_shape_is_an_example() {
    let y = npy("<i8", false, "(2,)", &longs(&[0, 1]));
    for (shape, expected) in [("(2,)", &[1][..]), ("(2, 1)", &[1]), ("(2, 1, 1, 1, 1)", &[1, 1, 1, 1])] {
        let x = loaded(&npy("<f4", false, shape, &floats(&[5., 6.])), &y, Options::default()).unwrap();
        assert_eq!((x.shape(), real(&x)), (expected, &[5., 6.][..]));
    }
}

#[test]
fn every_fault_is_named_with_its_place() {
    let good = six();
    let y = six_labels();
    let damaged = |from: &str, to: &str| {
        let text: Vec<u8> = good.clone();
        let at = text.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&text[..at], to.as_bytes(), &text[at + from.len()..]].concat()
    };
    let cases: [(Vec<u8>, &str); 15] = [
        (vec![], "another beginning"),
        (b"PK".to_vec(), "another beginning"),
        (good[..9].to_vec(), "a header of"),
        (good[..40].to_vec(), "cut off"),
        (good[..good.len() - 1].to_vec(), "found 47 bytes"),
        ([&good[..], &[0]].concat(), "found more bytes"),
        (damaged("<f4", "<c8"), "the type '<c8'"),
        (damaged("<f4", "=f4"), "the type '=f4'"),
        (damaged("(6, 2)", "(6,-2)"), "no dictionary"),
        (damaged("(6, 2)", "(9, 9)"), "324 bytes"),
        (damaged("False", "Maybe"), "no dictionary"),
        (damaged("'shape'", "'shapf'"), "no dictionary"),
        (npy("<f4", false, "(99999999999, 99999999999)", &[]), "a shape that memory holds"),
        (npy("<f4", false, "()", &floats(&[1.])), "a single number"),
        (npy("<f4", false, "(6, 1)", &floats(&[0., 1., f32::NAN, 0., 0., 0.])), "feature 0 of example 2 is NaN"),
    ];
    for (x, words) in cases {
        let message = loaded(&x, &y, Options::default()).unwrap_err().to_string();
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    let folder = folder(&[
        ("x_train.npy", &good),
        ("y_train.npy", &npy("<i8", false, "(5,)", &longs(&[0; 5]))),
        ("set.npz", &npz(&[("x", &good), ("y", &y)], CompressionMethod::Stored)),
        ("no.npz", b"PK\x03\x04 and no more"),
        ("page.safetensors", b"<!DOCTYPE html><html>"),
        ("no.safetensors", b"nothing of the kind"),
        ("words.csv", b"a,y\n1,2\n3,tall\n"),
        ("numbers.csv", b"1,2\n3,4\n"),
        ("one.csv", b"a\n1\n"),
        ("ragged.csv", b"a,y\n1,2\n3\n"),
        ("empty.csv", b"a,y\n"),
        ("set.pt", b"PK"),
        ("large.npy", &npy("<u8", false, "(1,)", &[255; 8])),
    ]);
    for (name, words) in [
        ("", "6 labels"),
        ("set.npz", "x.npy, y.npy"),
        ("no.npz", "an archive of numpy"),
        ("page.safetensors", "HTML page"),
        ("no.safetensors", "a safetensors file"),
        ("words.csv", "line 3, column `y`"),
        ("numbers.csv", "a header"),
        ("one.csv", "two columns"),
        ("ragged.csv", "line: 3"),
        ("empty.csv", "there is no example"),
        ("set.pt", "npz, safetensors or csv"),
        ("nowhere.npz", "cannot read"),
    ] {
        let message = load(&folder.path().join(name), Options::default()).unwrap_err().to_string();
        assert!(
            message.contains(words) && message.contains(folder.path().to_str().unwrap()) | words.starts_with("there"),
            "{words:?} is not in {message}"
        );
    }
    let table = |target: &str| {
        let options = Options { target: target.into(), ..Options::default() };
        load(&folder.path().join("words.csv"), options).unwrap_err().to_string()
    };
    assert!(table("z").contains("one column `z`"), "{}", table("z"));
    let message = loaded(&good, &npy("<u8", false, "(6,)", &[255; 48]), Options::default()).unwrap_err().to_string();
    assert!(message.contains("18446744073709551615"), "{message}");
    let message = data::load(&Request::new(DataName::Arrays)).unwrap_err().to_string();
    assert!(message.contains("data.path"), "{message}");
}

#[test]
fn a_text_without_a_test_set_is_read_to_its_end() {
    let folder = folder(&[("input.txt", b"abcd\nefgh\nijkl\nmnop\n")]);
    let windows = |test: usize| {
        let request =
            Request { path: Some(folder.path().into()), test: test.into(), seq_len: 4, ..Request::new(DataName::Text) };
        data::load(&request).unwrap().train.len()
    };
    assert_eq!((windows(0), windows(1)), (4, 3));
}

#[test]
fn images_of_any_size_are_read() {
    let images = |count: u32, rows: u32, columns: u32| {
        let pixels: Vec<u8> = (0..count * rows * columns).map(|i| i as u8).collect();
        idx_file(&[count, rows, columns], &pixels)
    };
    let labels = |count: u32| idx_file(&[count], &vec![1; count as usize]);
    let folder = folder(&[
        ("train-images-idx3-ubyte", &images(2, 2, 3)),
        ("train-labels-idx1-ubyte", &labels(2)),
        ("t10k-images-idx3-ubyte", &images(1, 3, 3)),
        ("t10k-labels-idx1-ubyte", &labels(1)),
    ]);
    let load = |test: usize, centre| {
        let options = Options { centre, ..Options::default() };
        data::load(&Request {
            path: Some(folder.path().into()),
            test: test.into(),
            options,
            ..Request::new(DataName::Mnist)
        })
    };
    let train = load(0, Some(false)).unwrap().train;
    assert_eq!((train.shape(), train.len()), (&[2, 3, 1][..], 2));
    assert_eq!(real(&train), (0..12).map(|i| i as f32 / 256.0).collect::<Vec<f32>>());
    assert_eq!(real(&load(0, None).unwrap().train), [[-3.0_f32 / 256.0; 6], [3.0 / 256.0; 6]].concat());
    let message = load(1, None).unwrap_err().to_string();
    assert!(message.contains("[2, 3, 1]") && message.contains("[3, 3, 1]"), "{message}");
}
