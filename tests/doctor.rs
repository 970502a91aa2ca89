//! `edgewalk doctor`: it passes here, it finds kernels that are broken on purpose, and it reads what drivers say of
//! themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use edgewalk::doctor::driver::{Driver, Maker, Version};
use edgewalk::doctor::{Report, Row, SECTIONS, Section, Verdict, examine};
use edgewalk::gpu::{AdapterSummary, Gpu};
use edgewalk::kernel::Kernel;
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds};

/// The checks that fail in these sections on a device whose kernels are altered.
fn failures(sections: &[&str], alter: impl Fn(&mut Kernel) + Send + Sync + 'static) -> Vec<String> {
    let adapter = std::env::var("EDGEWALK_ADAPTER").ok();
    let gpu = Gpu::open_altered(adapter.as_deref(), alter).unwrap();
    let sections: Vec<Section> = SECTIONS.into_iter().filter(|s| sections.contains(&s.name)).collect();
    let report = examine(&gpu, &sections, &mut |_| {});
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
    let step = if kernel.label.starts_with("matmul_tile") { "SLAB" } else { "4u" };
    replace(kernel, &format!("k < K; k += {step}"), &format!("k + {step} < K; k += {step}"));
}

#[test]
fn matmuls_that_drop_their_last_terms_are_found() {
    let failed = failures(&["functions", "kernels"], |kernel| {
        if kernel.label.starts_with("matmul") {
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
        if kernel.label.starts_with("matmul_tile") {
            replace(kernel, "fma(x, ", &format!("fma({}, ", short("x")));
        } else if kernel.label.starts_with("matmul") {
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
        }
    });
    let sums = ["sums of rows", "sums of columns", "sum of 100,000", "maximum"];
    assert!(sums.iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
    assert!(failed.iter().any(|name| name == "softmax, logits ±1e4"), "{failed:?}");
}

#[test]
fn the_tanh_of_metal_is_found() {
    let failed = failures(&["functions"], |kernel| {
        let builtin =
            "fn ew_tanh(x: V) -> V {\n    let e = exp(2.0 * x);\n    return (e - 1.0) / (e + 1.0);\n}\n\nfn unused_";
        if kernel.wgsl.contains("fn ew_tanh") {
            replace(kernel, "fn ew_tanh", &format!("{builtin}tanh"));
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
    assert_eq!(failed, ["exp"]);
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
        if kernel.label.starts_with("matmul") && kernel.label.contains(" 64x10x16") {
            drop_terms(kernel);
        }
    });
    assert_eq!(failed.iter().filter(|name| !name.starts_with("MLP")).count(), 0, "{failed:?}");
    assert!(["MLP: gradient", "MLP: H·v"].iter().all(|name| failed.iter().any(|f| f == name)), "{failed:?}");
}

/// Everything that the table must hold, in order; rows of the driver's own come between the first two.
const ROWS: [&str; 51] = [
    "adapter",
    "driver",
    "driver version",
    "known of this driver",
    "kernel tier",
    "storage buffers",
    "invocations per workgroup",
    "workgroup storage size",
    "workgroups per dimension",
    "largest buffer",
    "exp",
    "tanh",
    "logistic",
    "softplus",
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
    "elementwise, 2²¹ of a·x + y",
];

#[test]
fn the_adapter_here_is_trusted_and_the_table_complete() {
    let folder = tempdir().unwrap();
    let mut command = edgewalk(folder.path(), &["doctor"]);
    if let Ok(adapter) = std::env::var("EDGEWALK_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    let text = succeeds(command);
    println!("{text}");
    let mut lines = text.lines();
    let title = lines.next().unwrap();
    assert!(title.starts_with(concat!("edgewalk ", env!("CARGO_PKG_VERSION"), " on ")), "{title}");
    for row in ROWS {
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

fn adapter(name: &str, driver: &str, driver_info: &str, backend: &str) -> AdapterSummary {
    let [name, driver, driver_info, backend] = [name, driver, driver_info, backend].map(str::to_owned);
    AdapterSummary {
        name,
        driver,
        driver_info,
        backend,
        kind: String::new(),
        tier: String::new(),
        limits: BTreeMap::new(),
    }
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
    let text = failed.to_string();
    assert!(text.contains("Abacus through Vulkan\n\nwarn  a "), "{text}");
    assert!(text.contains("FAIL  c ") && text.contains("\n      → do something\n      a figure\n"), "{text}");
}

#[test]
fn drivers_are_known_by_what_they_say() {
    let version = |text: &str| {
        let parts: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
        Version([parts[0], parts[1], parts[2]])
    };
    type Case<'a> = ([&'a str; 4], Maker, Option<&'a str>, Option<&'a str>, Option<&'a str>);
    // Name, driver, information, backend; maker; Mesa, LLVM, own version.
    let cases: [Case; 17] = [
        (
            ["llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe", "Mesa 22.3.6 (LLVM 15.0.6)", "Vulkan"],
            Maker::Llvmpipe,
            Some("22.3.6"),
            Some("15.0.6"),
            Some("22.3.6"),
        ),
        (
            ["llvmpipe (LLVM 22.1.6, 256 bits)", "llvmpipe", "Mesa 26.0.6-2.fc44 (LLVM 22.1.6)", "Vulkan"],
            Maker::Llvmpipe,
            Some("26.0.6"),
            Some("22.1.6"),
            Some("26.0.6"),
        ),
        (
            ["llvmpipe (LLVM 20.1.2, 256 bits)", "", "4.5 (Core Profile) Mesa 25.2.8-0ubuntu0.24.04.1", "Gl"],
            Maker::Llvmpipe,
            Some("25.2.8"),
            Some("20.1.2"),
            Some("4.5.0"),
        ),
        (
            ["AMD Radeon RX 6800 XT (RADV NAVI21)", "radv", "Mesa 25.2.0-devel (git-0a1b2c3d4e)", "Vulkan"],
            Maker::Amd,
            Some("25.2.0"),
            None,
            Some("25.2.0"),
        ),
        (
            ["AMD Radeon RX 7900 XTX", "AMD proprietary driver", "24.12.1 (AMD proprietary shader compiler)", "Vulkan"],
            Maker::Amd,
            None,
            None,
            Some("24.12.1"),
        ),
        (
            ["AMD Radeon RX 5700 XT", "AMD open-source driver", "2023.Q3.1 (LLPC)", "Vulkan"],
            Maker::Amd,
            None,
            None,
            Some("2023.0.0"),
        ),
        (["NVIDIA GeForce RTX 3060", "NVIDIA", "535.183.01", "Vulkan"], Maker::Nvidia, None, None, Some("535.183.1")),
        (["NVIDIA H100 80GB HBM3", "NVIDIA", "550.54.15", "Vulkan"], Maker::Nvidia, None, None, Some("550.54.15")),
        (["NVIDIA GeForce RTX 4070", "32.0.15.6603", "", "Dx12"], Maker::Nvidia, None, None, Some("32.0.15")),
        (
            [
                "Intel(R) UHD Graphics 620 (KBL GT2)",
                "Intel open-source Mesa driver",
                "Mesa 23.2.1-1ubuntu3.1",
                "Vulkan",
            ],
            Maker::Intel,
            Some("23.2.1"),
            None,
            Some("23.2.1"),
        ),
        (
            ["Intel(R) Arc(TM) A770 Graphics", "Intel Corporation", "101.8860", "Vulkan"],
            Maker::Intel,
            None,
            None,
            Some("101.8860.0"),
        ),
        (["Apple M2 Pro", "", "", "Metal"], Maker::Apple, None, None, None),
        (["Microsoft Basic Render Driver", "10.0.19041.3636", "", "Dx12"], Maker::Warp, None, None, Some("10.0.19041")),
        (
            ["SwiftShader Device (LLVM 10.0.0)", "SwiftShader driver", "", "Vulkan"],
            Maker::SwiftShader,
            None,
            Some("10.0.0"),
            None,
        ),
        (
            ["V3D 7.1.7.0", "V3DV Mesa", "Mesa 24.2.8-1~bpo12+rpt2", "Vulkan"],
            Maker::Broadcom,
            Some("24.2.8"),
            None,
            Some("24.2.8"),
        ),
        (
            ["Turnip Adreno (TM) 702", "turnip Mesa driver", "Mesa 26.2.0-devel", "Vulkan"],
            Maker::Qualcomm,
            Some("26.2.0"),
            None,
            Some("26.2.0"),
        ),
        (["Mystery Chip", "", "", "Vulkan"], Maker::Other, None, None, None),
    ];
    for ([name, driver, info, backend], maker, mesa, llvm, own) in cases {
        let read = Driver::of(&adapter(name, driver, info, backend));
        let [mesa, llvm, version] = [mesa, llvm, own].map(|text| text.map(version));
        let expected = Driver { maker, device: name.to_owned(), backend: backend.to_owned(), mesa, llvm, version };
        assert_eq!(read, expected);
    }
}

#[test]
fn drivers_with_a_record_are_known() {
    let known = |name, driver, info, backend| {
        let driver = Driver::of(&adapter(name, driver, info, backend));
        driver.known().map(|known| known.verdict).collect::<Vec<_>>()
    };
    let llvmpipe = |info| known("llvmpipe", "llvmpipe", info, "Vulkan");
    assert_eq!(llvmpipe("Mesa 22.3.6 (LLVM 15.0.6)"), [Verdict::Pass]);
    assert_eq!(llvmpipe("Mesa 25.0.5 (LLVM 20.1.8)"), [Verdict::Pass]);
    assert_eq!(llvmpipe("Mesa 25.2.0 (LLVM 22.1.0)"), [Verdict::Warn]);
    assert_eq!(llvmpipe("Mesa 26.0.6 (LLVM 22.1.6)"), [Verdict::Warn, Verdict::Warn]);
    assert_eq!(llvmpipe("Mesa 24.2.8 (LLVM 19.1.1)"), []);
    assert_eq!(llvmpipe("Mesa 21.2.6 (LLVM 12.0.0)"), [Verdict::Warn]);
    assert_eq!(known("Apple M2", "", "", "Metal"), [Verdict::Note]);
    assert_eq!(known("V3D 4.2.14.0", "V3DV Mesa", "Mesa 24.2.8-1~bpo12+rpt2", "Vulkan"), [Verdict::Warn]);
    assert_eq!(known("V3D 7.1.10.2", "V3DV Mesa", "Mesa 25.0.7", "Vulkan"), []);
    assert_eq!(known("Turnip Adreno (TM) 702", "turnip Mesa driver", "Mesa 26.2.0", "Vulkan"), [Verdict::Warn]);
    assert_eq!(known("Mali-G720", "Mali-G720", "v1.r49p0", "Vulkan"), [Verdict::Warn]);
    assert_eq!(known("NVIDIA H100", "NVIDIA", "550.54.15", "Vulkan"), []);
}
