//! `edgewalk doctor`: it passes here, its table is complete, and it finds kernels that are broken on purpose.

use std::sync::atomic::{AtomicBool, Ordering};

use edgewalk::cli::Error;
use edgewalk::device::Device;
use edgewalk::doctor::{Report, Row, SECTIONS, Section, Verdict, examine};
use edgewalk::gpu::Gpu;
use edgewalk::kernel::Kernel;
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds};
use super::doctor_drivers::adapter;
use super::program::wgpu_adapter;

/// The checks that fail in these sections on a device whose kernels are altered.
fn failures(sections: &[&str], alter: impl Fn(&mut Kernel) + Send + Sync + 'static) -> Vec<String> {
    // Only kernels can be altered.
    let device = Device::Gpu(Gpu::open_altered(Some(&wgpu_adapter()), alter).unwrap());
    let sections: Vec<Section> = SECTIONS.into_iter().filter(|s| sections.contains(&s.name)).collect();
    let report = examine(&device, &sections, &mut |_| {});
    println!("{report}");
    assert!(report.with(Verdict::Fail).all(|row| row.advice.is_some()));
    report.with(Verdict::Fail).map(|row| row.check.clone()).collect()
}

/// Replaces text that has to be there.
fn replace(kernel: &mut Kernel, from: &str, to: &str) {
    assert!(kernel.wgsl.contains(from), "{from:?} is not in {}:\n{}", kernel.label, kernel.wgsl);
    kernel.wgsl = kernel.wgsl.replace(from, to);
}

/// Breaks matmuls, whatever their family: ends the loop over k a step early.
fn drop_terms(kernel: &mut Kernel) {
    let step = if kernel.label.contains(" tile ") { "SLAB" } else { "4u" };
    replace(kernel, &format!("k < K; k += {step}"), &format!("k + {step} < K; k += {step}"));
}

#[test]
fn matmuls_that_drop_their_last_terms_are_found() {
    let failed = failures(&["functions", "kernels"], |kernel| {
        if kernel.variant.is_some() {
            drop_terms(kernel);
        }
    });
    let contractions = [
        "matmul",
        "matmul, left operand turned",
        "matmul, 1000 terms",
        "matmul, batched",
        "convolution",
        "convolution, to the input",
        "convolution, to the kernel",
    ];
    assert_eq!(failed, contractions);
}

#[test]
fn matmuls_in_half_precision_are_found() {
    // Ten bits of the mantissa are left, as in half precision and in TF32.
    let short = |x: &str| format!("bitcast<vec4<f32>>(bitcast<vec4<u32>>({x}) & vec4(0xffffe000u))");
    let failed = failures(&["kernels"], move |kernel| {
        if kernel.label.contains(" tile ") {
            replace(kernel, "fma(x, ", &format!("fma({}, ", short("x")));
        } else if kernel.subgroups {
            let all = format!("for (var i = 0u; i < ROWS; i++) {{ a[i] = {}; }} ", short("a[i]"));
            replace(kernel, "multiply(&acc", &format!("{all} multiply(&acc"));
        } else if kernel.variant.is_some() {
            replace(kernel, "* a[i];", &format!("* {};", short("a[i]")));
        }
    });
    assert!(["matmul", "convolution"].iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
}

#[test]
fn reductions_that_skip_an_element_are_found() {
    let failed = failures(&["functions", "kernels"], |kernel| {
        if kernel.label.starts_with("reduce") {
            replace(kernel, "r < TERMS", "r + 1u < TERMS");
        } else if kernel.label.starts_with("rows") && kernel.wgsl.contains(".w") {
            // The fourth of every four, where four running sums are added up.
            replace(kernel, ".w", ".z");
        }
    });
    let sums = ["sums of rows", "sums of columns", "sum of 100,000", "maximum"];
    assert!(sums.iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
    assert!(failed.iter().any(|name| name == "softmax, logits ±1e4"), "{failed:?}");
}

#[test]
fn the_tanh_of_metal_is_found() {
    let failed = failures(&["functions"], |kernel| {
        let builtin = "fn ew_tanh(x: V) -> V {\n    let e = exp(2.0 * x);\n    return (e - 1.0) / (e + 1.0);\n}\n\nfn unused_tanh(";
        if kernel.wgsl.contains("fn ew_tanh(") {
            replace(kernel, "fn ew_tanh(", builtin);
        }
    });
    assert_eq!(failed, ["tanh"]);
}

#[test]
fn an_exponential_that_overflows_is_found() {
    let failed = failures(&["functions"], |kernel| {
        if kernel.wgsl.contains("fn ew_exp") {
            replace(kernel, "fn ew_exp(x: V) -> V {", "fn ew_exp(x: V) -> V {\n    if (true) { return exp(x); }");
        }
    });
    // What is computed by it fails too.
    assert_eq!(failed, ["exp", "expm1"]);
}

#[test]
fn elements_that_are_never_stored_are_found() {
    let failed = failures(&["kernels"], |kernel| {
        if kernel.label.starts_with("map") || kernel.label.starts_with("reduce") {
            replace(kernel, "if (i < COUNT)", "if (i + 1u < COUNT || COUNT == 1u)");
        }
    });
    assert!(["elementwise", "sums of rows"].iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
}

/// The error that this brings is far within the limits: only the bits give it away.
#[test]
fn a_compiler_that_is_never_twice_the_same_is_found() {
    let odd = AtomicBool::new(false);
    let failed = failures(&["kernels"], move |kernel| {
        if kernel.label.starts_with("reduce") && odd.fetch_xor(true, Ordering::Relaxed) {
            replace(kernel, "combine(result, term(i, r))", "combine(result, term(i, r) * 1.0000002)");
        }
    });
    assert!(failed.iter().any(|name| name == "determinism"), "{failed:?}");
    assert!(failed.iter().all(|name| name == "determinism" || name == "maximum"), "{failed:?}");
}

/// Sums in stages that add a little of what their buffer held before: right to rounding, and different in every run.
#[test]
fn a_stale_buffer_is_found() {
    let failed = failures(&["kernels"], |kernel| {
        if kernel.label.starts_with("reduce") && kernel.label.ends_with("of 256") {
            let stale = |line: &str| match line.trim().strip_suffix(';').and_then(|line| line.split_once("] = ")) {
                Some((place, value)) if place.starts_with('b') => {
                    format!("    {place}] = {value} + 1e-6 * {place}];\n")
                }
                _ => format!("{line}\n"),
            };
            kernel.wgsl = kernel.wgsl.lines().map(stale).collect();
        }
    });
    assert!(failed.iter().any(|name| name == "determinism"), "{failed:?}");
}

#[test]
fn a_nan_that_vanishes_is_found() {
    let failed = failures(&["NaN and infinity"], |kernel| {
        if kernel.label.starts_with("reduce") {
            let finite = "select(V(0.0), term(i, r), abs(term(i, r)) < V(3e38))";
            replace(kernel, "combine(result, term(i, r))", &format!("combine(result, {finite})"));
        }
    });
    assert!(failed.iter().any(|name| name == "sums, products, roots"), "{failed:?}");
    assert!(failed.iter().any(|name| name == "a diverging run"), "{failed:?}");
}

/// Only the last layer of one network is wrong; no kernel that is checked by itself has its shape.
#[test]
fn a_matmul_that_is_wrong_for_one_shape_is_found_by_the_derivatives() {
    let failed = failures(&["kernels", "derivatives of an MLP"], |kernel| {
        if kernel.variant.is_some() && kernel.label.contains(" 64x10x16") {
            drop_terms(kernel);
        }
    });
    assert_eq!(failed.iter().filter(|name| !name.starts_with("MLP")).count(), 0, "{failed:?}");
    assert!(["MLP: gradient", "MLP: H·v"].iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
}

/// Everything that the table must hold, in order; rows of the driver's own come between the first two.
const ROWS: [&str; 57] = [
    "adapter",
    "driver",
    "backend",
    "driver version",
    "known of this driver",
    "kernel tier",
    "storage buffers",
    "invocations per workgroup",
    "workgroup storage size",
    "workgroups per dimension",
    "largest buffer",
    "exp",
    "expm1",
    "tanh",
    "logistic",
    "softplus",
    "erf",
    "log",
    "sqrt",
    "1/sqrt",
    "cross-entropy, logits ±1e4",
    "softmax, logits ±1e4",
    "sums, products, roots",
    "comparisons",
    "strange parameters",
    "a diverging run",
    "matmul",
    "matmul, left operand turned",
    "matmul, 1000 terms",
    "matmul, batched",
    "convolution",
    "convolution, to the input",
    "convolution, to the kernel",
    "sums of rows",
    "sums of columns",
    "sum of 100,000",
    "maximum",
    "elementwise",
    "determinism",
    "MLP: gradient",
    "MLP: H·v",
    "MLP: u·Hv = v·Hu",
    "MLP: differences",
    "CNN: gradient",
    "CNN: H·v",
    "CNN: u·Hv = v·Hu",
    "CNN: differences",
    "Transformer: gradient",
    "Transformer: H·v",
    "Transformer: u·Hv = v·Hu",
    "Transformer: differences",
    "matmul 512×512×512",
    "matmul 1000×64×784",
    "matmul 784×64×1000, turned",
    "convolution 16→32 of 32×32",
    "sum of 2²¹",
    "elementwise, 2²¹ of a·x + y",
];

/// The rows that the table of the processor lacks.
const LIMITS: [&str; 6] = [
    "kernel tier",
    "storage buffers",
    "invocations per workgroup",
    "workgroup storage size",
    "workgroups per dimension",
    "largest buffer",
];

#[test]
fn the_adapter_here_is_trusted_and_the_table_complete() {
    let folder = tempdir().unwrap();
    let mut command = edgewalk(folder.path(), &["doctor"]);
    command.args(["--adapter", &super::device::adapter().unwrap()]);
    let text = succeeds(command);
    println!("{text}");
    let mut lines = text.lines();
    let title = lines.next().unwrap();
    assert!(title.starts_with(concat!("edgewalk ", env!("CARGO_PKG_VERSION"), " on ")), "{title}");
    for row in ROWS.into_iter().filter(|row| !super::device::is_native() || !LIMITS.contains(row)) {
        let cells = |line: &str| {
            let verdict = ["note  ", "pass  ", "warn  "].iter().any(|verdict| line.starts_with(verdict));
            verdict && line.chars().skip(6).collect::<String>().starts_with(&format!("{row:28}  "))
        };
        assert!(lines.any(cells), "no row {row:?}");
    }
    assert!(text.lines().last().unwrap().starts_with("this adapter can be trusted"), "{text}");
}

#[test]
fn an_adapter_that_is_not_there_is_refused() {
    let folder = tempdir().unwrap();
    let parts = ["no adapter matches `abacus`", "choose one of: 0 = "];
    refuses(edgewalk(folder.path(), &["doctor", "--adapter", "abacus"]), 1, &parts);
}

#[test]
fn the_last_line_adds_the_rows_up() {
    let row = |check: &str, verdict| Row {
        check: check.to_owned(),
        found: "1.0e-7".to_owned(),
        limit: String::new(),
        verdict,
        advice: Some("do something".to_owned()),
        details: vec!["a figure".to_owned()],
    };
    let report = |rows| Report { rows, ..Report::new(&adapter("Abacus", "", "", "Vulkan")) };
    assert_eq!(report(vec![row("a", Verdict::Pass)]).verdict(), "this adapter can be trusted");
    let warned = report(vec![row("a", Verdict::Warn), row("b", Verdict::Note)]);
    assert_eq!(warned.verdict(), "this adapter can be trusted, with 1 warning: a");
    let failed = report(vec![row("a", Verdict::Warn), row("b", Verdict::Fail), row("c", Verdict::Fail)]);
    assert_eq!(failed.verdict(), "2 checks failed: b, c");
    assert_eq!(Error::Untrustworthy { failed: 2 }.exit_code(), 1);
    let text = failed.to_string();
    assert!(text.contains("Abacus through Vulkan\n\nwarn  a "), "{text}");
    assert!(text.contains("FAIL  c ") && text.contains("\n      → do something\n      a figure\n"), "{text}");
}
