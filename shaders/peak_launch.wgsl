// The least a dispatch can do: one invocation that adds 1 to one number. Each dispatch has to wait for the one before.
//
// Grid: 1 workgroup of 1.

@group(0) @binding(0) var<storage, read_write> counter: array<u32>;

@compute @workgroup_size(1)
fn main() {
    counter[0] += 1u;
}
