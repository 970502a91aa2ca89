//! What people write: configurations, `--set` arguments, sweeps.

use edgewalk::config::{Config, resolve};
use edgewalk::sweep::{MAX_JOBS, SweepDir};
use toml::{Table, Value};

use super::{bounded, in_folder, put, refused};

/// A configuration file.
pub fn config(input: &[u8]) -> bool {
    in_folder(|folder| {
        let path = folder.join("my run.toml");
        put(&path, input);
        let path = path.to_str().expect("a temporary folder has a plain name");
        match bounded(input.len(), || resolve(Some(path), &[])) {
            Ok(resolved) => {
                assert_eq!(resolved.name, "my run");
                let all = survives(&resolved.config);
                let file: Table = str::from_utf8(input).expect("TOML is UTF-8").parse().expect("what was accepted");
                for (section, keys) in file {
                    for (key, value) in keys.as_table().expect("what was accepted has sections") {
                        assert!(
                            means(&all[&section][key], value),
                            "{section}.{key} = {value} is {}",
                            all[&section][key]
                        );
                    }
                }
                true
            }
            Err(error) => {
                // The file where it cannot be read at all, and the key where there is one.
                let text = error.to_string();
                assert!(text.contains(path) || text.contains('`'), "{text}");
                false
            }
        }
    })
}

/// `--set` arguments, one a line.
pub fn sets(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let sets: Vec<String> = text.lines().map(str::to_owned).collect();
    match bounded(text.len(), || resolve(None, &sets)) {
        Ok(resolved) => {
            survives(&resolved.config);
            true
        }
        Err(error) => {
            refused(&error, "`");
            false
        }
    }
}

/// Writes a configuration and reads it again; returns it as a table.
fn survives(config: &Config) -> Table {
    let text = config.to_toml();
    in_folder(|folder| {
        let path = folder.join("again.toml");
        put(&path, text.as_bytes());
        let again = resolve(path.to_str(), &[]).expect("a configuration that was written can be read");
        assert_eq!(again.config, *config);
    });
    text.parse().expect("a configuration is written as TOML")
}

/// Whether a setting is what was written: numbers may be written as whole ones, and words about numbers with more
/// spaces.
fn means(setting: &Value, written: &Value) -> bool {
    match (setting, written) {
        (Value::Float(setting), Value::Integer(written)) => *setting == *written as f64,
        (Value::String(setting), Value::String(written)) => {
            setting == written
                || setting.split_once(" < ").is_some_and(|(column, _)| written.trim().starts_with(column))
        }
        _ => setting == written,
    }
}

/// `sweep.toml`.
pub fn sweep(input: &[u8]) -> bool {
    in_folder(|folder| {
        put(&folder.join("sweep.toml"), input);
        match bounded(input.len(), || SweepDir::open(folder)) {
            Ok(sweep) => {
                let product: usize = sweep.axes.iter().map(|axis| axis.values.len()).product();
                assert!(product <= MAX_JOBS && sweep.jobs().len() == product);
                let mut runs: Vec<_> = sweep.jobs().iter().map(|job| &job.run).collect();
                assert!(runs.iter().all(|run| run.parent() == Some(&folder.join("runs"))), "{runs:?}");
                runs.sort();
                runs.dedup();
                assert_eq!(runs.len(), product, "jobs share a folder");
                true
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("sweep.toml") || text.contains("jobs"), "{text}");
                false
            }
        }
    })
}
