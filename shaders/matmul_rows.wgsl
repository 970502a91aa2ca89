// C[b,m,n] = sum_k A[b,m,k] * B[b,k,n] in registers alone: no workgroup memory, no subgroups, no barriers.
//
// The portable kernel for software rasterisers, where a load costs as much as some fifty vector multiply-adds whatever
// its pattern. One invocation owns ROWS x 4*COLS4 outputs; for every 4 k it makes ROWS + 4*COLS4 loads for
// 64*ROWS*COLS4 multiplications, so large blocks win even though their accumulators spill.
//
// Grid: x = ceil(N / (4*COLS4)), y = ceil(M / (WG*ROWS)), z = BATCH. Workgroup: WG invocations, one below another.
// A vec4 that straddles the end of its row may hold anything past it (load_a4, load_b4), but must not read outside.
// Hooks: M N K A_ALONG_K, load_a4 load_b4 store4, and from the chooser
//   WG invocations;  COLS4 vec4 columns and ROWS rows an invocation (ROWS a multiple of 4 when A is along m).

const LAST_N4 = (N - 1u) & ~3u;
const LAST_M4 = (M - 1u) & ~3u;

// Row i of an invocation. Along k, invocations take neighbouring rows; along m, one load brings four neighbouring rows.
fn row(lane: u32, i: u32) -> u32 {
    if (A_ALONG_K) { return WG * i + lane; }
    return 4u * WG * (i / 4u) + 4u * lane + i % 4u;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let b = tile.z;
    let n0 = tile.x * 4u * COLS4;
    let m0 = tile.y * WG * ROWS;

    var acc: array<array<vec4<f32>, COLS4>, ROWS>;
    for (var k = 0u; k < K; k += 4u) {
        // Rows of B past the last are read again; the zeros put into a below cancel them.
        let k1 = min(k + 1u, K - 1u);
        let k2 = min(k + 2u, K - 1u);
        let k3 = min(k + 3u, K - 1u);
        // a[i] = A[m0 + row(i), k .. k+4].
        var a: array<vec4<f32>, ROWS>;
        for (var i = 0u; i < ROWS; i += select(4u, 1u, A_ALONG_K)) {
            if (A_ALONG_K) {
                a[i] = load_a4(b, min(m0 + row(lane, i), M - 1u), k);
            } else {
                let m = min(m0 + row(lane, i), LAST_M4);
                let rows = transpose(mat4x4(load_a4(b, m, k), load_a4(b, m, k1), load_a4(b, m, k2), load_a4(b, m, k3)));
                a[i] = rows[0]; a[i + 1u] = rows[1]; a[i + 2u] = rows[2]; a[i + 3u] = rows[3];
            }
        }
        if (K % 4u != 0u) {
            for (var i = 0u; i < ROWS; i++) { a[i] = select(vec4(0.0), a[i], vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(K)); }
        }
        for (var j = 0u; j < COLS4; j++) {
            let n = min(n0 + 4u * j, LAST_N4);
            let block = mat4x4(load_b4(b, k, n), load_b4(b, k1, n), load_b4(b, k2, n), load_b4(b, k3, n));
            for (var i = 0u; i < ROWS; i++) { acc[i][j] += block * a[i]; }
        }
    }

    for (var i = 0u; i < ROWS; i++) {
        let m = m0 + row(lane, i);
        if (m < M) {
            for (var j = 0u; j < COLS4; j++) {
                if (n0 + 4u * j < N) { store4(b, m, n0 + 4u * j, acc[i][j]); }
            }
        }
    }
}
