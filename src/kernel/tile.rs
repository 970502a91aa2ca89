//! The tiles of `shaders/matmul_tile.wgsl`, and which of them a contraction gets on a GPU by default.
//!
//! A tile is cut into blocks, one for each invocation. Large blocks need few loads for a multiplication and many
//! registers; if these do not suffice, the compiler moves values to memory in the innermost loop. So the GPU's
//! [`Registers`] limit the blocks. docs/gpu-kernels.md has what compilers make of each tile.

use std::fmt;

use crate::plan::ProductShape;

/// How many results of a contraction an invocation of a GPU holds in registers by default, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registers {
    /// Mali, VideoCore.
    Few = 16,
    /// Intel, AMD, Adreno and all others.
    Some = 32,
    /// NVIDIA.
    Many = 64,
}

impl Registers {
    /// Those of a vendor's GPUs. The number is the vendor's in PCI or Vulkan.
    pub fn of_vendor(vendor: u32) -> Self {
        const NVIDIA: u32 = 0x10de;
        const ARM: u32 = 0x13b5;
        const BROADCOM: u32 = 0x14e4;
        match vendor {
            NVIDIA => Self::Many,
            ARM | BROADCOM => Self::Few,
            _ => Self::Some,
        }
    }

    fn results(self) -> u32 {
        self as u32
    }
}

/// A part of the result that a workgroup computes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Of a workgroup.
    pub rows: u32,
    /// Of a workgroup.
    pub cols: u32,
    /// Of an invocation.
    pub block_rows: u32,
    /// Of an invocation.
    pub block_cols: u32,
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, cols, block_rows, block_cols } = self;
        write!(f, "tile {rows}x{cols} by {block_rows}x{block_cols}")
    }
}

impl Tile {
    /// The one that asks for the least of an adapter.
    const SMALLEST: Self = Self::new([32, 32], [4, 4]);

    /// All there are.
    pub(super) const ALL: [Self; 7] = [
        Self::new([128, 64], [8, 8]),
        Self::new([128, 64], [8, 4]),
        Self::new([64, 64], [8, 4]),
        Self::new([64, 64], [4, 4]),
        Self::new([64, 32], [8, 4]),
        Self::SMALLEST,
        Self::new([64, 16], [4, 4]),
    ];

    /// A tile of this size, in blocks of this size.
    const fn new([rows, cols]: [u32; 2], [block_rows, block_cols]: [u32; 2]) -> Self {
        Self { rows, cols, block_rows, block_cols }
    }

    /// Invocations of a workgroup.
    fn invocations(self) -> u32 {
        self.rows / self.block_rows * (self.cols / self.block_cols)
    }

    /// Results of an invocation.
    fn results(self) -> u32 {
        self.block_rows * self.block_cols
    }

    /// Terms of the sums that are in workgroup memory at once. A larger slab needs fewer barriers, and more registers
    /// for the part that an invocation brings, which is large in a small workgroup.
    fn slab(self, registers: Registers) -> u32 {
        if self.invocations() <= 64 && self.results() > registers.results() / 2 { 8 } else { 16 }
    }

    /// Whether a GPU with these registers, and at most so many invocations in a workgroup, may be given it. Where
    /// registers are few, compilers take seconds for a tile that does not fit.
    pub(super) fn suits(self, registers: Registers, invocations: u32) -> bool {
        self.invocations() <= invocations && (registers > Registers::Few || self.results() <= registers.results())
    }

    /// Instructions for each multiplication, the mean over the compilers of AMD's and Intel's drivers. The fewer
    /// invocations there are, the more each brings.
    fn instructions(self) -> f64 {
        match (self.results(), self.invocations()) {
            (64.., _) => 1.35,
            (32.., 256..) => 1.4,
            (32.., _) => 1.5,
            (_, 256..) => 1.7,
            (_, _) => 1.75,
        }
    }

    /// Declarations of the family's own constants, and its hooks, except those that load and store elements.
    pub(super) fn constants(self, registers: Registers, a_along_k: bool) -> String {
        let Self { rows, cols, block_rows, block_cols } = self;
        let slab = self.slab(registers);
        let (a, b) = self.brought(slab, a_along_k);
        format!(
            "const ROWS: u32 = {rows}u;\nconst COLS: u32 = {cols}u;\nconst BLOCK_ROWS: u32 = {block_rows}u;\n\
             const BLOCK_COLS: u32 = {block_cols}u;\nconst SLAB: u32 = {slab}u;\n\
             const A_EACH: u32 = {}u;\nconst B_EACH: u32 = {}u;\n{}{}{}{}",
            a.each,
            b.each,
            bring(&a, &b),
            put(&a, &b, a_along_k),
            self.multiply(),
            self.store_block()
        )
    }

    /// What an invocation brings of A and of B.
    fn brought(self, slab: u32, a_along_k: bool) -> (Brought, Brought) {
        let vectors = |extent: u32| extent / 4 * slab;
        let (pieces, each) = if a_along_k { (vectors(self.rows) / 4, 4) } else { (vectors(self.rows), 1) };
        (Brought::new(pieces, each, self.invocations()), Brought::new(vectors(self.cols), 1, self.invocations()))
    }

    fn multiply(self) -> String {
        let mut text = "fn multiply(row4: u32, col4: u32, k4: u32, acc: ptr<function, Block>) {\n".to_owned();
        for l in 0..4 {
            for i in 0..self.block_rows / 4 {
                text += &format!("    let a{l}{i} = a_slab[a_place(row4 + {i}u * DOWN, k4) + {l}u * ROWS4];\n");
            }
            for j in 0..self.block_cols / 4 {
                text += &format!("    let b{l}{j} = b_slab[(4u * k4 + {l}u) * COLS4 + col4 + {j}u * ACROSS];\n");
            }
            for (i, j) in self.vectors() {
                let x = format!("vec4(a{l}{}.{})", i / 4, ["x", "y", "z", "w"][i as usize % 4]);
                text += &format!("    (*acc)[{i}][{j}] = fma({x}, b{l}{j}, (*acc)[{i}][{j}]);\n");
            }
        }
        text + "}\n"
    }

    fn store_block(self) -> String {
        let mut text = "fn store_block(b: u32, m: u32, n: u32, acc: ptr<function, Block>) {\n".to_owned();
        for (i, j) in self.vectors() {
            let m = format!("m + {}u * DOWN + {}u", 4 * (i / 4), i % 4);
            let n = format!("n + {}u * ACROSS", 4 * j);
            text += &format!("    if ({m} < M && {n} < N) {{ store4(b, {m}, {n}, (*acc)[{i}][{j}]); }}\n");
        }
        text + "}\n"
    }

    /// Row and number of each vec4 of a block.
    fn vectors(self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.block_rows).flat_map(move |i| (0..self.block_cols / 4).map(move |j| (i, j)))
    }
}

/// What an invocation brings of a slab.
struct Brought {
    /// Vec4s.
    each: u32,
    /// The number of invocations that bring some, if not all do.
    only: Option<u32>,
}

impl Brought {
    /// Of a slab of so many pieces of so many vec4s each.
    fn new(pieces: u32, vectors: u32, invocations: u32) -> Self {
        let only = (pieces < invocations).then_some(pieces);
        Self { each: vectors * pieces.div_ceil(invocations), only }
    }

    /// A statement for each piece of `step` vec4s, by the invocations that bring some. It is given the first vec4's
    /// number.
    fn for_each(&self, step: usize, statement: impl Fn(u32) -> String) -> String {
        let all: String = (0..self.each).step_by(step).map(statement).collect();
        match self.only {
            Some(only) => format!("    if (id < {only}u) {{\n{all}    }}\n"),
            None => all,
        }
    }
}

fn bring(a: &Brought, b: &Brought) -> String {
    let a = a.for_each(1, |i| format!("    (*next_a)[{i}] = fetch_a(b, m0, k0, id, {i}u);\n"));
    let b = b.for_each(1, |i| format!("    (*next_b)[{i}] = fetch_b(b, n0, k0, id, {i}u);\n"));
    let parts = "next_a: ptr<function, PartOfA>, next_b: ptr<function, PartOfB>";
    format!("fn bring(b: u32, m0: u32, n0: u32, k0: u32, id: u32, {parts}) {{\n{a}{b}}}\n")
}

fn put(a: &Brought, b: &Brought, a_along_k: bool) -> String {
    let turned = |i: u32| {
        let lines = (0..4).map(|l| format!("    a_slab[at{i} + {l}u * ROWS4] = turned{i}[{l}];\n"));
        let block = [0, 1, 2, 3].map(|l| format!("(*next_a)[{}]", i + l)).join(", ");
        format!(
            "    let turned{i} = transpose(mat4x4({block}));\n    let block{i} = id + {}u * WG;\n\
             \x20   let at{i} = a_place(block{i} / SLAB4, block{i} % SLAB4);\n{}",
            i / 4,
            lines.collect::<String>()
        )
    };
    let straight = |i: u32| {
        format!(
            "    let quad{i} = id + {i}u * WG;\n    let k{i} = quad{i} / ROWS4;\n\
             \x20   a_slab[a_place(quad{i} % ROWS4, k{i} / 4u) + k{i} % 4u * ROWS4] = (*next_a)[{i}];\n"
        )
    };
    let a = if a_along_k { a.for_each(4, turned) } else { a.for_each(1, straight) };
    let b = b.for_each(1, |i| format!("    b_slab[id + {i}u * WG] = (*next_b)[{i}];\n"));
    format!("fn put(id: u32, next_a: ptr<function, PartOfA>, next_b: ptr<function, PartOfB>) {{\n{a}{b}}}\n")
}

/// The tile of a GPU: the one whose workgroups take the least time together, whether or not the result fills them.
///
/// A tile takes the time of the instructions that compilers make of its multiplications (docs/gpu-kernels.md), and some
/// time for the elements that it brings. Fewer workgroups than fill a GPU take as long as if they filled it.
pub(super) fn default(p: &ProductShape, registers: Registers, invocations: u32) -> Tile {
    const FILL: usize = 128;
    const BRINGING: f64 = 4.0;
    let cost = |tile: Tile| {
        let groups = p.batch * p.m.div_ceil(tile.rows as usize) * p.n.div_ceil(tile.cols as usize);
        let each = f64::from(tile.rows * tile.cols) * tile.instructions() + BRINGING * f64::from(tile.rows + tile.cols);
        groups.max(FILL) as f64 * each
    };
    let fits = |tile: &Tile| tile.suits(registers, invocations) && tile.results() <= registers.results();
    Tile::ALL.into_iter().filter(fits).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(Tile::SMALLEST)
}
