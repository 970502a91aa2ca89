// C[b,m,n] = sum_k A[b,m,k] * B[b,k,n] for software rasterisers (lavapipe): no barriers, few loads per multiplication.
//
// There a load costs as much as some fifty vector multiply-adds however its lanes are spread, so each load must bring
// something different to every lane. A lane owns ROWS rows and holds 4 consecutive k of each; the 4 x 4*COLS4 block of
// B that all lanes need is fetched once, one vec4 a lane, and handed round by subgroupBroadcast. For every 4 k that is
// ROWS + COLS4/2 loads for 16*ROWS*COLS4 multiplications; spilled accumulators are cheap beside the loads saved.
//
// Grid: x = ceil(N / (4*COLS4)), y = ceil(M / (SUBGROUP*ROWS)), z = BATCH. Workgroup: exactly one subgroup.
// A vec4 that straddles the end of its row may hold anything past it (load_a4, load_b4), but must not read outside.
// Hooks: M N K A_ALONG_K, load_a4 load_b4 store4, and from the chooser
//   SUBGROUP >= 8 lanes;  COLS4 vec4 columns a tile, even;  ROWS a multiple of 4;
//   multiply(&acc, &a, &y): acc[i][j] += (4 x 4 block of B in column j, broadcast from y) * a[i].

const LAST_N4 = (N - 1u) & ~3u;
const LAST_M4 = (M - 1u) & ~3u;

// Row i of a lane. Along k, lanes take neighbouring rows; along m, one load brings a lane four neighbouring rows.
fn row(lane: u32, i: u32) -> u32 {
    if (A_ALONG_K) { return SUBGROUP * i + lane; }
    return 4u * SUBGROUP * (i / 4u) + 4u * lane + i % 4u;
}

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = tile.z;
    let n0 = tile.x * 4u * COLS4;
    let m0 = tile.y * SUBGROUP * ROWS;

    var acc: array<array<vec4<f32>, COLS4>, ROWS>;
    for (var k = 0u; k < K; k += 4u) {
        // B[k + p / COLS4, n0 + 4 * (p % COLS4)] for p = 0 .. 4*COLS4, eight of them in each load.
        var y: array<vec4<f32>, COLS4 / 2u>;
        for (var g = 0u; g < COLS4 / 2u; g++) {
            let p = 8u * g + lane % 8u;
            y[g] = load_b4(b, min(k + p / COLS4, K - 1u), min(n0 + 4u * (p % COLS4), LAST_N4));
        }
        // a[i] = A[m0 + row(i), k .. k+4].
        var a: array<vec4<f32>, ROWS>;
        for (var i = 0u; i < ROWS; i += select(4u, 1u, A_ALONG_K)) {
            if (A_ALONG_K) {
                a[i] = load_a4(b, min(m0 + row(lane, i), M - 1u), k);
            } else {
                let m = min(m0 + row(lane, i), LAST_M4);
                let rows = transpose(mat4x4(load_a4(b, m, k), load_a4(b, m, min(k + 1u, K - 1u)),
                                            load_a4(b, m, min(k + 2u, K - 1u)), load_a4(b, m, min(k + 3u, K - 1u))));
                a[i] = rows[0]; a[i + 1u] = rows[1]; a[i + 2u] = rows[2]; a[i + 3u] = rows[3];
            }
        }
        if (K % 4u != 0u) {
            for (var i = 0u; i < ROWS; i++) { a[i] = select(vec4(0.0), a[i], vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(K)); }
        }
        multiply(&acc, &a, &y);
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
