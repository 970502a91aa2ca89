// C[b,m,n] = sum_k A[b,m,k] * B[b,k,n] for real GPUs: a 64 x 64 tile of C a workgroup, 16 k at a time in workgroup memory.
//
// 8 x 8 invocations own 8 x 8 outputs each, as 2 x 2 quadrants 32 apart so that neighbours read neighbouring vec4s. Per k
// an invocation reads 16 floats of workgroup memory for 64 multiply-adds; the next slab is fetched into registers while
// the present one is used, so memory latency hides behind arithmetic and two barriers a slab suffice.
//
// Grid: x = ceil(N / 64), y = ceil(M / 64), z = BATCH. Workgroup: 64 invocations, 8 KiB of workgroup memory.
// A vec4 that straddles the end of its row may hold anything past it (load_a4, load_b4), but must not read outside.
// Hooks: M N K A_ALONG_K, load_a4 load_b4 store4.

const TILE = 64u;
const SLAB = 16u;
const LAST_N4 = (N - 1u) & ~3u;
const LAST_M4 = (M - 1u) & ~3u;
const LAST_K4 = (K - 1u) & ~3u;

// Both slabs are k-major: [k][row / 4] and [k][column / 4].
var<workgroup> a_slab: array<array<vec4<f32>, 16>, SLAB>;
var<workgroup> b_slab: array<array<vec4<f32>, 16>, SLAB>;

// Four vec4s of A that this invocation brings: along k, four rows of one vec4 of k; along m, four k of one vec4 of rows.
fn fetch_a(b: u32, m0: u32, k0: u32, id: u32) -> mat4x4<f32> {
    var v: array<vec4<f32>, 4>;
    for (var i = 0u; i < 4u; i++) {
        if (A_ALONG_K) {
            let k = k0 + 4u * (id % 4u);
            let v4 = load_a4(b, min(m0 + 4u * (id / 4u) + i, M - 1u), min(k, LAST_K4));
            v[i] = select(vec4(0.0), v4, vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(K));
        } else {
            let k = k0 + id / 16u + 4u * i;
            v[i] = select(vec4(0.0), load_a4(b, min(m0 + 4u * (id % 16u), LAST_M4), min(k, K - 1u)), k < K);
        }
    }
    return mat4x4(v[0], v[1], v[2], v[3]);
}

// Rows of B past the last are read again; the zeros in A cancel them.
fn fetch_b(b: u32, n0: u32, k0: u32, id: u32) -> mat4x4<f32> {
    let n = min(n0 + 4u * (id % 16u), LAST_N4);
    let k = k0 + id / 16u;
    return mat4x4(load_b4(b, min(k, K - 1u), n), load_b4(b, min(k + 4u, K - 1u), n),
                  load_b4(b, min(k + 8u, K - 1u), n), load_b4(b, min(k + 12u, K - 1u), n));
}

fn put_slabs(a: mat4x4<f32>, b: mat4x4<f32>, id: u32) {
    let rows = transpose(a);
    for (var i = 0u; i < 4u; i++) {
        if (A_ALONG_K) {
            a_slab[4u * (id % 4u) + i][id / 4u] = rows[i];
        } else {
            a_slab[id / 16u + 4u * i][id % 16u] = a[i];
        }
        b_slab[id / 16u + 4u * i][id % 16u] = b[i];
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let b = tile.z;
    let m0 = tile.y * TILE;
    let n0 = tile.x * TILE;
    let row4 = id / 8u;
    let col4 = id % 8u;

    var acc: array<array<vec4<f32>, 2>, 8>;
    var next_a = fetch_a(b, m0, 0u, id);
    var next_b = fetch_b(b, n0, 0u, id);
    for (var k = 0u; k < K; k += SLAB) {
        put_slabs(next_a, next_b, id);
        workgroupBarrier();
        if (k + SLAB < K) {
            next_a = fetch_a(b, m0, k + SLAB, id);
            next_b = fetch_b(b, n0, k + SLAB, id);
        }
        for (var q = 0u; q < SLAB; q++) {
            let rows = array(a_slab[q][row4], a_slab[q][row4 + 8u]);
            let b0 = b_slab[q][col4];
            let b1 = b_slab[q][col4 + 8u];
            for (var i = 0u; i < 8u; i++) {
                let x = vec4(rows[i / 4u][i % 4u]);
                acc[i][0] = fma(x, b0, acc[i][0]);
                acc[i][1] = fma(x, b1, acc[i][1]);
            }
        }
        workgroupBarrier();
    }

    for (var i = 0u; i < 8u; i++) {
        let m = m0 + 32u * (i / 4u) + 4u * row4 + i % 4u;
        if (m < M) {
            for (var j = 0u; j < 2u; j++) {
                let n = n0 + 32u * j + 4u * col4;
                if (n < N) { store4(b, m, n, acc[i][j]); }
            }
        }
    }
}
