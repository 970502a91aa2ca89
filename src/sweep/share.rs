//! How far the jobs under way are, from the ends of their tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Job;

/// The end of a table that holds its last line.
const TAIL_BYTES: u64 = 8192;
/// The time between two looks at the tables.
const LOOK: Duration = Duration::from_secs(1);

/// The share of each running job that is done, from 0 to 1.
#[derive(Debug)]
pub(super) struct Shares {
    jobs: BTreeMap<usize, RunningJob>,
    looked: Instant,
    /// What jobs that have ended added since this process began them, in jobs.
    ended: f64,
}

#[derive(Debug)]
struct RunningJob {
    /// The updates that it is to make.
    steps: u64,
    /// The share when this process began it, and now.
    first: f64,
    now: f64,
}

impl Shares {
    pub fn new() -> Self {
        Self { jobs: BTreeMap::new(), looked: Instant::now(), ended: 0.0 }
    }

    /// A job begins or goes on.
    pub fn begin(&mut self, number: usize, job: &Job, steps: u64) {
        let first = share(&job.run, steps);
        self.jobs.insert(number, RunningJob { steps, first, now: first });
    }

    /// A job has ended.
    pub fn end(&mut self, number: usize) {
        self.ended += self.jobs.remove(&number).map_or(0.0, |job| 1.0 - job.first);
    }

    /// Looks again, if the last time was a while ago.
    pub fn look(&mut self, jobs: &[Job]) {
        if self.looked.elapsed() > LOOK {
            for (&number, job) in &mut self.jobs {
                job.now = share(&jobs[number].run, job.steps).max(job.now);
            }
            self.looked = Instant::now();
        }
    }

    /// The share of a job; 0 if it does not run.
    pub fn of(&self, number: usize) -> f64 {
        self.jobs.get(&number).map_or(0.0, |job| job.now)
    }

    /// The seconds for the rest, at the pace of these `secs`: `left` jobs have not begun. None before anything was done.
    pub fn left_secs(&self, secs: f64, left: usize) -> Option<f64> {
        let done = self.ended + self.jobs.values().map(|job| job.now - job.first).sum::<f64>();
        let rest = left as f64 + self.jobs.values().map(|job| 1.0 - job.now).sum::<f64>();
        (done > 0.0).then(|| secs / done * rest)
    }
}

/// The share of its steps that a run has logged.
fn share(run: &Path, steps: u64) -> f64 {
    let step = last_step(&run.join("metrics.csv")).unwrap_or(0);
    if steps == 0 { 0.0 } else { (step as f64 / steps as f64).min(1.0) }
}

/// The step of the last complete line of a table, whose first column it is.
fn last_step(table: &Path) -> Option<u64> {
    let mut file = File::open(table).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES))).ok()?;
    let mut bytes = vec![];
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let (complete, _) = text.rsplit_once('\n')?;
    complete.rsplit('\n').next()?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Job, Shares};

    #[test]
    fn the_time_left_follows_from_what_was_done_here() {
        let folder = tempfile::tempdir().unwrap();
        let job = |name: &str, rows: &str| {
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap();
            fs::write(run.join("metrics.csv"), format!("step,secs\n{rows}")).unwrap();
            Job { name: name.into(), values: vec![], run }
        };
        // The second was half done before; the last line of the third is not complete.
        let jobs = [job("a", ""), job("b", "0,1\n50,2\n"), job("c", "0,1\n25,2\n90")];
        let mut shares = Shares::new();
        (0..2).for_each(|number| shares.begin(number, &jobs[number], 100));
        assert_eq!((shares.of(0), shares.of(1), shares.left_secs(8.0, 1)), (0.0, 0.5, None));
        shares.end(1);
        shares.begin(2, &jobs[2], 100);
        assert_eq!((shares.of(1), shares.of(2)), (0.0, 0.25));
        // Half a job took 8 s; one has not begun, one is at 0 and one at a quarter.
        assert_eq!(shares.left_secs(8.0, 1), Some(44.0));
    }
}
