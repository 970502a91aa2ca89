//! One job as a process: the same program, training or resuming one run folder. So a driver that crashes ends one job
//! and not the sweep. On Unix the process has a group of its own: Ctrl-C in a terminal reaches only the sweep, which
//! passes it on once, since a second signal would end a run without a checkpoint.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{is_held, judge};
use super::{Job, SweepDir};
use crate::environment::variable;
use crate::files::lock;
use crate::folder::{RunDir, lock_file};

/// The environment variable from which lavapipe takes its number of worker threads at start; 0 is the calling thread
/// alone.
const THREADS_VARIABLE: &str = "LP_NUM_THREADS";
/// The environment variable for the number of threads of the native device.
const NATIVE_THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// The end of a log that is searched for an error.
const TAIL_BYTES: u64 = 64 * 1024;

/// The stage of a job's attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another process works on this run; wait for it.
    WaitingForAnother,
    /// Its process is about to start.
    Starting,
    /// Its process runs.
    Running {
        /// The process.
        pid: u32,
    },
}

/// The data of a job's attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    job: Job,
    log: PathBuf,
    /// The program and the arguments of a new run.
    new: Vec<String>,
    program: PathBuf,
    threads: Option<usize>,
    /// Whether the sweep must stop.
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

    /// Does the job, unless nothing is left, and reports to `stage`. Returns the error, if the folder of the run may
    /// not have it.
    pub fn run(&self, stage: &dyn Fn(Stage)) -> Option<String> {
        loop {
            // The processes of a killed sweep finish their jobs.
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
            // Such a process may have been loading its data when this one began, and have taken the lock first.
            if problem.is_none() || !is_held(&self.job.run) {
                return problem;
            }
        }
    }

    /// Starts the process, waits for it, and returns its error.
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

    /// Starts the process of a new or resumed run. Returns it with the previous length of its log.
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
        if let Some(threads) = self.threads {
            if variable(THREADS_VARIABLE).is_none() {
                // Worker threads are added to the calling one, which waits for them; for one thread use none.
                command.env(THREADS_VARIABLE, if threads == 1 { "0".into() } else { threads.to_string() });
            }
            if variable(NATIVE_THREADS_VARIABLE).is_none() {
                command.env(NATIVE_THREADS_VARIABLE, threads.to_string());
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(said("start", &self.program))?;
        Ok((child, from))
    }

    /// The last message of a failed process, or else its exit status.
    fn problem(&self, status: ExitStatus, from: u64) -> String {
        let text = self.tail(from).unwrap_or_default();
        let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
        match error {
            Some(error) => error.to_owned(),
            None => format!("its process ended with {status}; see {}", self.log.display()),
        }
    }

    /// The end of the log after its first `from` bytes.
    fn tail(&self, from: u64) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(len.saturating_sub(TAIL_BYTES))))?;
        let mut bytes = vec![];
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Asks a process to finish its step, write a checkpoint and end. Without signals, the console has told it already.
pub fn ask_to_stop(pid: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        // It may have ended by itself.
        if let Ok(pid) = i32::try_from(pid) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
    #[cfg(not(unix))]
    let _told = pid;
}
