// Map: every invocation computes one group of elements (`body`), each from any number of loads.
//
// Grid: GRID_X × rows of workgroups of WG invocations; group i = (y · GRID_X + x) · WG + local.
// Hooks: WG, GRID_X, COUNT (groups), fn body(i: u32).

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = (group.y * GRID_X + group.x) * WG + local;
    if (i < COUNT) {
        body(i);
    }
}
