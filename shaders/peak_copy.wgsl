// The fastest way through memory: a copy of vec4s, neighbours by neighbours.
//
// Grid: x = 1024, y = vec4s / 65536 workgroups of 64.

@group(0) @binding(0) var<storage, read> from_here: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> to_there: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = (group.y * 1024u + group.x) * 64u + local;
    to_there[i] = from_here[i];
}
