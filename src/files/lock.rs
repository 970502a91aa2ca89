//! Lock files that exclude other processes, also on file systems that refuse to lock them (NFS and Lustre may).
//!
//! There a process creates an empty file beside the lock, named after itself, and then looks for others, so of two that
//! arrive at once at most one continues. The file of a dead process is removed on its own host; a file of another host
//! counts as a held lock.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use sysinfo::{Pid, ProcessesToUpdate, System, get_current_pid};

/// The pause between two checks of a lock.
const PAUSE: Duration = Duration::from_millis(20);

/// Seconds by which two readings of a process's start may differ.
const START_SECS: u64 = 2;

/// The processes that a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// All others.
    Alone,
    /// Those that want an exclusive lock.
    Shared,
}

/// A lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    announced: Option<PathBuf>,
    warning: Option<String>,
}

impl Lock {
    /// The reason that the file system refuses locks, in one line, if it does.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.announced {
            // Best effort: files of dead processes do not count.
            let _ = fs::remove_file(path);
        }
    }
}

/// The holder of a lock; unknown where the file system locks files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(Option<Owner>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => Ok(()),
            Some(Owner { path, host, pid, .. }) => {
                write!(f, " (process {pid} on {host}; if it is gone, remove {})", path.display())
            }
        }
    }
}

/// The reasons that there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another process holds it{0}")]
    Held(Holder),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Takes the lock of a file, which is created if missing.
///
/// # Errors
/// [`LockError`].
pub fn try_lock(path: &Path, kind: LockKind) -> Result<Lock, LockError> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    let locked = match kind {
        LockKind::Alone => file.try_lock(),
        LockKind::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(Lock { _file: file, announced: None, warning: None }),
        Err(TryLockError::WouldBlock) => Err(LockError::Held(Holder(None))),
        Err(TryLockError::Error(error)) if is_refusal(&error) => {
            let warning = format!(
                "warning: the file system refuses to lock {} ({error}); a file beside it says who works there",
                path.display()
            );
            Ok(Lock { _file: file, announced: Some(announce(path, kind)?), warning: Some(warning) })
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// [`try_lock`], exclusive, trying for this long.
///
/// # Errors
/// [`LockError`].
pub fn lock(path: &Path, patience: Duration) -> Result<Lock, LockError> {
    let began = Instant::now();
    loop {
        match try_lock(path, LockKind::Alone) {
            Err(LockError::Held(_)) if began.elapsed() < patience => pause(),
            result => return result,
        }
    }
}

/// The process that holds this lock, if any.
pub fn holder(path: &Path) -> Option<Holder> {
    match File::open(path).ok()?.try_lock_shared() {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => Some(Holder(None)),
        Err(TryLockError::Error(_)) => {
            let mut owners = owners(path).ok()?.into_iter();
            owners.find(|owner| owner.kind == LockKind::Alone && owner.is_there()).map(|owner| Holder(Some(owner)))
        }
    }
}

/// Waits until no process holds this lock.
///
/// # Errors
/// [`LockError::Held`] by a process on another host, which may have ended.
pub fn wait(path: &Path) -> Result<(), LockError> {
    while let Some(holder) = holder(path) {
        if holder.0.as_ref().is_some_and(|owner| !owner.is_here()) {
            return Err(LockError::Held(holder));
        }
        pause();
    }
    Ok(())
}

fn pause() {
    let (_sender, receiver) = channel::<()>();
    let _elapsed = receiver.recv_timeout(PAUSE);
}

/// Whether the file system has no locks at all, rather than a fault with this one.
fn is_refusal(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(nix::errno::Errno::ENOLCK as i32) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// A process that has announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    path: PathBuf,
    host: String,
    pid: u32,
    /// Seconds since the epoch.
    start: u64,
    kind: LockKind,
}

impl Owner {
    /// Parses the process from the name of a file beside a lock: `LOCK.owner-HOST-PID-START-KIND`.
    fn of(path: PathBuf, lock: &str) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix(lock)?.strip_prefix(".owner-")?;
        let mut parts = name.rsplitn(4, '-');
        let kind = match parts.next()? {
            "alone" => LockKind::Alone,
            "shared" => LockKind::Shared,
            _ => return None,
        };
        let (start, pid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let host = parts.next()?.to_owned();
        Some(Self { host, pid, start, kind, path })
    }

    fn is_here(&self) -> bool {
        self.host == host()
    }

    /// Whether the process may still run.
    fn is_there(&self) -> bool {
        !self.is_here()
            || start_of(Pid::from_u32(self.pid)).is_some_and(|start| start.abs_diff(self.start) <= START_SECS)
    }
}

/// The name of this machine, in plain characters.
pub(crate) fn host() -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    System::host_name().unwrap_or_default().chars().map(plain).collect()
}

/// The start time of a process of this host.
fn start_of(pid: Pid) -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    Some(system.process(pid)?.start_time())
}

/// Announces this process beside a lock, unless another has done so.
fn announce(path: &Path, kind: LockKind) -> Result<PathBuf, LockError> {
    let pid = get_current_pid().map_err(io::Error::other)?;
    let start = start_of(pid).unwrap_or_default();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".owner-{}-{pid}-{start}-{}", host(), if kind == LockKind::Alone { "alone" } else { "shared" }));
    let own = PathBuf::from(name);
    match File::create_new(&own) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let lock = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(LockError::Held(Holder(Owner::of(own, &lock))));
        }
        made => made?,
    };
    let other = || -> io::Result<Option<Owner>> {
        for owner in owners(path)?.into_iter().filter(|owner| owner.path != own) {
            if !owner.is_there() {
                // Another process may have been faster.
                let _ = fs::remove_file(&owner.path);
            } else if kind == LockKind::Alone || owner.kind == LockKind::Alone {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    };
    let found = other();
    if !matches!(found, Ok(None)) {
        let _ = fs::remove_file(&own);
    }
    match found? {
        Some(owner) => Err(LockError::Held(Holder(Some(owner)))),
        None => Ok(own),
    }
}

/// The processes that have announced themselves beside a lock.
fn owners(path: &Path) -> io::Result<Vec<Owner>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = path.file_name().map(OsString::from).unwrap_or_default();
    let lock = lock.to_string_lossy();
    let mut owners = vec![];
    for entry in fs::read_dir(folder)? {
        owners.extend(Owner::of(entry?.path(), &lock));
    }
    Ok(owners)
}
