//! Whole data sets: several files, an archive that is unpacked, and the catalogue's own figures.

use std::fs;

use edgewalk::data::DataName;
use edgewalk::data::catalogue::{DATA_SETS, DataSet, Item};
use edgewalk::data::fetch::fetch;
use tempfile::TempDir;

use super::cli::listing;
use super::fetch::{PATIENCE, Server, good, item};

/// A tar.gz archive; paths are written as they are, sound or not.
fn archive(files: &[(&str, &[u8])]) -> &'static [u8] {
    let zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(zipped);
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().leak()
}

/// A data set of `unpacked` files in an archive on a server of its own.
fn packed(archive: &'static [u8], unpacked: &[Item]) -> (DataSet, Server) {
    let server = Server::start(vec![good(archive)]);
    let set = DataSet {
        name: DataName::Cifar10,
        folder: "pictures",
        about: "",
        mirrors: vec![server.mirror].leak(),
        downloads: vec![item("pictures.tar.gz", archive)].leak(),
        unpacked: unpacked.to_vec().leak(),
    };
    (set, server)
}

/// What is in a folder, by path relative to it.
fn relative(folder: &TempDir) -> Vec<String> {
    let prefix = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);
    listing(folder.path()).iter().map(|path| path.strip_prefix(&prefix).unwrap().replace('\\', "/")).collect()
}

#[test]
fn only_the_wanted_files_leave_an_archive_and_none_leaves_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let items = [item("one.bin", b"first"), item("two.bin", b"second")];
    let archive = archive(&[
        ("pictures/", b""),
        ("pictures/readme.html", b"<html>"),
        ("pictures/one.bin", b"first"),
        ("../../escaped.bin", b"malice"),
        ("../../two.bin", b"second"),
    ]);
    let (set, server) = packed(archive, &items);
    let root = folder.path().join("a").join("b");
    let fetched = fetch(&set, &root, PATIENCE, &()).unwrap();
    assert_eq!((fetched.folder.as_path(), fetched.downloaded), (root.join("pictures").as_path(), true));
    assert_eq!(relative(&folder), ["a", "a/b", "a/b/pictures", "a/b/pictures/one.bin", "a/b/pictures/two.bin"]);
    assert_eq!(fs::read(root.join("pictures").join("two.bin")).unwrap(), b"second");
    // They are checked by their own hashes, so that the archive need not be kept.
    assert!(!fetch(&set, &root, PATIENCE, &()).unwrap().downloaded);
    assert_eq!(server.asked().len(), 1);
    // One that is lost is brought back; one that is someone else's is left alone.
    fs::remove_file(root.join("pictures").join("one.bin")).unwrap();
    assert!(fetch(&set, &root, PATIENCE, &()).unwrap().downloaded);
    fs::write(root.join("pictures").join("one.bin"), "mine").unwrap();
    let message = fetch(&set, &root, PATIENCE, &()).unwrap_err().to_string();
    assert!(message.contains("one.bin") && message.contains("move it away"), "{message}");
    assert_eq!(fs::read(root.join("pictures").join("one.bin")).unwrap(), b"mine");
}

#[test]
fn an_archive_that_lacks_a_file_or_holds_another_is_refused() {
    let wanted = item("one.bin", b"first");
    for (content, parts) in [
        (archive(&[("pictures/two.bin", b"first")]), ["it has no one.bin", "pictures.tar.gz"]),
        (archive(&[("pictures/one.bin", b"f1rst")]), ["its one.bin has the SHA-256", wanted.sha256]),
        (archive(&[("pictures/one.bin", b"first, and more")]), ["its one.bin has the SHA-256", wanted.sha256]),
        (b"no archive at all", ["cannot unpack", "pictures.tar.gz"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (set, _server) = packed(content, &[wanted]);
        let message = fetch(&set, folder.path(), PATIENCE, &()).unwrap_err().to_string();
        parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in {message:?}"));
        assert_eq!(relative(&folder), ["pictures", "pictures/pictures.tar.gz"]);
    }
}

#[test]
fn files_that_are_there_are_kept_and_the_others_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![good(b"second")]);
    let items = [item("one.bin", b"first"), item("two.bin", b"second")];
    let mirrors = vec![server.mirror].leak();
    let set = DataSet { downloads: items.to_vec().leak(), mirrors, ..packed(b"", &[]).0 };
    fs::create_dir(folder.path().join("pictures")).unwrap();
    fs::write(folder.path().join("pictures").join("one.bin"), "first").unwrap();
    assert!(fetch(&set, folder.path(), PATIENCE, &()).unwrap().downloaded);
    assert_eq!(server.asked(), [None]);
    assert_eq!(relative(&folder), ["pictures", "pictures/one.bin", "pictures/two.bin"]);
}

#[test]
fn the_catalogue_is_well_formed() {
    for set in DATA_SETS {
        assert!(set.unpacked.is_empty() || set.downloads.len() == 1, "{}", set.name);
        assert!(set.mirrors.len() > 1 && set.mirrors.iter().all(|mirror| mirror.ends_with('/')), "{}", set.name);
        for item in set.downloads.iter().chain(set.unpacked) {
            assert!(item.bytes > 0 && !item.name.contains(['/', '\\']), "{}", item.name);
            assert!(item.sha256.len() == 64 && item.sha256.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        }
    }
}
