//! Which matmul family a contraction gets on an adapter: the one place where shapes and tiers become kernels.

use crate::passes::SplitPolicy;

/// What the chooser knows of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lanes of a subgroup, where kernels may use subgroup operations and the width is fixed.
    pub subgroup: Option<u32>,
    /// A software adapter: loads are dear, barriers dearer.
    pub cpu: bool,
    /// Storage buffers a kernel may bind.
    pub max_bindings: usize,
    /// When contractions are cut in slices.
    pub split: SplitPolicy,
}

/// The matmul families in `shaders/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatmulFamily {
    /// Operands passed between lanes by broadcasts; for software adapters with subgroups.
    Subgroup,
    /// Registers alone; for software adapters without.
    Rows,
    /// Tiles in workgroup memory; for GPUs.
    Tile,
}

/// Sizes of C[b,m,n] = Σₖ A[b,m,k]·B[b,k,n].
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Whether A is contiguous along k, not along m.
    pub a_along_k: bool,
}

/// A family and its parameters for one problem.
pub(super) struct Choice {
    family: MatmulFamily,
    constants: Vec<(&'static str, u32)>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
}

impl Choice {
    pub fn source(&self) -> &'static str {
        match self.family {
            MatmulFamily::Subgroup => include_str!("../../shaders/matmul_subgroup.wgsl"),
            MatmulFamily::Rows => include_str!("../../shaders/matmul_rows.wgsl"),
            MatmulFamily::Tile => include_str!("../../shaders/matmul_tile.wgsl"),
        }
    }

    pub fn subgroups(&self) -> bool {
        self.family == MatmulFamily::Subgroup
    }

    /// Declarations of the family's own constants.
    pub fn constants(&self) -> String {
        self.constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect()
    }

    pub fn label(&self, p: &Problem) -> String {
        let family = format!("{:?}", self.family).to_lowercase();
        let parameters: String = self.constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let batch = if p.batch == 1 { String::new() } else { format!("{}x", p.batch) };
        let side = if p.a_along_k { "" } else { " At" };
        format!("matmul_{family} {batch}{}x{}x{}{side}{parameters}", p.m, p.n, p.k)
    }
}

/// Picks the family and the block that one invocation, lane or workgroup computes.
///
/// On software adapters every load costs as much as some fifty multiplications, so blocks are large, unless the problem
/// is too small to fill them or to repay their compilation.
pub(super) fn choose(p: &Problem, target: &Target) -> Choice {
    let blocks = |n: usize, m: usize| [p.n.div_ceil(n) as u32, p.m.div_ceil(m) as u32, p.batch as u32];
    let large = p.batch as f64 * p.m as f64 * p.n as f64 * p.k as f64 >= f64::from(1 << 26);
    match (target.cpu, target.subgroup) {
        (true, Some(lanes)) => {
            let cols4 = if p.n <= 16 { 4 } else { 8 };
            let rows = if p.n > 16 && large { 8 } else { 4 };
            Choice {
                family: MatmulFamily::Subgroup,
                constants: vec![("SUBGROUP", lanes), ("ROWS", rows as u32), ("COLS4", cols4 as u32)],
                grid: blocks(4 * cols4, lanes as usize * rows),
            }
        }
        (true, None) => Choice {
            family: MatmulFamily::Rows,
            constants: vec![("WG", 8), ("ROWS", 8), ("COLS4", 4)],
            grid: blocks(16, 64),
        },
        (false, _) => Choice { family: MatmulFamily::Tile, constants: vec![], grid: blocks(64, 64) },
    }
}
