// Rows: LANES neighbours in a workgroup compute a row together, and a workgroup WG / LANES rows.
//
// Lane j has the elements, or groups of four, j, j + LANES, j + 2 LANES … of its row, so that neighbours load
// neighbours. Every lane computes the values that belong to the whole row. A reduction over a row first takes each
// lane's elements, in their order, and then the lanes, by halves; so the order of additions depends on the row's length
// alone.
//
// Grid: GRID_X × rows of workgroups of WG invocations; row i = (y · GRID_X + x) · WG / LANES + local / LANES.
// Hooks: V, WG, LANES (a power of two), GRID_X, COUNT (rows), and
//   fn body(i: u32, lane: u32, local: u32, inside: bool), which computes a row, and stores it if `inside`.

var<workgroup> parts: array<f32, WG>;

fn sum_of_lanes(x: f32, local: u32) -> f32 {
    parts[local] = x;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local % LANES < half) { parts[local] += parts[local + half]; }
    }
    workgroupBarrier();
    let sum = parts[local - local % LANES];
    workgroupBarrier();
    return sum;
}

fn max_of_lanes(x: f32, local: u32) -> f32 {
    parts[local] = x;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local % LANES < half) { parts[local] = max(parts[local], parts[local + half]); }
    }
    workgroupBarrier();
    let most = parts[local - local % LANES];
    workgroupBarrier();
    return most;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = (group.y * GRID_X + group.x) * (WG / LANES) + local / LANES;
    body(min(i, COUNT - 1u), local % LANES, local, i < COUNT);
}
