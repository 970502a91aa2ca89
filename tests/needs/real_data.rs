//! The full data sets: `EDGEWALK_DATA` names the folder that has them.

use std::fs;
use std::path::{Path, PathBuf};

use edgewalk::data::catalogue::DATA_SETS;
use edgewalk::data::download::is_there;
use edgewalk::data::{DATA_VARIABLE, DataError, DataName, Dataset, Examples, Features, Request};

use super::program::{alone, succeeds};

/// The folder of one data set, such as `mnist`.
pub fn real_data(folder: &str) -> PathBuf {
    let root = std::env::var_os(DATA_VARIABLE);
    let root = root.unwrap_or_else(|| panic!("this test reads the full data: set {DATA_VARIABLE} to their folder"));
    Path::new(&root).join(folder)
}

fn load(name: DataName, path: Option<&Path>, train: usize, test: usize) -> Result<Dataset, DataError> {
    edgewalk::data::load(&Request { path: path.map(Path::to_path_buf), train, test: test.into(), ..Request::new(name) })
}

/// The numbers of images.
fn real(examples: &Examples) -> &[f32] {
    let Features::Real(numbers) = examples.features() else { panic!("images are numbers") };
    numbers
}

fn histogram(examples: &Examples) -> Vec<usize> {
    (0..10).map(|class| examples.labels().iter().filter(|&&label| label == class).count()).collect()
}

pub fn embedded_subset() {
    let folder = real_data("mnist");
    let embedded = load(DataName::Embedded, None, 1000, 500).unwrap();
    assert_eq!(load(DataName::Mnist, Some(&folder), 1000, 500).unwrap(), embedded);
    // Without a path, the environment variable finds the same files.
    assert_eq!(load(DataName::Mnist, None, 1000, 500).unwrap(), embedded);
}

pub fn mnist() {
    let folder = real_data("mnist");
    let data = load(DataName::Mnist, Some(&folder), 0, 10_000).unwrap();
    // Published class counts of the 60,000 and 10,000 examples.
    let train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
    assert_eq!(histogram(&data.train), train);
    assert_eq!(histogram(&data.test.unwrap()), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let sum: f64 = real(&data.train).iter().map(|&value| f64::from(value)).sum();
    assert!((sum / real(&data.train).len() as f64).abs() < 1e-8);
}

pub fn cifar10() {
    let folder = real_data("cifar-10-batches-bin");
    let Dataset { train, test } = load(DataName::Cifar10, Some(&folder), 10_000, 10_000).unwrap();
    let test = test.unwrap();
    // How they begin: frog, truck, truck, deer, automobile; cat, ship, ship, airplane, frog.
    assert_eq!(train.labels()[..5], [6, 9, 9, 4, 1]);
    assert_eq!(test.labels()[..5], [3, 8, 8, 0, 6]);
    for class in 0..10 {
        assert_eq!(test.labels().iter().filter(|&&label| label == class).count(), 1000);
    }
    // The frog's first pixel is (59, 62, 63), the truck's (154, 177, 187), and neither depends on the mean in a difference.
    let features = real(&train);
    for (channel, difference) in [59.0 - 154.0, 62.0 - 177.0, 63.0 - 187.0].into_iter().enumerate() {
        let found = (features[channel] - features[3072 + channel]) * 256.0;
        assert!((found - difference).abs() < 1e-3, "channel {channel}: {found}");
        let channel = features.iter().skip(channel).step_by(3072).map(|&x| f64::from(x));
        assert!((channel.sum::<f64>() / 1e4).abs() < 1e-7);
    }
    // Without a path, the environment variable finds the same files.
    let [found, given] = [None, Some(&*folder)].map(|path| load(DataName::Cifar10, path, 3, 0).unwrap());
    assert_eq!(found, given);
}

pub fn shakespeare() {
    let folder = real_data("tinyshakespeare");
    let load = |train, test| load(DataName::Shakespeare, Some(&folder), train, test);
    let Dataset { train, test } = load(0, 1).unwrap();
    let Features::Tokens(codes) = train.features() else { panic!("text is tokens") };
    let first: String = codes[..train.shape()[0]].iter().map(|&code| char::from_u32(code).unwrap()).collect();
    assert!(first.starts_with("First Citizen:\nBefore we proceed any further, hear me speak.\n"));
    // 854,960 of its 1,115,394 characters are in the first 30,000 of its 40,000 lines (`head -n 30000 | wc -c`).
    assert_eq!((train.shape()[0], train.len()), (64, 854_960 / 65));
    // The published vocabulary: 65 different characters.
    let mut characters: Vec<char> = fs::read_to_string(folder.join("input.txt")).unwrap().chars().collect();
    assert_eq!(characters.len(), 1_115_394);
    characters.sort_unstable();
    characters.dedup();
    assert_eq!(characters.len(), 65);
    let count = |test| load(1, test).map(|data| data.test.unwrap().len());
    assert_eq!(count(260_434 / 65).unwrap(), 4006);
    assert!(count(4007).unwrap_err().to_string().contains("4006"));
    assert!(test.is_some());
}

pub fn no_network() {
    let root = real_data("");
    let folder = tempfile::tempdir().unwrap();
    let plays = folder.path().join("plays").join("tinyshakespeare");
    fs::create_dir_all(&plays).unwrap();
    fs::copy(Path::new(&root).join("tinyshakespeare").join("input.txt"), plays.join("input.txt")).unwrap();
    let said = succeeds(alone(folder.path(), &["data", "fetch", "shakespeare", "--dir", "plays"]));
    assert!(said.contains("already here") && said.contains("tinyshakespeare"), "{said}");
}

pub fn catalogue() {
    let root = real_data("");
    let mut found = 0;
    for set in DATA_SETS {
        for item in set.files() {
            let path = Path::new(&root).join(set.folder).join(item.name);
            if is_there(item, &path).unwrap() {
                assert_eq!(fs::metadata(&path).unwrap().len(), item.bytes, "{}", path.display());
                found += 1;
            }
        }
    }
    assert!(found > 0, "{DATA_VARIABLE} has none of the files");
}
