//! What an adapter offers beyond the lowest limits only makes it faster: the same run within `EDGEWALK_LIMITS`.

use edgewalk::folder::tables::read_curvature;
use tempfile::tempdir;

use super::cli::{edgewalk, refuses, succeeds};
use super::device::wgpu;
use super::program::edgewalk_on_wgpu;

#[test]
fn a_run_within_the_lowest_limits_gives_the_same_numbers() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let curvature = |limits: &str, strict: &str| {
        let mut command = edgewalk_on_wgpu(here, &["train", "quickstart", "--out", limits]);
        for set in ["width=16", "train=100", "test=0", "steps=4", "measure.every=2", "top=2"] {
            command.args(["--set", set]);
        }
        command.env("EDGEWALK_LIMITS", limits).env("WGPU_STRICT_WEBGPU_COMPLIANCE", strict);
        succeeds(command);
        read_curvature(&here.join(limits).join("curvature.csv")).unwrap()
    };
    let expected = curvature("adapter", "0");
    assert_eq!(expected.len(), 3);
    // OpenGL ES asks for less than WebGPU, which is why that cannot be strict; nor does wgpu take any OpenGL for WebGPU.
    let webgpu = if wgpu().adapter().backend == "Gl" { "0" } else { "1" };
    for (limits, strict) in [("webgpu", webgpu), ("gles", "0")] {
        for (found, expected) in curvature(limits, strict).iter().zip(&expected) {
            let (found, expected) = (found.lambdas[0], expected.lambdas[0]);
            assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{limits}: {found} is not {expected}");
        }
    }
}

#[test]
fn the_lowest_limits_are_what_is_reported() {
    let folder = tempdir().unwrap();
    let info = |limits: &str| {
        let mut command = edgewalk(folder.path(), &["info"]);
        command.env("EDGEWALK_LIMITS", limits);
        command
    };
    let text = succeeds(info("gles"));
    assert!(text.contains("portable tier") && !text.contains("subgroup tier"), "{text}");
    assert!(text.contains("max_storage_buffers_per_shader_stage = 4\n"), "{text}");
    assert!(text.contains("max_compute_invocations_per_workgroup = 128\n"), "{text}");
    refuses(info("none"), 1, &["EDGEWALK_LIMITS", "`none` is unknown; set it to one of adapter, webgpu, gles"]);
}
