//! Every parser of the program, fed with damaged files of its own making. See docs/portability.md.
//!
//! A binary of its own: its allocator counts. `EDGEWALK_FUZZ` is the number of inputs for each parser. What is found,
//! and the sound files that the damage began with, lie in `target/tmp/fuzz/PARSER/`.

mod found;
mod hostile;
mod mutate;
mod parsers;
#[path = "../sample_manifest.rs"]
mod sample_manifest;
mod seeds;

use std::fs;
use std::panic::{UnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use parsers::Parser;

/// Inputs for each parser without `EDGEWALK_FUZZ`.
const INPUTS: u64 = 3000;

/// The parts of an input, one a file. See [`parsers`].
type Parts = Vec<Vec<u8>>;

/// One input of several parts: before them the lengths of all but the last.
fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let (last, others) = parts.split_last().expect("an input has a part");
    let cut = |part: &Vec<u8>| part.len().min(usize::from(u16::MAX));
    let lengths = others.iter().flat_map(|part| (cut(part) as u16).to_le_bytes());
    let bytes = others.iter().flat_map(|part| part[..cut(part)].iter().copied());
    lengths.chain(bytes).chain(last.iter().copied()).collect()
}

/// Feeds a parser with the `seeds`, each of which it must accept, and then with damaged ones.
fn fuzz(name: &str, seeds: &[Parts]) {
    let parser = parsers::named(name);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    fs::create_dir_all(&folder).unwrap();
    for (i, seed) in seeds.iter().enumerate() {
        let input = join(seed);
        fs::write(folder.join(format!("seed-{i}")), &input).unwrap();
        assert!(feed(&folder, parser, &input), "{name} refuses its own seed {i}");
    }
    let inputs = match std::env::var("EDGEWALK_FUZZ") {
        Ok(inputs) => inputs.parse().expect("EDGEWALK_FUZZ is a number of inputs"),
        Err(_) => INPUTS,
    };
    let (began, mut rng) = (Instant::now(), ChaCha8Rng::seed_from_u64(0));
    let mut accepted = 0;
    for _ in 0..inputs {
        accepted += u64::from(feed(&folder, parser, &join(&mutate::mutate(&mut rng, seeds))));
    }
    let (secs, peak) = (began.elapsed().as_secs_f64(), parsers::peak() >> 10);
    println!("{name}: {inputs} inputs, {accepted} of them accepted, in {secs:.1} s, with {peak} KiB at most");
}

/// Feeds a parser. An input that it cannot take is kept.
fn feed(folder: &Path, parser: Parser, input: &[u8]) -> bool {
    fn caught<T>(run: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
        catch_unwind(run).ok()
    }
    caught(|| parser(input)).unwrap_or_else(|| {
        let path = folder.join("found");
        fs::write(&path, input).unwrap();
        let start = input[..input.len().min(2000)].escape_ascii();
        panic!("{} has {} bytes which a parser cannot take: {start}", path.display(), input.len());
    })
}

macro_rules! parsers {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name), &seeds::$name());
        })+

        #[test]
        fn every_parser_is_fed() {
            assert_eq!(parsers::ALL.map(|(name, _)| name), [$(stringify!($name)),+]);
        }
    };
}

parsers! {
    idx cifar characters archive npy arrays table params network state config sets sweep metrics curvature oscillation
    summary official manifest kernels checkpoint
}
