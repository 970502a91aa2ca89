// The fastest multiply-adds that can be had: x = x * scale + shift, all in registers, in independent chains.
//
// Chains hide the latency of an operation: 5 vec4 are 20 of them, as many as 32 registers hold beside the two constants.
// These are loaded, so that no compiler can know the result; every invocation stores what it has, so that none can leave
// the loop out.
//
// Grid: any number of workgroups of 64. Work of an invocation: ROUNDS * 4 steps of 20 multiply-adds.

const ROUNDS: u32 = 64u;

@group(0) @binding(0) var<storage, read> factors: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let scale = vec4(factors[0]);
    let shift = vec4(factors[1]);
    var v = vec4(f32(id.x)); var w = v + 1.0; var x = v + 2.0; var y = v + 3.0; var z = v + 4.0;
    for (var i = 0u; i < ROUNDS; i++) {
        v = fma(v, scale, shift); w = fma(w, scale, shift); x = fma(x, scale, shift); y = fma(y, scale, shift); z = fma(z, scale, shift);
        v = fma(v, scale, shift); w = fma(w, scale, shift); x = fma(x, scale, shift); y = fma(y, scale, shift); z = fma(z, scale, shift);
        v = fma(v, scale, shift); w = fma(w, scale, shift); x = fma(x, scale, shift); y = fma(y, scale, shift); z = fma(z, scale, shift);
        v = fma(v, scale, shift); w = fma(w, scale, shift); x = fma(x, scale, shift); y = fma(y, scale, shift); z = fma(z, scale, shift);
    }
    let sum = v + w + x + y + z;
    out[id.x] = sum.x + sum.y + sum.z + sum.w;
}
