// Reduction over the last axis, for real GPUs: the sums of reduce.wgsl, term by term in the same order, but read along rows.
//
// An invocation that walks its own row reads far from its neighbours. Here the invocations of a workgroup compute STEP terms
// of its WG rows together, neighbours side by side, and pass them through workgroup memory to the row's own invocation.
//
// Grid: GRID_X × rows of workgroups of WG invocations; row i = (y · GRID_X + x) · WG + local.
// Hooks: as for reduce.wgsl, with V = f32.

const STEP = min(TERMS, 16u);
// A row is one longer than it has to be, so that invocations that walk their rows read from different banks.
var<workgroup> part: array<f32, WG * (STEP + 1u)>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let first = (group.y * GRID_X + group.x) * WG;
    var result = V(INIT);
    for (var r = 0u; r < TERMS; r += STEP) {
        // Both loops count to a constant, so that compilers unroll them and have many loads under way.
        for (var j = 0u; j < STEP; j++) {
            let at = local + j * WG;
            let value = term(min(first + at / STEP, COUNT - 1u), min(r + at % STEP, TERMS - 1u));
            part[at / STEP * (STEP + 1u) + at % STEP] = value;
        }
        workgroupBarrier();
        for (var j = 0u; j < STEP; j++) {
            if (r + j < TERMS) { result = combine(result, part[local * (STEP + 1u) + j]); }
        }
        workgroupBarrier();
    }
    if (first + local < COUNT) {
        finish(first + local, result);
    }
}
