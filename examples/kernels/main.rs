//! Writes the WGSL of every kernel of the presets' networks for a kind of adapter into a folder, in every variant.
//!
//!     cargo run --release --example kernels -- [--default] gpu kernels/ [TASK...]
//!
//! With `--default` each contraction is written only in the variant that it gets by default. The kinds are `gpu`
//! (within WebGPU's limits), `amd`, `nvidia`, `intel`, `adreno`, `mali`, `videocore`, and for software adapters
//! `subgroup` and `rows`. A task has the name of its preset. No adapter is needed. A file is named after task, kernel,
//! shape and a number that distinguishes kernels of the same shape. Their statistics are in docs/gpu-kernels.md.

mod collect;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (every_variant, args) = match &args[..] {
        [first, rest @ ..] if first == "--default" => (false, rest),
        all => (true, all),
    };
    let [kind, folder, only @ ..] = args else {
        return Err("usage: kernels [--default] KIND FOLDER [TASK...]".into());
    };
    let unknown = || format!("`{kind}` is none of gpu, amd, nvidia, intel, adreno, mali, videocore, subgroup, rows");
    let target = collect::target(kind).ok_or_else(unknown)?;
    std::fs::create_dir_all(folder)?;
    for task in collect::tasks().iter().filter(|task| only.is_empty() || only.iter().any(|name| name == task.name)) {
        let kernels = collect::kernels(task, &target, every_variant)?;
        println!("{}: {} kernels", task.name, kernels.len());
        for (i, kernel) in kernels.iter().enumerate() {
            let name = kernel.label.replace(['[', ']', ','], "").replace(' ', "-");
            let path = Path::new(folder).join(format!("{}--{name}--{i}.wgsl", task.name));
            std::fs::write(path, &kernel.wgsl)?;
        }
    }
    Ok(())
}
