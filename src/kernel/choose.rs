//! Which variant of the matmul families a contraction gets on an adapter: the one place where shapes and tiers become kernels.
//!
//! [`Variant`] is what can be chosen, and [`choose`] what is taken: what [`Choices`] says of the shape's class, where it says
//! something, and else the default rule in [`default`].

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::tile::{self, Registers, Tile};
use crate::passes::SplitPolicy;
use crate::plan::{Product, ProductShape};

/// What the chooser knows of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lanes of a subgroup, where kernels may use subgroup operations and the width is fixed.
    pub subgroup: Option<u32>,
    /// A software adapter: loads are dear, barriers dearer.
    pub cpu: bool,
    /// Which blocks of a contraction's results fit an invocation's registers.
    pub registers: Registers,
    /// The most invocations of a workgroup.
    pub invocations: u32,
    /// Storage buffers a kernel may bind.
    pub max_bindings: usize,
    /// How sums and contractions are cut.
    pub split: SplitPolicy,
    /// Variants for classes of shapes that differ from the default rule.
    pub choices: Arc<Choices>,
}

/// Variants that are taken instead of the default rule, where they suit a contraction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choices {
    /// For everything: what is being tried.
    pub tried: Option<Variant>,
    /// By class of shape: what a tuner found, or what a run was recorded with.
    pub known: BTreeMap<ShapeClass, Variant>,
}

/// One way to compute a contraction: a family of `shaders/` and the block of the result that one of its units computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// `rows` × `cols` a lane, operands passed between lanes by broadcasts; for software adapters with subgroups.
    Subgroup {
        /// Of a lane.
        rows: u32,
        /// A multiple of 4.
        cols: u32,
    },
    /// `rows` × `cols` an invocation, in registers alone; for software adapters without subgroups.
    Rows {
        /// Of an invocation.
        rows: u32,
        /// A multiple of 4.
        cols: u32,
    },
    /// A part of the result a workgroup, in workgroup memory; for GPUs.
    Tile(Tile),
}

/// Contractions that are alike: sizes up to the next power of two, the layout of A, and whether it is a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeClass {
    conv: bool,
    a_along_k: bool,
    sizes: [usize; 4],
}

/// The class of a shape.
pub(super) fn class(shape: &ProductShape) -> ShapeClass {
    let sizes = [shape.batch, shape.m, shape.n, shape.k].map(usize::next_power_of_two);
    ShapeClass { conv: shape.is_conv, a_along_k: shape.a_along_k, sizes }
}

impl fmt::Display for ShapeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((kind, side), [batch, m, n, k]) = (ProductShape::words(self.conv, self.a_along_k), self.sizes);
        write!(f, "{kind} {batch}x{m}x{n}x{k}{side}")
    }
}

impl FromStr for ShapeClass {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (text, a_along_k) = text.strip_suffix(" At").map_or((text, true), |text| (text, false));
        let (kind, sizes) = text.split_once(' ').ok_or(())?;
        let conv = match kind {
            "conv" => true,
            "matmul" => false,
            _ => return Err(()),
        };
        let sizes = sizes.split('x').map(|size| size.parse().map_err(|_| ())).collect::<Result<Vec<usize>, ()>>()?;
        let sizes: [usize; 4] = sizes.try_into().map_err(|_| ())?;
        if sizes.iter().all(|size| size.is_power_of_two()) { Ok(Self { conv, a_along_k, sizes }) } else { Err(()) }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subgroup { rows, cols } => write!(f, "subgroup {rows}x{cols}"),
            Self::Rows { rows, cols } => write!(f, "rows {rows}x{cols}"),
            Self::Tile(tile) => tile.fmt(f),
        }
    }
}

impl FromStr for Variant {
    type Err = ();

    /// Only what [`Variant::ALL`] lists is a variant.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|variant| variant.to_string() == text).ok_or(())
    }
}

impl Variant {
    /// All there are.
    pub const ALL: &[Self] = &[
        Self::Subgroup { rows: 4, cols: 16 },
        Self::Subgroup { rows: 8, cols: 16 },
        Self::Subgroup { rows: 4, cols: 32 },
        Self::Subgroup { rows: 8, cols: 32 },
        Self::Subgroup { rows: 4, cols: 64 },
        Self::Subgroup { rows: 8, cols: 64 },
        Self::Rows { rows: 4, cols: 16 },
        Self::Rows { rows: 8, cols: 16 },
        Self::Tile(Tile::ALL[0]),
        Self::Tile(Tile::ALL[1]),
        Self::Tile(Tile::ALL[2]),
        Self::Tile(Tile::ALL[3]),
        Self::Tile(Tile::ALL[4]),
        Self::Tile(Tile::ALL[5]),
        Self::Tile(Tile::ALL[6]),
    ];

    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Subgroup { .. } => include_str!("../../shaders/matmul_subgroup.wgsl"),
            Self::Rows { .. } => include_str!("../../shaders/matmul_rows.wgsl"),
            Self::Tile(_) => include_str!("../../shaders/matmul_tile.wgsl"),
        }
    }

    /// Whether its kernels use subgroup operations.
    pub fn subgroups(self) -> bool {
        matches!(self, Self::Subgroup { .. })
    }

    /// Declarations of the family's own constants, and its hooks that do not depend on operands.
    pub(super) fn constants(self, shape: &ProductShape, target: &Target) -> String {
        let block = |lanes: (&str, u32), rows: u32, cols: u32| {
            format!(
                "const {}: u32 = {}u;\nconst ROWS: u32 = {rows}u;\nconst COLS4: u32 = {}u;\n",
                lanes.0,
                lanes.1,
                cols / 4
            )
        };
        match self {
            Self::Subgroup { rows, cols } => {
                block(("SUBGROUP", self.lanes(target)), rows, cols) + &multiply(rows, cols / 4)
            }
            Self::Rows { rows, cols } => block(("WG", self.lanes(target)), rows, cols),
            Self::Tile(tile) => tile.constants(target.registers, shape.a_along_k),
        }
    }

    /// Units that share a workgroup's rows.
    fn lanes(self, target: &Target) -> u32 {
        match self {
            Self::Subgroup { .. } => target.subgroup.expect("only offered where there are subgroups"),
            Self::Rows { .. } => 8,
            Self::Tile(_) => 1,
        }
    }

    /// Workgroups along x, y, z.
    pub(super) fn grid(self, p: &ProductShape, target: &Target) -> [usize; 3] {
        let (Self::Subgroup { rows, cols } | Self::Rows { rows, cols } | Self::Tile(Tile { rows, cols, .. })) = self;
        [p.n.div_ceil(cols as usize), p.m.div_ceil((self.lanes(target) * rows) as usize), p.batch]
    }

    /// Whether an adapter can run it, and it is meant for such adapters.
    pub fn suits(self, target: &Target) -> bool {
        match self {
            Self::Subgroup { .. } => target.cpu && target.subgroup.is_some(),
            Self::Rows { .. } => target.cpu && target.subgroup.is_none(),
            Self::Tile(tile) => !target.cpu && tile.suits(target.registers, target.invocations),
        }
    }

    /// Whether a software adapter can be expected to compile it with the contraction's epilogue.
    fn fits(self, p: &Product) -> bool {
        match self {
            Self::Subgroup { rows, cols } | Self::Rows { rows, cols } => {
                (rows * cols / 4) as usize * p.accesses <= MOST_ACCESSES
            }
            Self::Tile(_) => true,
        }
    }
}

/// Most loads and stores of an epilogue that is written out for every vec4 of a block. lavapipe's compiler needs some two
/// seconds for as many, and minutes for three times as many.
const MOST_ACCESSES: usize = 256;

/// The variant for a contraction: what is tried, what is known of its class, or the default rule.
pub(super) fn choose(product: &Product, target: &Target) -> Variant {
    let Choices { tried, known } = &*target.choices;
    let wanted = [*tried, known.get(&class(&product.shape)).copied()];
    let possible = |variant: &Variant| variant.suits(target) && variant.fits(product);
    wanted.into_iter().flatten().find(possible).unwrap_or_else(|| default(product, target))
}

/// A good variant for a contraction, from its shape alone.
///
/// On software adapters every load costs as much as some fifty multiplications, so blocks are large, unless the problem
/// is too small to fill them or to repay their compilation, which takes up to a second, or its epilogue is long.
fn default(product: &Product, target: &Target) -> Variant {
    let p = &product.shape;
    let blocks: &[(u32, u32)] = match (target.cpu, target.subgroup) {
        (true, Some(lanes)) => match p.flops() {
            _ if p.n <= 16 && p.m > 4 * 4 * lanes as usize && p.k > 64 => &[(8, 16), (4, 16)],
            flops if p.n <= 16 || flops < f64::from(1 << 20) => &[(4, 16)],
            flops if flops >= f64::from(1 << 30) => &[(8, 64), (8, 32), (4, 32), (4, 16)],
            flops if flops >= f64::from(1 << 27) => &[(8, 32), (4, 32), (4, 16)],
            _ => &[(4, 32), (4, 16)],
        },
        (true, None) => &[(8, 16), (4, 16)],
        (false, _) => return Variant::Tile(tile::default(p, target.registers, target.invocations)),
    };
    let mut variants = blocks.iter().map(|&(rows, cols)| match target.subgroup {
        Some(_) => Variant::Subgroup { rows, cols },
        None => Variant::Rows { rows, cols },
    });
    // The last is the smallest there is.
    variants.clone().find(|variant| variant.fits(product)).or_else(|| variants.next_back()).expect("there are blocks")
}

/// acc[i][j] += B's 4 × 4 block in column j, handed round from `y`, times a[i]. A broadcast names its lane by a constant, so
/// all is written out.
fn multiply(rows: u32, cols4: u32) -> String {
    let mut text = "fn multiply(acc: ptr<function, array<array<vec4<f32>, COLS4>, ROWS>>, \
                    a: ptr<function, array<vec4<f32>, ROWS>>, y: ptr<function, array<vec4<f32>, COLS4 / 2u>>) {\n"
        .to_owned();
    for j in 0..cols4 {
        let broadcast = |k: u32| {
            let place = k * cols4 + j;
            format!("subgroupBroadcast((*y)[{}], {}u)", place / 8, place % 8)
        };
        text += &format!("    let b{j} = mat4x4({});\n", [0, 1, 2, 3].map(broadcast).join(", "));
        for i in 0..rows {
            text += &format!("    (*acc)[{i}][{j}] += b{j} * (*a)[{i}];\n");
        }
    }
    text + "}\n"
}
