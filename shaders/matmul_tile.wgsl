// C[b,m,n] = sum_k A[b,m,k] * B[b,k,n] for real GPUs: a ROWS x COLS tile of C a workgroup, SLAB k at a time in workgroup
// memory.
//
// DOWN x ACROSS invocations own BLOCK_ROWS x BLOCK_COLS outputs each, as quads (4 x 4) DOWN and ACROSS quads apart, so that
// neighbours read neighbouring vec4s. Per k an invocation of an 8 x 8 block reads 16 floats of workgroup memory for 64
// multiply-adds; the next slab is fetched into registers while the present one is used, so memory latency hides behind
// arithmetic and two barriers a slab suffice. Each output adds up its terms in the order of k, whatever the tile.
//
// Grid: x = ceil(N / COLS), y = ceil(M / ROWS), z = BATCH. Workgroup: DOWN * ACROSS invocations; 4 * SLAB * (ROWS + COLS)
// bytes of workgroup memory.
// A vec4 that straddles the end of its row may hold anything past it (load_a4, load_b4), but must not read outside.
// A compiler that does not unroll a loop keeps in memory the arrays that the loop indexes. So the code that indexes
// registers is in hooks, which src/kernel/tile.rs writes out without loops.
// Hooks: M N K A_ALONG_K, ROWS COLS BLOCK_ROWS BLOCK_COLS SLAB, A_EACH B_EACH (vec4s of a slab that an invocation
//        brings; those of an A along k in 4 x 4 blocks, which are transposed on the way), load_a4 load_b4, and
//   bring(b, m0, n0, k0, id, next_a, next_b)   fetches an invocation's part of the slabs at k0;
//   put(id, next_a, next_b)                    writes it to workgroup memory;
//   multiply(row4, col4, k4, acc)              adds the terms of four k;
//   store_block(b, m, n, acc)                  stores row i of a block at m + 4 DOWN (i / 4) + i % 4, and its vec4 j at
//                                              n + 4 ACROSS j.

const DOWN = ROWS / BLOCK_ROWS;
const ACROSS = COLS / BLOCK_COLS;
const WG = DOWN * ACROSS;
const ROWS4 = ROWS / 4u;
const COLS4 = COLS / 4u;
const SLAB4 = SLAB / 4u;
const LAST_N4 = (N - 1u) & ~3u;
const LAST_M4 = (M - 1u) & ~3u;
const LAST_K4 = (K - 1u) & ~3u;
// Whether the last slab is not full.
const RAGGED = K % SLAB != 0u;

alias Block = array<array<vec4<f32>, BLOCK_COLS / 4u>, BLOCK_ROWS>;
alias PartOfA = array<vec4<f32>, A_EACH>;
alias PartOfB = array<vec4<f32>, B_EACH>;

// Both slabs are k-major: [k][row / 4] and [k][column / 4].
var<workgroup> a_slab: array<vec4<f32>, SLAB * ROWS4>;
var<workgroup> b_slab: array<vec4<f32>, SLAB * COLS4>;

// Where four rows of A lie in its slab for the first of the four k of k4; the others follow ROWS4 apart. Neighbours that
// write turned blocks differ in k4, and would all meet in the same banks if they did not change places in their rows.
fn a_place(row4: u32, k4: u32) -> u32 {
    return 4u * k4 * ROWS4 + (row4 ^ (k4 * (8u / SLAB4)));
}

// The invocation's vec4 number i of the slab of A at k0: along k, row i % 4 of a block; along m, four rows at one k.
fn fetch_a(b: u32, m0: u32, k0: u32, id: u32, i: u32) -> vec4<f32> {
    if (A_ALONG_K) {
        let block = id + i / 4u * WG;
        let k = k0 + 4u * (block % SLAB4);
        let v = load_a4(b, min(m0 + 4u * (block / SLAB4) + i % 4u, M - 1u), min(k, LAST_K4));
        if (RAGGED) { return select(vec4(0.0), v, vec4(k) + vec4(0u, 1u, 2u, 3u) < vec4(K)); }
        return v;
    }
    let quad = id + i * WG;
    let k = k0 + quad / ROWS4;
    let v = load_a4(b, min(m0 + 4u * (quad % ROWS4), LAST_M4), min(k, K - 1u));
    if (RAGGED) { return select(vec4(0.0), v, k < K); }
    return v;
}

// Rows of B past the last are read again; the zeros in A cancel them.
fn fetch_b(b: u32, n0: u32, k0: u32, id: u32, i: u32) -> vec4<f32> {
    let quad = id + i * WG;
    return load_b4(b, min(k0 + quad / COLS4, K - 1u), min(n0 + 4u * (quad % COLS4), LAST_N4));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let b = tile.z;
    let m0 = tile.y * ROWS;
    let n0 = tile.x * COLS;
    let row4 = id / ACROSS;
    let col4 = id % ACROSS;

    var acc: Block;
    var next_a: PartOfA;
    var next_b: PartOfB;
    bring(b, m0, n0, 0u, id, &next_a, &next_b);
    for (var k = 0u; k < K; k += SLAB) {
        put(id, &next_a, &next_b);
        workgroupBarrier();
        if (k + SLAB < K) { bring(b, m0, n0, k + SLAB, id, &next_a, &next_b); }
        // Four k are written out; compilers do not unroll a loop over all sixteen.
        for (var k4 = 0u; k4 < SLAB4; k4++) { multiply(row4, col4, k4, &acc); }
        workgroupBarrier();
    }
    store_block(b, m0 + 4u * row4, n0 + 4u * col4, &acc);
}
