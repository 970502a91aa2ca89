//! What the doctor reads in the names and versions that drivers give themselves.

use std::collections::BTreeMap;

use edgewalk::device::AdapterSummary;
use edgewalk::doctor::Verdict;
use edgewalk::doctor::driver::{Driver, Maker, Version};

/// An adapter that says this of itself.
pub fn adapter(name: &str, driver: &str, driver_info: &str, backend: &str) -> AdapterSummary {
    let [name, driver, driver_info, backend] = [name, driver, driver_info, backend].map(str::to_owned);
    AdapterSummary {
        name,
        place: String::new(),
        driver,
        driver_info,
        backend,
        kind: String::new(),
        tier: String::new(),
        limits: BTreeMap::new(),
    }
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
