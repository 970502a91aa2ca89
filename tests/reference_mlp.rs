//! An independent MLP in float64, against which whole training runs are compared.
//!
//! Its one idea: share nothing with the crate under test. Forward pass, backpropagation, Pearlmutter's R-operator
//! (B. Pearlmutter, "Fast exact multiplication by the Hessian", 1994), Gauss–Newton products, the eigensolver and the
//! SAM edge are written here by hand, straight from the formulas, on `nalgebra` matrices with one example a row.
//!
//! Parameters are one flat vector: for each layer the kernel, row-major `[in, out]`, then the bias `[out]`.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// The nonlinearity between two dense layers.
#[derive(Clone, Copy, Debug)]
pub enum Activation {
    Relu,
    Tanh,
    /// The tanh approximation of GELU.
    Gelu,
    Elu,
    Softplus,
}

impl Activation {
    /// `[φ(z), φ'(z), φ''(z)]`; ReLU'(0) = 0.
    pub fn jet(self, z: f64) -> [f64; 3] {
        match self {
            Self::Relu if z > 0.0 => [z, 1.0, 0.0],
            Self::Relu => [0.0; 3],
            Self::Tanh => {
                let t = z.tanh();
                let slope = 1.0 - t * t;
                [t, slope, -2.0 * t * slope]
            }
            Self::Gelu => {
                let c = (2.0 / std::f64::consts::PI).sqrt();
                let t = (c * (z + 0.044715 * z.powi(3))).tanh();
                let (du, ddu) = (c * (1.0 + 0.134145 * z * z), c * 0.26829 * z);
                let s = 1.0 - t * t;
                let first = 0.5 * (1.0 + t) + 0.5 * z * s * du;
                let second = s * du + 0.5 * z * s * (ddu - 2.0 * t * du * du);
                [0.5 * z * (1.0 + t), first, second]
            }
            Self::Elu if z > 0.0 => [z, 1.0, 0.0],
            Self::Elu => [z.exp_m1(), z.exp(), z.exp()],
            Self::Softplus => {
                let sigma = 1.0 / (1.0 + (-z).exp());
                let value = z.max(0.0) + (-z.abs()).exp().ln_1p();
                [value, sigma, sigma * (1.0 - sigma)]
            }
        }
    }
}

/// What is minimised; each is a mean over the n examples.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Mean over examples and outputs of (f − y)², no ½.
    MseMean,
    /// ½ Σ over outputs of (f − y)².
    MseHalfSum,
    /// −Σ y log softmax(f), y one-hot.
    CrossEntropy,
}

/// A fully connected network, its loss and its data.
pub struct Mlp {
    /// `[inputs, hidden…, outputs]`.
    pub widths: Vec<usize>,
    pub activation: Activation,
    pub loss: Loss,
    /// `[examples, inputs]`.
    pub x: DMatrix<f64>,
    /// `[examples, outputs]`.
    pub y: DMatrix<f64>,
}

type Layers = Vec<(DMatrix<f64>, DVector<f64>)>;

/// Everything that depends on the parameters alone: a Hessian product needs no other pass over them.
pub struct Linearised<'a> {
    mlp: &'a Mlp,
    layers: Layers,
    /// Input of each dense layer.
    inputs: Vec<DMatrix<f64>>,
    /// φ' and φ'' at the output of each dense layer but the last.
    slopes: Vec<[DMatrix<f64>; 2]>,
    /// ∂L/∂z for the output z of each dense layer.
    deltas: Vec<DMatrix<f64>>,
    /// softmax(f) for cross-entropy, f itself otherwise.
    pub outputs: DMatrix<f64>,
    pub loss: f64,
    pub gradient: DVector<f64>,
}

impl Mlp {
    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
    }

    fn unflatten(&self, flat: &[f64]) -> Layers {
        assert_eq!(flat.len(), self.len());
        let mut rest = flat;
        let mut layers = Vec::new();
        for w in self.widths.windows(2) {
            let (kernel, tail) = rest.split_at(w[0] * w[1]);
            let (bias, tail) = tail.split_at(w[1]);
            layers.push((DMatrix::from_row_slice(w[0], w[1], kernel), DVector::from_column_slice(bias)));
            rest = tail;
        }
        layers
    }

    /// The loss, and ∂L/∂f, and softmax(f) for cross-entropy (f otherwise).
    fn loss_of(&self, f: DMatrix<f64>) -> (f64, DMatrix<f64>, DMatrix<f64>) {
        let n = f.nrows() as f64;
        let error = &f - &self.y;
        match self.loss {
            Loss::MseMean => {
                let count = n * f.ncols() as f64;
                (error.norm_squared() / count, error * (2.0 / count), f)
            }
            Loss::MseHalfSum => (error.norm_squared() / (2.0 * n), error / n, f),
            Loss::CrossEntropy => {
                let mut p = f;
                let mut loss = 0.0;
                for i in 0..p.nrows() {
                    let top = p.row(i).max();
                    let log_sum = top + p.row(i).map(|z| (z - top).exp()).sum().ln();
                    loss += log_sum * self.y.row(i).sum() - self.y.row(i).dot(&p.row(i));
                    p.row_mut(i).apply(|z| *z = (*z - log_sum).exp());
                }
                (loss / n, (&p - &self.y) / n, p)
            }
        }
    }

    /// Forward and backward pass at `flat`.
    pub fn at(&self, flat: &[f64]) -> Linearised<'_> {
        let layers = self.unflatten(flat);
        let last = layers.len() - 1;
        let mut inputs = vec![self.x.clone()];
        let mut slopes: Vec<[DMatrix<f64>; 2]> = Vec::new();
        let mut z = affine(&self.x, &layers[0]);
        for layer in &layers[1..] {
            let jet = |order: usize| z.map(|z| self.activation.jet(z)[order]);
            slopes.push([jet(1), jet(2)]);
            inputs.push(jet(0));
            z = affine(&inputs[inputs.len() - 1], layer);
        }
        let (loss, delta, outputs) = self.loss_of(z);
        let mut deltas = vec![delta];
        for i in (0..last).rev() {
            let back = &deltas[deltas.len() - 1] * layers[i + 1].0.transpose();
            deltas.push(back.component_mul(&slopes[i][0]));
        }
        deltas.reverse();
        let gradient = flatten((0..=last).map(|i| (inputs[i].tr_mul(&deltas[i]), &deltas[i])));
        Linearised { mlp: self, layers, inputs, slopes, deltas, outputs, loss, gradient }
    }
}

fn affine(x: &DMatrix<f64>, (kernel, bias): &(DMatrix<f64>, DVector<f64>)) -> DMatrix<f64> {
    let mut z = x * kernel;
    for (mut column, b) in z.column_iter_mut().zip(bias.iter()) {
        column.add_scalar_mut(*b);
    }
    z
}

/// Joins (kernel part, per-example part whose column sums are the bias part) of each layer.
fn flatten<'a>(parts: impl Iterator<Item = (DMatrix<f64>, &'a DMatrix<f64>)>) -> DVector<f64> {
    let mut flat = Vec::new();
    for (kernel, rows) in parts {
        // Column-major storage of the transpose is row-major storage of the kernel.
        flat.extend_from_slice(kernel.transpose().as_slice());
        flat.extend(rows.row_sum().iter());
    }
    DVector::from_vec(flat)
}

impl Linearised<'_> {
    /// Directional derivatives: the inputs of each layer, and the outputs of each layer.
    fn forward_tangents(&self, v: &Layers) -> (Vec<DMatrix<f64>>, Vec<DMatrix<f64>>) {
        let mut ra = vec![DMatrix::zeros(self.mlp.x.nrows(), self.mlp.x.ncols())];
        let mut rz = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let mut z = affine(&self.inputs[i], &v[i]);
            if i > 0 {
                z += &ra[i] * &layer.0;
            }
            if i < self.slopes.len() {
                ra.push(z.component_mul(&self.slopes[i][0]));
            }
            rz.push(z);
        }
        (ra, rz)
    }

    /// (∂²L/∂f²) · rf.
    fn loss_curvature(&self, rf: &DMatrix<f64>) -> DMatrix<f64> {
        let n = rf.nrows() as f64;
        match self.mlp.loss {
            Loss::MseMean => rf * (2.0 / (n * rf.ncols() as f64)),
            Loss::MseHalfSum => rf / n,
            Loss::CrossEntropy => {
                let p = &self.outputs;
                DMatrix::from_fn(rf.nrows(), rf.ncols(), |i, j| p[(i, j)] * (rf[(i, j)] - p.row(i).dot(&rf.row(i))) / n)
            }
        }
    }

    /// The exact Hessian product H·v, by applying R{·} to every line of the forward and backward pass.
    pub fn hvp(&self, v: &[f64]) -> DVector<f64> {
        let v = self.mlp.unflatten(v);
        let (ra, rz) = self.forward_tangents(&v);
        let last = self.layers.len() - 1;
        let mut rd = vec![self.loss_curvature(&rz[last])];
        for i in (0..last).rev() {
            let back = &self.deltas[i + 1] * self.layers[i + 1].0.transpose();
            let rback =
                &rd[rd.len() - 1] * self.layers[i + 1].0.transpose() + &self.deltas[i + 1] * v[i + 1].0.transpose();
            let bend = back.component_mul(&self.slopes[i][1]).component_mul(&rz[i]);
            rd.push(rback.component_mul(&self.slopes[i][0]) + bend);
        }
        rd.reverse();
        flatten((0..=last).map(|i| {
            let mut kernel = self.inputs[i].tr_mul(&rd[i]);
            if i > 0 {
                kernel += ra[i].tr_mul(&self.deltas[i]);
            }
            (kernel, &rd[i])
        }))
    }

    /// The Gauss–Newton product Jᵀ (∂²L/∂f²) J v.
    pub fn gnvp(&self, v: &[f64]) -> DVector<f64> {
        let (_, rz) = self.forward_tangents(&self.mlp.unflatten(v));
        let last = self.layers.len() - 1;
        let mut rd = vec![self.loss_curvature(&rz[last])];
        for i in (0..last).rev() {
            let back = &rd[rd.len() - 1] * self.layers[i + 1].0.transpose();
            rd.push(back.component_mul(&self.slopes[i][0]));
        }
        rd.reverse();
        flatten((0..=last).map(|i| (self.inputs[i].tr_mul(&rd[i]), &rd[i])))
    }
}

/// The eigenvalue of largest magnitude and its unit eigenvector, see [`top_eigenpairs`].
pub fn top_eigenpair(dim: usize, limit: usize, apply: impl FnMut(&[f64]) -> DVector<f64>) -> (f64, DVector<f64>) {
    top_eigenpairs(dim, 1, limit, apply).remove(0)
}

/// The `count` eigenvalues of largest magnitude and their unit eigenvectors, to a relative residual of 1e-9 (textbook
/// Lanczos, every vector kept and orthogonalised twice); panics if `limit` products do not reach it.
pub fn top_eigenpairs(
    dim: usize,
    count: usize,
    limit: usize,
    mut apply: impl FnMut(&[f64]) -> DVector<f64>,
) -> Vec<(f64, DVector<f64>)> {
    let mut basis = vec![pseudo_normal(dim, 77).normalize()];
    let (mut diagonal, mut off) = (Vec::new(), Vec::<f64>::new());
    loop {
        let m = basis.len();
        let mut w = apply(basis[m - 1].as_slice());
        diagonal.push(w.dot(&basis[m - 1]));
        for q in basis.iter().chain(&basis) {
            w -= q * w.dot(q);
        }
        let beta = w.norm();
        let mut t = DMatrix::from_diagonal(&DVector::from_column_slice(&diagonal));
        for (i, b) in off.iter().enumerate() {
            t[(i, i + 1)] = *b;
            t[(i + 1, i)] = *b;
        }
        let eigen = SymmetricEigen::new(t);
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].abs().total_cmp(&eigen.eigenvalues[a].abs()));
        order.truncate(count);
        let converged = |&i: &usize| beta * eigen.eigenvectors[(m - 1, i)].abs() <= 1e-9 * eigen.eigenvalues[i].abs();
        if m == dim || m >= count && order.iter().all(converged) {
            let vector = |i: usize| {
                let mut vector = DVector::zeros(dim);
                basis.iter().zip(eigen.eigenvectors.column(i).iter()).for_each(|(q, c)| vector += q * *c);
                vector.normalize()
            };
            return order.into_iter().map(|i| (eigen.eigenvalues[i], vector(i))).collect();
        }
        assert!(m < limit, "no convergence in {limit} products");
        off.push(beta);
        basis.push(w / beta);
    }
}

/// A reproducible vector of nearly normal numbers: sums of twelve uniforms of a linear congruential generator.
pub fn pseudo_normal(len: usize, seed: u64) -> DVector<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    DVector::from_fn(len, |_, _| (0..12).map(|_| uniform()).sum::<f64>() - 6.0)
}

/// What is measured before each update; the quantities are those of Long and Bartlett (arXiv 2309.12488).
pub struct Row {
    pub loss: f64,
    pub grad_norm: f64,
    /// |λ| of the top eigenpair; its sign is in `lambda`.
    pub hessian_norm: f64,
    pub lambda: f64,
    /// (‖g‖/2ρ)(√(1 + 8ρ/(η‖g‖)) − 1), or 2/η when ρ = 0.
    pub sam_edge: f64,
    /// |cos(g, v₁)|.
    pub grad_alignment: f64,
    /// |cos(∇L(w + ρg/(‖g‖ + 1e-5)), v₁)|.
    pub sam_grad_alignment: f64,
}

/// `steps` updates w⁺ = w − η ∇L(w + ρ g/(‖g‖ + 1e-5)) from `w`, measured before each; ρ = 0 is gradient descent.
pub fn train(mlp: &Mlp, w: &mut DVector<f64>, lr: f64, rho: f64, steps: usize) -> Vec<Row> {
    (0..steps)
        .map(|_| {
            let here = mlp.at(w.as_slice());
            let g = &here.gradient;
            let g_sam = mlp.at((&*w + g * (rho / (g.norm() + 1e-5))).as_slice()).gradient;
            let (lambda, v) = top_eigenpair(mlp.len(), 400, |v| here.hvp(v));
            let row = Row {
                loss: here.loss,
                grad_norm: g.norm(),
                hessian_norm: lambda.abs(),
                lambda,
                sam_edge: if rho == 0.0 {
                    2.0 / lr
                } else {
                    let x = 8.0 * rho / (lr * g.norm());
                    g.norm() / (2.0 * rho) * ((1.0 + x).sqrt() - 1.0)
                },
                grad_alignment: g.dot(&v).abs() / g.norm(),
                sam_grad_alignment: g_sam.dot(&v).abs() / g_sam.norm(),
            };
            w.axpy(-lr, &g_sam, 1.0);
            row
        })
        .collect()
}

/// A network on made-up data, and parameters of about Glorot scale.
pub fn example(widths: &[usize], examples: usize, activation: Activation, loss: Loss) -> (Mlp, DVector<f64>) {
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    let x = pseudo_normal(examples * inputs, 1);
    let mlp = Mlp {
        widths: widths.to_vec(),
        activation,
        loss,
        x: DMatrix::from_row_slice(examples, inputs, x.as_slice()),
        y: DMatrix::from_fn(examples, outputs, |i, j| f64::from(u8::from((i * 7 + i / 3) % outputs == j))),
    };
    let mut w = pseudo_normal(mlp.len(), 2);
    let mut at = 0;
    for pair in widths.windows(2) {
        let len = (pair[0] + 1) * pair[1];
        w.rows_mut(at, len).scale_mut((2.0 / (pair[0] + pair[1]) as f64).sqrt());
        at += len;
    }
    (mlp, w)
}
