//! The top of a run's report: where and when it was made, and how it ended.

use maud::{Markup, html};

use super::facts::Facts;
use crate::folder::manifest::{Ended, Manifest, Resumed};
use crate::results::divergence;
use crate::text::{counted, duration};

/// Date, machine, device and time.
pub(super) fn headline(facts: &Facts) -> Markup {
    let program = match &facts.manifest {
        Ok(Manifest { version, commit: Some(commit), .. }) => {
            format!("Edgewalk {version}, commit {}", commit.get(..12).unwrap_or(commit))
        }
        Ok(Manifest { version, .. }) => format!("Edgewalk {version}"),
        Err(_) => "Edgewalk".into(),
    };
    let mut rows: Vec<(&str, String)> = vec![];
    if let Ok(manifest) = &facts.manifest {
        let first = (!manifest.began.is_empty()).then(|| date(&manifest.began));
        // A fork begins as a resumption of the checkpoint that it has copied.
        let begins = manifest
            .resumed
            .first()
            .is_some_and(|first| manifest.parent.as_ref().is_some_and(|parent| parent.step == first.step));
        let again = manifest.resumed.iter().skip(usize::from(begins));
        let again = again.map(|Resumed { step, began, .. }| match began.as_str() {
            "" => format!("resumed at step {step}"),
            began => format!("resumed at step {step} on {}", date(began)),
        });
        let dates: Vec<String> = first.into_iter().chain(again).collect();
        rows.push(("date", dates.join("; ")));
        let mut hosts: Vec<&str> = std::iter::once(manifest.host.as_str())
            .chain(manifest.resumed.iter().map(|resumed| resumed.host.as_str()))
            .filter(|host| !host.is_empty())
            .collect();
        hosts.dedup();
        rows.push(("host", hosts.join(", then ")));
        rows.push(("device", format!("{} ({})", manifest.adapter, manifest.backend)));
        if manifest.wall_secs > 0.0 {
            rows.push(("duration", format!("{}, measurements included", duration(manifest.wall_secs))));
        }
        if let Some(parent) = &manifest.parent {
            rows.push(("fork of", format!("{} at step {}", parent.path.display(), parent.step)));
        }
    }
    html! {
        p.made { "A training run with measurements of the Hessian. " (program) "." }
        dl.head { @for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) { div { dt { (name) } dd { (value) } } } }
    }
}

/// `2026-12-01T15:18:08Z` for people.
fn date(text: &str) -> String {
    match text.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..5).unwrap_or(time)),
        None => text.to_owned(),
    }
}

/// The end of the run.
pub(super) fn state(facts: &Facts) -> Markup {
    let done = facts.steps_done();
    let steps = facts.readout.config.as_ref().map(|config| config.run.steps);
    let made = |done: u64| match steps {
        Some(steps) => format!("{done} of {}", counted(steps, "update")),
        None => counted(done, "update"),
    };
    let (count, were) = (made(done), if done == 1 { "was" } else { "were" });
    let (class, first, rest) = match facts.manifest.as_ref().map(|manifest| &manifest.ended) {
        Ok(Ended::Done) => ("state", "Finished.", format!("{count} {were} made.")),
        Ok(Ended::Reached { until }) => {
            ("state", "Finished.", format!("{count} {were} made, until {until} as the configuration asks."))
        }
        Ok(Ended::TimeLimit) => {
            ("state open", "Time limit.", format!("Its time was over after {count}; everything below is about these."))
        }
        Ok(Ended::Running) => (
            "state open",
            "Not ended.",
            format!(
                "When this report was made the run was still going on, or its process had been killed: its folder \
                 holds no word of an end. The last logged step is {done}{}; everything below is about the steps so \
                 far.",
                steps.map_or_else(String::new, |steps| format!(" of {steps}"))
            ),
        ),
        Ok(Ended::Interrupted) => {
            ("state open", "Interrupted.", format!("It was stopped after {count}; everything below is about these."))
        }
        Ok(Ended::Diverged { step }) => (
            "state bad",
            "Diverged.",
            format!(
                "After {} the numbers were no longer finite. Everything below is about the steps before.",
                made(*step)
            ),
        ),
        Ok(Ended::Failed { error }) => ("state bad", "Failed.", format!("After {count}: {error}.")),
        Err(problem) => ("state open", "No manifest.", format!("How the run ended is not known: {problem}.")),
    };
    let account =
        facts.manifest.as_ref().map_or_else(|_| vec![], |manifest| divergence::account(&facts.readout, manifest));
    html! {
        div class=(class) {
            strong { (first) } " " (rest)
            @if !account.is_empty() { ul { @for line in &account { li { (line) } } } }
        }
    }
}
