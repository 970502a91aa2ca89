//! Which adapter is meant, of lists that no machine at hand has.

use edgewalk::device::{AdapterSummary, DeviceError, position, same};

/// An adapter of this name, at this place, through this interface; software if its name says so.
fn adapter([name, place, backend]: [&str; 3]) -> AdapterSummary {
    AdapterSummary {
        name: name.into(),
        place: place.into(),
        driver: "driver".into(),
        driver_info: "1.2".into(),
        backend: backend.into(),
        kind: if name.contains("llvmpipe") { "Cpu" } else { "DiscreteGpu" }.into(),
        tier: "portable".into(),
        limits: [].into(),
    }
}

const MIXED: [[&str; 3]; 5] = [
    ["NVIDIA GeForce RTX 4090", "0000:01:00.0", "Vulkan"],
    ["NVIDIA GeForce RTX 4090", "0000:02:00.0", "Vulkan"],
    ["AMD Radeon RX 7900", "0000:03:00.0", "Vulkan"],
    ["AMD Radeon RX 7900 XT", "0000:04:00.0", "Vulkan"],
    ["llvmpipe (LLVM 15.0.6, 256 bits)", "4", "Vulkan"],
];

#[test]
fn an_adapter_is_meant_by_number_address_kind_or_name() {
    let adapters = MIXED.map(adapter);
    for (wanted, index) in [
        ("0", 0),
        ("1", 1),
        ("4", 4),
        ("0000:02:00.0", 1),
        ("auto", 0),
        ("gpu", 0),
        ("CPU", 4),
        ("llvmpipe", 4),
        (" llvmpipe ", 4),
        ("lavapipe", 4),
        // Digits that are no number of an adapter are part of a name.
        ("7900 XT", 3),
        ("256", 4),
        ("xt", 3),
        // A whole name is not part of another.
        ("amd radeon rx 7900", 2),
    ] {
        assert_eq!(position(&adapters, wanted).unwrap(), index, "{wanted}");
    }
    let alone = [adapter(MIXED[0])];
    assert_eq!(position(&alone, "4090").unwrap(), 0);
    assert_eq!(position(&alone, "geforce").unwrap(), 0);
}

#[test]
fn what_several_adapters_match_is_refused_with_their_numbers() {
    let adapters = MIXED.map(adapter);
    let both = "0 = NVIDIA GeForce RTX 4090 at 0000:01:00.0, 1 = NVIDIA GeForce RTX 4090 at 0000:02:00.0";
    for wanted in ["NVIDIA", "4090", "nvidia geforce rtx 4090"] {
        let error = position(&adapters, wanted).unwrap_err();
        assert!(matches!(error, DeviceError::SeveralAdapters { .. }), "{error}");
        assert!(error.to_string().contains(&format!("`{wanted}`")) && error.to_string().ends_with(both), "{error}");
    }
    let error = position(&adapters, "radeon").unwrap_err().to_string();
    assert!(error.ends_with("2 = AMD Radeon RX 7900, 3 = AMD Radeon RX 7900 XT"), "{error}");
    for wanted in ["5", "99", "-1", "", " ", "abacus", "99999999999999999999999"] {
        let error = position(&adapters, wanted).unwrap_err();
        assert!(matches!(error, DeviceError::UnknownAdapter { .. }), "{wanted}: {error}");
        assert!(error.to_string().contains("4 = llvmpipe") && error.to_string().contains(both), "{error}");
    }
    assert!(position(&[], "0").is_err() && position(&[], "gpu").is_err());
}

/// Windows lists a device under Vulkan and again under Direct3D.
#[test]
fn a_device_with_two_interfaces_is_one() {
    let twice = [
        ["Arc A770", "0000:01:00.0", "Vulkan"],
        ["Arc A770", "0000:01:00.0", "Dx12"],
        ["Microsoft Basic", "2", "Dx12"],
    ];
    let adapters = twice.map(adapter);
    assert_eq!(position(&adapters, "arc").unwrap(), 0);
    assert_eq!(position(&adapters, "0000:01:00.0").unwrap(), 0);
    assert_eq!(position(&adapters, "1").unwrap(), 1);
    assert_eq!(same(&adapters, "Arc A770", "Dx12", "0000:01:00.0"), Some(1));
}

#[test]
fn a_run_goes_on_with_the_adapter_that_it_had() {
    let adapters = MIXED.map(adapter);
    let name = MIXED[0][0];
    assert_eq!(same(&adapters, name, "Vulkan", "0000:01:00.0"), Some(0));
    assert_eq!(same(&adapters, name, "Vulkan", "0000:02:00.0"), Some(1));
    // On another machine, with one of the name; from a manifest that does not say where it was.
    assert_eq!(same(&adapters, name, "Vulkan", "0000:05:00.0"), Some(0));
    assert_eq!(same(&adapters, name, "Vulkan", ""), Some(0));
    assert_eq!(same(&adapters, "NVIDIA GeForce RTX 409", "Vulkan", "0000:01:00.0"), None);
}
