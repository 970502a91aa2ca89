//! The maker and version of a driver, and its known faults. Strings that drivers report are parsed into makers and
//! version numbers; a table lists those that were seen to miscompile compute shaders, each with the thread that reports
//! it. The table only warns: the checks that follow find out whether *this* machine is affected.

use std::fmt;

use super::{Row, Verdict};
use crate::device::{AdapterSummary, Device, DeviceError};

/// A dotted version number; parts that are not given are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// The first number in a text, with up to two more that follow after dots: `Mesa 26.0.6-2.fc44` is 26.0.6.
    fn first_in(text: &str) -> Option<Self> {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut rest = &text[text.find(|c: char| c.is_ascii_digit())?..];
        let mut parts = [0; 3];
        for part in &mut parts {
            let (number, after) = rest.split_at(digits(rest));
            let Ok(number) = number.parse() else { break };
            *part = number;
            let Some(next) = after.strip_prefix('.') else { break };
            rest = next;
        }
        Some(Self(parts))
    }

    /// That of a component: the number that follows its name and a blank.
    fn of(component: &str, text: &str) -> Option<Self> {
        let (_, after) = text.split_once(&format!("{component} "))?;
        after.starts_with(|c: char| c.is_ascii_digit()).then(|| Self::first_in(after))?
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The maker of a device, or a software driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Mesa's software Vulkan and OpenGL.
    Llvmpipe,
    /// Google's software Vulkan.
    SwiftShader,
    /// Microsoft's software DirectX.
    Warp,
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
    /// Apple.
    Apple,
    /// Qualcomm: Adreno.
    Qualcomm,
    /// ARM: Mali and Immortalis.
    Arm,
    /// Broadcom: the Raspberry Pi's.
    Broadcom,
    /// Others.
    Other,
}

/// Words that identify a maker, in lower case. Software first, because its names may mention the imitated device.
const WORDS: [(Maker, &[&str]); 10] = [
    (Maker::Llvmpipe, &["llvmpipe", "lavapipe"]),
    (Maker::SwiftShader, &["swiftshader"]),
    (Maker::Warp, &["microsoft basic render", "warp"]),
    (Maker::Nvidia, &["nvidia", "geforce", "nvk"]),
    (Maker::Amd, &["amd ", "radeon", "radv"]),
    (Maker::Intel, &["intel"]),
    (Maker::Apple, &["apple"]),
    (Maker::Qualcomm, &["adreno", "turnip", "qualcomm"]),
    (Maker::Arm, &["mali", "immortalis", "panvk"]),
    (Maker::Broadcom, &["v3d", "videocore"]),
];

/// A driver, from its own report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Whose device it is.
    pub maker: Maker,
    /// The device's name, as reported.
    pub device: String,
    /// "Vulkan", "Metal", "Dx12" or "Gl".
    pub backend: String,
    /// Mesa's version, for a driver of Mesa.
    pub mesa: Option<Version>,
    /// Version of the LLVM that compiles shaders, if reported.
    pub llvm: Option<Version>,
    /// The version that the driver reports: Mesa's, or the maker's own.
    pub version: Option<Version>,
}

impl Driver {
    /// Reads an adapter's name, driver and driver information.
    pub fn of(adapter: &AdapterSummary) -> Self {
        let AdapterSummary { name, driver, driver_info, backend, .. } = adapter;
        let text = format!("{name} {driver} {driver_info}");
        let lower = text.to_lowercase();
        let maker = WORDS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
        Self {
            maker: maker.map_or(Maker::Other, |(maker, _)| *maker),
            device: name.clone(),
            backend: backend.clone(),
            mesa: Version::of("Mesa", driver_info).or_else(|| Version::of("Mesa", driver)),
            llvm: Version::of("LLVM", &text),
            // DirectX has its version in the driver's name, Vulkan in the information.
            version: Version::first_in(driver_info).or_else(|| Version::first_in(driver)),
        }
    }

    /// The known facts about this driver, good and bad.
    pub fn known(&self) -> impl Iterator<Item = &'static KnownFact> {
        KNOWN.iter().filter(|known| (known.applies)(self))
    }
}

/// A known fact about some drivers.
pub struct KnownFact {
    applies: fn(&Driver) -> bool,
    /// [`Verdict::Warn`] for a fault, [`Verdict::Pass`] for a good version, [`Verdict::Note`] for a fault that Edgewalk
    /// avoids.
    pub verdict: Verdict,
    /// The fact.
    pub what: &'static str,
    /// The advice; empty if none.
    pub advice: &'static str,
    /// The source.
    pub source: &'static str,
}

fn llvm(driver: &Driver, majors: std::ops::RangeInclusive<u32>) -> bool {
    driver.llvm.is_some_and(|Version([major, ..])| majors.contains(&major))
}

fn mesa(driver: &Driver, majors: std::ops::RangeInclusive<u32>) -> bool {
    driver.mesa.is_some_and(|Version([major, ..])| majors.contains(&major))
}

const OTHER_MESA: &str = "use a Mesa built with LLVM 15 or 20, or another --adapter";

/// The facts, each with the thread that reports it.
const KNOWN: [KnownFact; 9] = [
    // Garbage read back from storage buffers, and segmentation faults. Mesa 26.0.6 with LLVM 22.1.6 aborts in compute:
    // https://github.com/cataclysmbn/Cataclysm-BN/issues/9470
    KnownFact {
        applies: |d| d.maker == Maker::Llvmpipe && llvm(d, 22..=22),
        verdict: Verdict::Warn,
        what: "llvmpipe with LLVM 22 was seen to crash in and to miscompile compute",
        advice: OTHER_MESA,
        source: "https://github.com/rcore-os/tgoskits/pull/1576",
    },
    // "Cannot select" in LLVM's code generation, met when wgpu's tests moved to Mesa 26.1.3 on Windows.
    KnownFact {
        applies: |d| d.maker == Maker::Llvmpipe && mesa(d, 26..=26),
        verdict: Verdict::Warn,
        what: "llvmpipe of Mesa 26 was seen to crash while it compiles compute",
        advice: OTHER_MESA,
        source: "https://github.com/gfx-rs/wgpu/pull/9903",
    },
    KnownFact {
        applies: |d| d.maker == Maker::Llvmpipe && mesa(d, 21..=21),
        verdict: Verdict::Warn,
        what: "llvmpipe of Mesa 21 was seen to hang in compute",
        advice: OTHER_MESA,
        source: "https://github.com/gfx-rs/wgpu/issues/1974",
    },
    KnownFact {
        applies: |d| d.maker == Maker::Llvmpipe && mesa(d, 25..=25) && llvm(d, 20..=20),
        verdict: Verdict::Pass,
        what: "Mesa 25 with LLVM 20 was reported to be right where LLVM 22 was not",
        advice: "",
        source: "https://github.com/rcore-os/tgoskits/pull/1576",
    },
    KnownFact {
        applies: |d| {
            let tested = d.backend == "Vulkan" && d.mesa.is_some_and(|v| v.0[..2] == [22, 3]);
            d.maker == Maker::Llvmpipe && tested && llvm(d, 15..=15)
        },
        verdict: Verdict::Pass,
        what: "Edgewalk is developed and tested on this driver",
        advice: "",
        source: "",
    },
    // Not a warning: no kernel calls the builtin. https://github.com/tracel-ai/burn/pull/520 has the range.
    KnownFact {
        applies: |d| d.backend == "Metal",
        verdict: Verdict::Note,
        what: "Metal's own tanh is NaN above 44; Edgewalk computes its own",
        advice: "",
        source: "https://github.com/apache/tvm/pull/16438",
    },
    KnownFact {
        applies: |d| d.maker == Maker::Qualcomm && d.device.contains("702"),
        verdict: Verdict::Warn,
        what: "Turnip on Adreno 702 was seen to give wrong matmuls",
        advice: "trust it only as far as the rows below go",
        source: "https://github.com/ggml-org/llama.cpp/issues/25906",
    },
    KnownFact {
        applies: |d| d.maker == Maker::Arm && d.device.contains("G720"),
        verdict: Verdict::Warn,
        what: "Mali-G720 was seen to give wrong matmuls",
        advice: "trust it only as far as the rows below go",
        source: "https://github.com/ggml-org/llama.cpp/issues/23241",
    },
    // Mesa 24.2.8 on Raspberry Pi 4 and 5, by Vulkan as by OpenGL.
    KnownFact {
        applies: |d| d.maker == Maker::Broadcom && d.mesa.is_some_and(|v| v <= Version([24, 2, 8])),
        verdict: Verdict::Warn,
        what: "V3D of Mesa up to 24.2.8 was seen to give garbage in compute",
        advice: "update Mesa, or use llvmpipe (--adapter cpu)",
        source: "https://github.com/gfx-rs/wgpu/issues/1583",
    },
];

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let adapter = device.adapter();
    let driver = Driver::of(adapter);
    let named = format!("{} {}", adapter.driver, adapter.driver_info);
    let named = named.trim();
    let mut rows = vec![
        Row::note("adapter", format!("{}, {}", adapter.name, adapter.kind)),
        Row::note("driver", if named.is_empty() { "not reported".to_owned() } else { named.to_owned() }),
        Row::note("backend", adapter.backend.clone()),
    ];
    let versions = [("Mesa", driver.mesa), ("LLVM", driver.llvm)];
    let versions: Vec<String> =
        versions.into_iter().filter_map(|(name, version)| Some(format!("{name} {}", version?))).collect();
    let own = driver.version.map_or_else(|| "not reported".to_owned(), |version| version.to_string());
    rows.push(Row::note("driver version", if versions.is_empty() { own } else { versions.join(", ") }));
    rows.extend(driver.known().map(|known| {
        let details = if known.source.is_empty() { vec![] } else { vec![known.source.to_owned()] };
        let advice = (!known.advice.is_empty()).then(|| known.advice.to_owned());
        Row { verdict: known.verdict, advice, details, ..Row::note("known of this driver", known.what.to_owned()) }
    }));
    if driver.known().next().is_none() {
        rows.push(Row::note("known of this driver", "neither good nor bad".to_owned()));
    }
    Ok(rows)
}
