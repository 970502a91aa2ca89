// Reduction: every invocation reduces one group of results over TERMS terms, in order.
//
//   finish(i, term(i, 0) ∘ term(i, 1) ∘ … ∘ term(i, TERMS − 1)),  ∘ = combine
//
// Long sums arrive here as stages of a tree with at most 256 terms each (src/passes/split.rs), so the order of additions
// depends on shapes alone and no invocation waits for another.
//
// Grid: GRID_X × rows of workgroups of WG invocations; group i = (y · GRID_X + x) · WG + local.
// Hooks: V, WG, GRID_X, COUNT (groups), TERMS, INIT, fn term(i: u32, r: u32) -> V, fn combine(a: V, b: V) -> V,
//        fn finish(i: u32, result: V).

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let i = (group.y * GRID_X + group.x) * WG + local;
    if (i < COUNT) {
        var result = V(INIT);
        for (var r = 0u; r < TERMS; r++) {
            result = combine(result, term(i, r));
        }
        finish(i, result);
    }
}
