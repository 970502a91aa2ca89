//! The data sets that can be fetched: files, mirrors and hashes. Mirrors are tried in order and need not be trusted,
//! because a file counts only with the SHA-256 listed here.

use super::DataName;

/// A file by its name, length and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The file's name.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: &'static str,
}

/// A data set that can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct DataSet {
    /// Its name in configurations and on the command line.
    pub name: DataName,
    /// Its folder, under one of the [`Roots`](super::Roots).
    pub folder: &'static str,
    /// Its authors, licence and home page.
    pub about: &'static str,
    /// Addresses of its downloads, each completed by a file's name.
    pub mirrors: &'static [&'static str],
    /// The files to download.
    pub downloads: &'static [Item],
    /// The files unpacked from the one download, a tar.gz archive that is not kept; empty if downloads are used as they
    /// are.
    pub unpacked: &'static [Item],
}

impl DataSet {
    /// The files in the folder after fetching.
    pub fn files(&self) -> &'static [Item] {
        if self.unpacked.is_empty() { self.downloads } else { self.unpacked }
    }
}

/// Every data set that can be fetched.
pub const DATA_SETS: &[DataSet] = &[
    DataSet {
        name: DataName::Mnist,
        folder: "mnist",
        about: "Y. LeCun, C. Cortes, C. J. C. Burges; CC BY-SA 3.0; http://yann.lecun.com/exdb/mnist/",
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
        downloads: &[
            item(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            item(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            item(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            item(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        unpacked: &[],
    },
    DataSet {
        name: DataName::FashionMnist,
        folder: "fashion-mnist",
        about: "Zalando Research; MIT; https://github.com/zalandoresearch/fashion-mnist",
        mirrors: &[
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ],
        downloads: &[
            item(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            item(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            item(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            item(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ],
        unpacked: &[],
    },
    DataSet {
        name: DataName::Cifar10,
        folder: "cifar-10-batches-bin",
        about: "A. Krizhevsky, V. Nair, G. Hinton; no licence stated; https://www.cs.toronto.edu/~kriz/cifar.html",
        mirrors: &[
            "https://www.cs.toronto.edu/~kriz/",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        ],
        downloads: &[item(
            "cifar-10-binary.tar.gz",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
        unpacked: &[
            batch("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            batch("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            batch("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            batch("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            batch("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            batch("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
        ],
    },
    DataSet {
        name: DataName::Shakespeare,
        folder: "tinyshakespeare",
        about: "A. Karpathy, from plays in the public domain; https://github.com/karpathy/char-rnn",
        mirrors: &[
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
            "https://raw.githubusercontent.com/karpathy/ng-video-lecture/master/",
        ],
        downloads: &[item("input.txt", 1_115_394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed")],
        unpacked: &[],
    },
];

const fn item(name: &'static str, bytes: u64, sha256: &'static str) -> Item {
    Item { name, bytes, sha256 }
}

/// A file of CIFAR-10: 10,000 records.
const fn batch(name: &'static str, sha256: &'static str) -> Item {
    item(name, 30_730_000, sha256)
}

/// The data set of this name, if it can be fetched.
pub fn find(name: DataName) -> Option<&'static DataSet> {
    DATA_SETS.iter().find(|set| set.name == name)
}
