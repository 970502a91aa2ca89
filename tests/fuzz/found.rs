//! What was found once, and must stay mended.

use std::fs;
use std::fs::File;

use edgewalk::data::text::{self, TestLines};
use edgewalk::data::{DataName, Request, Split, cifar};
use edgewalk::folder::choices;
use edgewalk::folder::state::RunState;
use edgewalk::folder::tables::{read_curvature, read_metrics};
use edgewalk::results::summary::Summary;
use edgewalk::sweep::SweepDir;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::parsers::tensors::STATE_PARAMS;
use super::seeds;

/// The tensors of a file, by name.
type Tensors<'a> = Vec<(String, TensorView<'a>)>;

/// The message that reading a file of this text ends with.
fn refusal<T, E: ToString>(text: &str, read: impl FnOnce(&std::path::Path) -> Result<T, E>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, text).unwrap();
    read(&path).map(drop).map_err(|error| error.to_string()).unwrap_err()
}

/// A table of the seeds, as text.
fn table(seed: &[super::Parts]) -> String {
    String::from_utf8(seed[0][0].clone()).unwrap()
}

#[test]
fn the_second_half_of_any_number_of_steps_can_be_told() {
    let most = i64::MAX as u64;
    let text = table(&seeds::curvature()).replace("\n10,", &format!("\n{most},"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curvature.csv");
    fs::write(&path, text).unwrap();
    let rows = read_curvature(&path).unwrap();
    let edge = Summary::of(&[], &rows, edgewalk::optim::Rule::sam(1.0, 1.0)).edge.unwrap();
    assert_eq!((edge.first_step, edge.last_step), (most, most));
}

#[test]
fn a_column_that_is_there_twice_is_not_read_as_the_first() {
    let text = table(&seeds::metrics()).replace(",error,", ",loss,");
    let message = refusal(&text, read_metrics);
    assert!(message.contains("two columns `loss`"), "{message}");
}

#[test]
fn an_eigenvalue_behind_a_missing_one_is_not_dropped() {
    let text = table(&seeds::curvature()).replacen("-3.0,2.0,", ",2.0,", 1);
    let message = refusal(&text, read_curvature);
    assert!(message.contains("line 2") && message.contains("`lambda_1`"), "{message}");
}

#[test]
fn two_spellings_of_a_class_are_not_one_choice() {
    let text = r#"{"choices": {"matmul 1x64x64x16": "tile 64x64 by 8x4", "matmul 1x+64x064x16": "tile 32x32 by 4x4"}}"#;
    assert!(choices::parse(text).unwrap_err().contains("matmul 1x+64x064x16"));
}

#[test]
fn a_state_says_nothing_that_is_not_read() {
    let sound = seeds::state().remove(1).remove(0);
    let refused = |change: &dyn Fn(&mut Tensors<'_>), choices: &str, part: &str| {
        let file = safetensors::SafeTensors::deserialize(&sound).unwrap();
        let mut tensors = file.tensors();
        change(&mut tensors);
        let metadata = [("choices".to_owned(), choices.to_owned())].into();
        let bytes = serialize(tensors, Some(metadata)).unwrap();
        let problem = RunState::from_bytes(&bytes, STATE_PARAMS).unwrap_err();
        assert!(problem.contains(part), "{problem}");
    };
    let view = || TensorView::new(Dtype::U64, vec![], &[0; 8]).unwrap();
    refused(&|tensors| tensors.push(("more".into(), view())), "{}", "`more`");
    // Without its first tensor the rest of a track would have been passed over.
    refused(&|tensors| tensors.retain(|(name, _)| name != "track.values"), "{}", "`track.");
    let steps = TensorView::new(Dtype::U64, vec![3], &[0; 24]).unwrap();
    refused(
        &|tensors| tensors.iter_mut().filter(|(name, _)| name == "step").for_each(|(_, view)| *view = steps.clone()),
        "{}",
        "`step` must have 1",
    );
    refused(&|_| {}, "{},\"more\":{}", "`choices`");
}

#[test]
fn the_jobs_of_a_sweep_stay_in_its_folder() {
    let open = |axes: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sweep.toml"), format!("name = \"x\"\n{axes}")).unwrap();
        SweepDir::open(folder.path()).map_err(|error| error.to_string())
    };
    let axis = |key: &str| format!("[[axis]]\nkey = \"{key}\"\nvalues = [\"1\"]\n");
    assert!(open(&axis("optim.lr")).is_ok());
    for (axes, part) in [
        (axis("a./../../../outside"), "there is no key `a./../../../outside`"),
        // Ten thousand jobs times ten thousand axes would take gigabytes.
        (axis("optim.lr").repeat(10_000), "`optim.lr` is there twice"),
        ("axis = []".into(), "no axis"),
        // So would ten thousand copies of a long value.
        (format!("[[axis]]\nkey = \"data.path\"\nvalues = [\"{}\"]\n", "a".repeat(5000)), "more than 4096 bytes"),
    ] {
        let message = open(&axes).unwrap_err();
        assert!(message.contains("sweep.toml") && message.contains(part), "{message}");
    }
}

#[test]
#[cfg(unix)]
fn a_file_larger_than_any_data_set_takes_no_memory() {
    // Only on Unix can a file be expected to have holes.
    let folder = tempfile::tempdir().unwrap();
    File::create(folder.path().join("test_batch.bin")).unwrap().set_len(3073 << 21).unwrap();
    let message = cifar::read_folder(folder.path(), Split::Test, 0).unwrap_err().to_string();
    assert!(message.contains("at most 1048576 records"), "{message}");
}

#[test]
fn a_window_of_any_length_is_refused_in_words() {
    let message = refusal("a text", |path| {
        text::read(path, TestLines::LastQuarter, &Request { seq_len: usize::MAX, ..Request::new(DataName::Text) })
    });
    assert!(message.contains("6 characters"), "{message}");
}
