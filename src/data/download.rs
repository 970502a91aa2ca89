//! One file over HTTP: from whichever mirror has it, going on where an earlier attempt broke off, trusted by its hash.
//!
//! What arrives is kept in `NAME.partial`, so a broken connection or a stopped program costs nothing: the next attempt
//! asks for the rest with a `Range` request. A server that sends the whole file instead is taken at its word, and one
//! that disagrees about the file's length is asked for all of it again. Bytes with the wrong hash are thrown away.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::catalogue::Item;
use super::incoming::{Incoming, sha256_of};
use super::page;
use crate::files::{can_be_moved, shown};
use crate::observer::{Observer, Progress, Unit};
use crate::text::counted;

/// How long a server may be silent.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts at one mirror, as long as each brings the file further.
const ATTEMPTS: usize = 5;

/// Why data could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror gave the file.
    #[error(
        "cannot download {}:\n  {}\n\
         Run the command again when there is a network: it goes on from what has arrived. Or get what is missing \
         elsewhere, put it into {}, and run the command again to check it:\n  {}",
        item.name, failures.join("\n  "), shown(folder), lines(missing)
    )]
    Mirrors {
        /// The file.
        item: Item,
        /// Where it should be.
        folder: PathBuf,
        /// Every attempt: its address and what went wrong.
        failures: Vec<String>,
        /// The file, and those that were to be downloaded after it.
        missing: Vec<Item>,
    },
    /// There is another file of that name, which is not ours to overwrite.
    #[error(
        "{} is not the file it should be: {found}, and its SHA-256 should be {}; move it away, and run the command \
         again",
        shown(path), item.sha256
    )]
    InTheWay {
        /// The file that is there.
        path: PathBuf,
        /// What should be there.
        item: Item,
        /// What is there, in words.
        found: String,
    },
    /// There is nowhere to put it.
    #[error("this system names no folder for caches; say where the data should go with --dir")]
    NoCache,
    /// Something else stands where a folder is needed.
    #[error(
        "{} is not a folder; {}choose another folder with --dir",
        shown(path), if can_be_moved(path) { "move it away, or " } else { "" }
    )]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(
        "cannot write {}: {cause}; check the permissions and the space there, or choose another folder with --dir",
        shown(path)
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// An archive could not be unpacked.
    #[error(
        "cannot unpack {}: {cause}; check the space there, or delete the archive and run the command again",
        shown(archive)
    )]
    Unpack {
        /// The archive.
        archive: PathBuf,
        /// What went wrong.
        cause: io::Error,
    },
}

/// Files with what tells them apart, one a line.
fn lines(items: &[Item]) -> String {
    let line = |item: &Item| format!("{} ({} bytes, SHA-256 {})", item.name, item.bytes, item.sha256);
    items.iter().map(line).collect::<Vec<_>>().join("\n  ")
}

/// Why one attempt at one mirror failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    NoAnswer(ureq::Error),
    #[error("answered {0}")]
    Status(ureq::http::StatusCode),
    #[error("has {} of something else", counted(*.0, "byte"))]
    OtherLength(u64),
    #[error("broke off at byte {at} ({cause})")]
    BrokeOff { at: u64, cause: io::Error },
    #[error("sent other content: its SHA-256 is {0}")]
    OtherContent(String),
    #[error("sent an HTML page in its place")]
    Page,
}

/// Whether `target` is there and is `item`.
///
/// # Errors
/// [`FetchError::InTheWay`] if something else is there, [`FetchError::Write`] if it cannot be read.
pub fn is_there(item: &Item, target: &Path) -> Result<bool, FetchError> {
    match sha256_of(target) {
        Ok(found) if found == item.sha256 => Ok(true),
        Ok(found) => {
            let foreign = page::start_of(target)
                .ok()
                .filter(|start| !page::is_gzip(start))
                .and_then(|start| page::foreign(&start));
            let found = foreign.map_or_else(|| format!("its SHA-256 is {found}"), |(what, _)| format!("it is {what}"));
            Err(FetchError::InTheWay { path: target.into(), item: *item, found })
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(FetchError::Write { path: target.into(), cause }),
    }
}

/// Downloads `item` into `folder` from the first of `mirrors` (addresses that its name completes) that gives it; says
/// whether it had to, since a file that is there already is only checked. No server may be silent for longer than
/// `patience`.
///
/// # Errors
/// [`FetchError::Mirrors`] when none gives it, which leaves what has arrived in `NAME.partial`;
/// [`FetchError::InTheWay`]; [`FetchError::Write`].
pub fn download(
    item: &Item,
    mirrors: &[&str],
    folder: &Path,
    patience: Duration,
    observer: &dyn Observer,
) -> Result<bool, FetchError> {
    let target = folder.join(item.name);
    if is_there(item, &target)? {
        return Ok(false);
    }
    let write = |cause| FetchError::Write { path: target.clone(), cause };
    fs::create_dir_all(folder).map_err(write)?;
    let mut transfer =
        Transfer { item, agent: agent(patience), incoming: Incoming::resume(&target).map_err(write)?, observer };
    let mut failures = vec![];
    let arrived = transfer.try_all(mirrors, &mut failures);
    observer.finished();
    match arrived.map_err(write)? {
        true => transfer.incoming.place().map_err(write)?,
        false => {
            transfer.incoming.leave().map_err(write)?;
            return Err(FetchError::Mirrors { item: *item, folder: folder.into(), failures, missing: vec![*item] });
        }
    }
    Ok(true)
}

/// An agent that gives up on silence, but never on a slow download.
fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience))
        .http_status_as_error(false)
        .user_agent(concat!("edgewalk/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// A download under way. Its errors are those of the disk; what a mirror does wrong is a [`Failure`].
struct Transfer<'a> {
    item: &'a Item,
    agent: Agent,
    incoming: Incoming,
    observer: &'a dyn Observer,
}

impl Transfer<'_> {
    /// Tries mirror after mirror until the whole file is there.
    fn try_all(&mut self, mirrors: &[&str], failures: &mut Vec<String>) -> io::Result<bool> {
        if self.incoming.bytes() >= self.item.bytes && !self.incoming.is(self.item) {
            self.incoming.restart()?;
        }
        for mirror in mirrors {
            let url = format!("{mirror}{}", self.item.name);
            for _ in 0..ATTEMPTS {
                if self.incoming.is(self.item) {
                    return Ok(true);
                }
                let before = self.incoming.bytes();
                let Err(failure) = self.attempt(&url)? else { return Ok(true) };
                failures.push(format!("{url}: {failure}"));
                if self.incoming.bytes() <= before {
                    break;
                }
            }
        }
        Ok(false)
    }

    /// Asks for what is missing; if that cannot be had, for everything.
    fn attempt(&mut self, url: &str) -> io::Result<Result<(), Failure>> {
        let from = self.incoming.bytes();
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) => return Ok(Err(Failure::NoAnswer(error))),
        };
        let disagrees = match response.status().as_u16() {
            200 => {
                let length = response.body().content_length();
                if let Some(other) = length.filter(|&length| length != self.item.bytes) {
                    let is_page = page::is_page(&start(response.into_body()));
                    return Ok(Err(if is_page { Failure::Page } else { Failure::OtherLength(other) }));
                }
                self.incoming.restart()?;
                false
            }
            206 if from > 0 => content_range(&response) != Some((from, self.item.bytes)),
            416 if from > 0 => true,
            _ => return Ok(Err(Failure::Status(response.status()))),
        };
        if disagrees {
            self.incoming.restart()?;
            return self.attempt(url);
        }
        let resumed = self.incoming.bytes() > 0;
        match self.receive(response.into_body())? {
            // What was there before may be to blame, not this mirror.
            Err(Failure::OtherContent(_)) if resumed => self.attempt(url),
            result => Ok(result),
        }
    }

    /// Appends a response, and keeps it if it is what it should be.
    fn receive(&mut self, body: Body) -> io::Result<Result<(), Failure>> {
        let mut reader = body.into_reader();
        let (mut buffer, mut is_page) = (vec![0; 1 << 16], false);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    is_page |= self.incoming.bytes() == 0 && page::is_page(&buffer[..read]);
                    self.incoming.write_all(&buffer[..read])?;
                }
                Err(cause) => return Ok(Err(Failure::BrokeOff { at: self.incoming.bytes(), cause })),
            }
            let (done, total) = (self.incoming.bytes(), self.item.bytes);
            self.observer.progress(&Progress { unit: Unit::Bytes, done, total, text: self.item.name });
            if self.incoming.bytes() > self.item.bytes {
                break;
            }
        }
        if self.incoming.is(self.item) {
            return Ok(Ok(()));
        }
        let failure = match self.incoming.bytes() {
            _ if is_page => Failure::Page,
            bytes if bytes == self.item.bytes => Failure::OtherContent(self.incoming.sha256()),
            bytes => Failure::OtherLength(bytes),
        };
        self.incoming.restart()?;
        Ok(Err(failure))
    }
}

/// How a response begins, as far as it can be had.
fn start(body: Body) -> Vec<u8> {
    let mut start = vec![];
    // What breaks off has begun all the same.
    let _broken = body.into_reader().take(page::START).read_to_end(&mut start);
    start
}

/// First byte and total length of a partial answer, from `Content-Range: bytes FIRST-LAST/TOTAL`.
fn content_range(response: &Response<Body>) -> Option<(u64, u64)> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()?))
}
