//! One job as a process of its own: the same program, told to train or to resume one run folder.
//!
//! A driver that crashes takes its process with it; so a job has one, and the sweep has another. On Unix it is also a process
//! group of its own: Ctrl-C in a terminal reaches the sweep alone, which hands it on once. A run that is told twice to stop
//! would do so without a checkpoint.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{is_held, judge};
use super::{Job, SweepDir};
use crate::config::workload::THREADS_VARIABLE;
use crate::files::lock;
use crate::folder::{RunDir, lock_file};

/// The end of a log that is searched for an error.
const TAIL_BYTES: u64 = 64 * 1024;

/// What happens to a job while it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another process is at this run; it is waited for.
    WaitingForAnother,
    /// Its process is about to start.
    Starting,
    /// Its process runs.
    Running {
        /// The process.
        pid: u32,
    },
}

/// What it takes to try a job.
#[derive(Debug, Clone)]
pub struct Attempt {
    job: Job,
    log: PathBuf,
    /// The program and the arguments of a new run.
    new: Vec<String>,
    program: PathBuf,
    threads: Option<usize>,
    /// Whether the sweep is to stop.
    stopped: Arc<AtomicBool>,
}

impl Attempt {
    /// Prepares the attempt at a job of a sweep by `program`, on so many threads of a software adapter.
    pub fn new(sweep: &SweepDir, job: &Job, program: &Path, threads: Option<usize>, stopped: Arc<AtomicBool>) -> Self {
        let mut new = vec!["train".to_owned(), sweep.config().to_string_lossy().into_owned()];
        new.extend(sweep.sets(job).into_iter().flat_map(|set| ["--set".to_owned(), set]));
        new.extend(["--out".to_owned(), job.run.to_string_lossy().into_owned()]);
        new.extend(sweep.adapter.iter().flat_map(|adapter| ["--adapter".to_owned(), adapter.clone()]));
        Self { job: job.clone(), log: sweep.log(job), new, program: program.into(), threads, stopped }
    }

    /// Does the job, or finds that there is nothing left to do, and tells `stage` how far it is. Returns what failed, if the
    /// folder of the run may not say so.
    pub fn run(&self, stage: &dyn Fn(Stage)) -> Option<String> {
        loop {
            // A sweep that was killed leaves its processes behind. They do their job to the end.
            if is_held(&self.job.run) {
                stage(Stage::WaitingForAnother);
                if let Err(error) = lock::wait(&lock_file(&self.job.run)) {
                    return Some(format!("cannot wait for the process that runs it: {error}"));
                }
            }
            stage(Stage::Starting);
            if judge(&self.job).0.has_result() || self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let problem = self.once(stage);
            // Such a process may still have been loading its data when this one began, and then have come first.
            if problem.is_none() || !is_held(&self.job.run) {
                return problem;
            }
        }
    }

    /// Starts the process, waits for it, and returns what was wrong.
    fn once(&self, stage: &dyn Fn(Stage)) -> Option<String> {
        let (mut child, from) = match self.start() {
            Ok(started) => started,
            Err(problem) => return Some(problem),
        };
        stage(Stage::Running { pid: child.id() });
        match child.wait() {
            Ok(status) if status.success() => None,
            Ok(status) => Some(self.problem(status, from)),
            Err(error) => Some(format!("cannot wait for its process: {error}")),
        }
    }

    /// Starts the process, of a run that goes on or begins. Returns it with the length of its log before.
    fn start(&self) -> Result<(Child, u64), String> {
        let run = &self.job.run;
        let said = |what: &str, path: &Path| {
            let text = format!("cannot {what} {}", path.display());
            move |error: std::io::Error| format!("{text}: {error}")
        };
        let mut command = Command::new(&self.program);
        match RunDir::open(run) {
            Ok(_) => command.arg("resume").arg(run),
            Err(_) => command.args(&self.new),
        };
        let log = File::options().create(true).append(true).open(&self.log).map_err(said("write", &self.log))?;
        let from = log.metadata().map_err(said("read", &self.log))?.len();
        let copy = log.try_clone().map_err(said("write", &self.log))?;
        command.stdin(Stdio::null()).stdout(log).stderr(copy);
        if let Some(threads) = self.threads
            && std::env::var_os(THREADS_VARIABLE).is_none()
        {
            // Worker threads are besides the calling one, which waits for them; one alone is better off without.
            command.env(THREADS_VARIABLE, if threads == 1 { "0".into() } else { threads.to_string() });
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(said("start", &self.program))?;
        Ok((child, from))
    }

    /// What a process that failed said last, or else how it ended.
    fn problem(&self, status: ExitStatus, from: u64) -> String {
        let text = self.tail(from).unwrap_or_default();
        let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
        match error {
            Some(error) => error.to_owned(),
            None => format!("its process ended with {status}; see {}", self.log.display()),
        }
    }

    /// The end of what was logged since it was `from` bytes long.
    fn tail(&self, from: u64) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(len.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Asks a process to finish its step, write a checkpoint and end. Where there are no signals, the console has told it already.
pub fn ask_to_stop(pid: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        // It may have ended by itself meanwhile, which is as well.
        if let Ok(pid) = i32::try_from(pid) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
    #[cfg(not(unix))]
    let _told = pid;
}
