//! What each instruction of a random program computes.

use edgewalk::graph::{Compare, ConvSide, DType, DotDims, NodeId, Op, Unary, Window};

use super::random_programs::{Builder, Instruction, LARGEST, Value};

const COMPARISONS: [Compare; 3] = [Compare::Gt, Compare::Ge, Compare::Eq];

impl Builder {
    /// Appends a value (tamed), labels or a mask: what the instruction computes.
    pub fn step(&mut self, (op, i, j, form): Instruction) {
        let value = match op % 31 {
            op @ 0..=7 => self.arithmetic(op, i, j, form),
            op @ 8..=14 => self.choice_or_reduction(op, i, j, form),
            op @ 15..=19 => self.index_map(op, i, form),
            20 | 21 => self.contraction(i, j, form),
            22 | 23 => self.convolution(i, j, form),
            24 => self.count(i, form),
            25 => self.with_row(i, j),
            26 => {
                let (x, y) = self.operands(i, j);
                let square = self.graph.mul(x.id, y.id);
                let axes = self.axes(x.id, form);
                self.mean(Self::inexact(square, x.bound * y.bound), &axes)
            }
            27 => self.number(i),
            _ => return self.discrete(i, j, form),
        };
        if self.graph.node(value.id).ty.len() <= self.scale.most {
            let value = self.tame(value, LARGEST);
            self.values.push(value);
        }
    }

    /// A value, and another one fitted to its shape.
    fn operands(&mut self, i: usize, j: usize) -> (Value, Value) {
        let (x, y) = (self.values[i % self.values.len()], self.values[j % self.values.len()]);
        let shape = self.shape(x.id);
        (x, self.fit(y, &shape))
    }

    fn axes(&self, x: NodeId, form: usize) -> Vec<usize> {
        (0..self.graph.shape(x).len()).filter(|a| form >> a & 1 == 1).collect()
    }

    fn arithmetic(&mut self, op: u8, i: usize, j: usize, form: usize) -> Value {
        let (x, y) = self.operands(i, j);
        match op {
            0 => Self::inexact(self.graph.add(x.id, y.id), x.bound + y.bound),
            1 => Self::inexact(self.graph.sub(x.id, y.id), x.bound + y.bound),
            2 => Self::inexact(self.graph.mul(x.id, y.id), x.bound * y.bound),
            3 => {
                let below = self.positive(y);
                Self::inexact(self.graph.div(x.id, below), x.bound)
            }
            4 => {
                let max = self.graph.max(x.id, y.id);
                Value { id: max, bound: x.bound.max(y.bound), exact: x.exact && y.exact }
            }
            5 => {
                let x = self.tame(x, 2.0);
                let f = [Unary::Exp, Unary::Expm1][form % 2];
                Self::inexact(self.graph.unary(f, x.id), 8.0)
            }
            6 => {
                let f = [Unary::Tanh, Unary::Logistic, Unary::Softplus, Unary::Erf][form % 4];
                Self::inexact(self.graph.unary(f, x.id), 9.0)
            }
            _ => {
                let above = self.positive(x);
                let f = [Unary::Log, Unary::Sqrt, Unary::Rsqrt][form % 3];
                Self::inexact(self.graph.unary(f, above), 4.0)
            }
        }
    }

    fn choice_or_reduction(&mut self, op: u8, i: usize, j: usize, form: usize) -> Value {
        let (x, y) = self.operands(i, j);
        let shape = self.shape(x.id);
        let (bound, exact) = (x.bound.max(y.bound), x.exact && y.exact);
        match op {
            8 => {
                let f = if form.is_multiple_of(3) { Unary::StopGradient } else { Unary::Neg };
                Value { id: self.graph.unary(f, x.id), ..x }
            }
            9 | 10 if exact => {
                let mask = self.graph.compare(COMPARISONS[form % 3], x.id, y.id);
                self.discrete.push(mask);
                Value { id: self.graph.select(mask, y.id, x.id), bound, exact }
            }
            9 | 10 => {
                let zero = self.graph.full(0.0, &shape);
                Self::inexact(self.graph.max(x.id, zero), x.bound)
            }
            11 => {
                let mask = self.last(DType::Bool);
                let ones = self.graph.to_f32(mask);
                let ones = self.fit(Value { id: ones, bound: 1.0, exact: true }, &shape);
                let zero = self.graph.full(0.0, &shape);
                let mask = self.graph.compare(Compare::Gt, ones.id, zero);
                Value { id: self.graph.select(mask, x.id, y.id), bound, exact }
            }
            14 => {
                let axes: Vec<usize> = self.axes(x.id, form).into_iter().filter(|&a| shape[a] > 0).collect();
                Value { id: self.graph.reduce_max(x.id, &axes), ..x }
            }
            _ => {
                let axes = self.axes(x.id, form);
                self.mean(x, &axes)
            }
        }
    }

    fn index_map(&mut self, op: u8, i: usize, form: usize) -> Value {
        let x = self.values[i % self.values.len()];
        let shape = self.shape(x.id);
        let id = match op {
            17 => {
                // Whole vec4s before and after, and less.
                let widths = [0, 1, 4, 2];
                let at = |axis: usize| widths[form >> (2 * axis) & 3];
                let low: Vec<usize> = (0..shape.len()).map(at).collect();
                let high: Vec<usize> = (0..shape.len()).map(|a| at(a + 1)).collect();
                self.graph.pad(x.id, &low, &high)
            }
            _ => self.move_elements(x.id, form / 4, [0, 1, 0, 2, 3][usize::from(op - 15)]),
        };
        Value { id, ..x }
    }

    /// A value of any type under an index map: transposed, sliced, reshaped or broadcast.
    fn move_elements(&mut self, x: NodeId, form: usize, how: usize) -> NodeId {
        let shape = self.shape(x);
        match how {
            0 if shape.len() > 1 => {
                let mut perm: Vec<usize> = (0..shape.len()).collect();
                perm.rotate_left(form % shape.len());
                if form / 4 % 2 == 1 {
                    perm.reverse();
                }
                self.graph.transpose(x, &perm)
            }
            1 => {
                // Sometimes nothing is left.
                let start: Vec<usize> = shape.iter().map(|n| (form % 4).min(*n)).collect();
                let limit: Vec<usize> = shape.iter().zip(&start).map(|(n, s)| n - (form / 4 % 3).min(n - s)).collect();
                self.graph.slice(x, &start, &limit)
            }
            2 => {
                let len: usize = shape.iter().product();
                let new = match form % 4 {
                    0 => vec![len],
                    1 => vec![1, len, 1],
                    2 if len.is_multiple_of(4) => vec![4, len / 4],
                    _ => (2..20).find(|d| len.is_multiple_of(*d)).map_or(vec![len, 1], |d| vec![len / d, d]),
                };
                self.graph.reshape(x, &new)
            }
            _ => {
                let mut new = shape.clone();
                let axis = form % (shape.len() + 1);
                new.insert(axis, [1, 2, 3, 5, 4, 0, 2, 8][form / 5 % 8]);
                self.graph.broadcast_over(x, &new, &[axis])
            }
        }
    }

    /// x plus an index along a new axis or one of its own.
    fn count(&mut self, i: usize, form: usize) -> Value {
        let x = self.values[i % self.values.len()];
        let shape = self.shape(x.id);
        let new = [&shape[..], &[3][..]].concat();
        let count = self.graph.iota(&new, form % new.len());
        self.discrete.push(count);
        let count = self.graph.to_f32(count);
        let count = self.graph.scale(count, 1.0 / 64.0);
        let wide = self.graph.broadcast_over(x.id, &new, &[shape.len()]);
        let longest = new.iter().max().map_or(0.0, |&n| n as f64 / 64.0);
        Self::inexact(self.graph.add(count, wide), x.bound + longest)
    }

    /// softplus(x + row)
    fn with_row(&mut self, i: usize, j: usize) -> Value {
        let (x, other) = (self.values[i % self.values.len()], self.values[j % self.values.len()]);
        let shape = self.shape(x.id);
        let first = shape.len().min(1);
        let row = self.fit(other, &shape[first..]);
        let row = self.graph.broadcast(row.id, &shape, &(first..shape.len()).collect::<Vec<_>>());
        let sum = self.graph.add(x.id, row);
        Self::inexact(self.graph.unary(Unary::Softplus, sum), x.bound + other.bound + 1.0)
    }

    /// Labels or a mask as numbers.
    fn number(&mut self, i: usize) -> Value {
        let x = self.discrete[i % self.discrete.len()];
        let number = self.graph.to_f32(x);
        // Labels are indices of axes, none longer than this.
        let scale = 1.0 / 4096.0;
        match self.graph.node(x).ty.dtype {
            DType::Bool => Value { id: number, bound: 1.0, exact: true },
            DType::U32 | DType::F32 => Value { id: self.graph.scale(number, scale), bound: 1.0, exact: true },
        }
    }

    /// Appends labels or a mask: moved, compared or chosen from.
    fn discrete(&mut self, i: usize, j: usize, form: usize) {
        let x = self.discrete[i % self.discrete.len()];
        let ty = self.graph.node(x).ty.clone();
        let others = self.discrete.iter().cycle().skip(j % self.discrete.len()).take(self.discrete.len());
        let other = others.copied().find(|&id| id != x && self.graph.node(id).ty == ty);
        let y = match other {
            Some(other) => other,
            None if ty.shape.is_empty() => x,
            None => {
                let counted = self.graph.iota(&ty.shape, form % ty.shape.len());
                match ty.dtype {
                    DType::U32 | DType::F32 => counted,
                    DType::Bool => {
                        let wide = self.graph.iota(&ty.shape, 0);
                        self.graph.compare(Compare::Gt, counted, wide)
                    }
                }
            }
        };
        let new = match form % 7 {
            how @ 0..=3 => self.move_elements(x, form / 7, how),
            4 => self.graph.compare(COMPARISONS[form / 7 % 3], x, y),
            5 => self.graph.compare(COMPARISONS[form / 7 % 3], y, x),
            _ => {
                let mask = self.graph.compare(COMPARISONS[form / 7 % 3], x, y);
                self.graph.select(mask, y, x)
            }
        };
        if self.graph.node(new).ty.len() <= self.scale.most {
            self.discrete.push(new);
        }
    }

    /// Some side of a convolution, from two values fitted to the shapes of the other two.
    fn convolution(&mut self, i: usize, j: usize, form: usize) -> Value {
        let (x, other) = (self.values[i % self.values.len()], self.values[j % self.values.len()]);
        let window = if form.is_multiple_of(2) {
            Window::same([2 + form % 3, 3], [1 + form / 3 % 3, 2], [1 + form / 9 % 2, 1])
        } else {
            // Whatever the op allows: windows that leave the input, miss parts of it, or have no positions.
            let digit = |place: u32, base: usize| form / 7usize.pow(place) % base;
            Window {
                input: [digit(0, 5), 3],
                kernel: [1 + digit(1, 3), digit(2, 3)],
                output: [1 + digit(1, 2), digit(3, 3)],
                stride: [1 + digit(2, 2), 1 + digit(0, 2)],
                low: [digit(1, 3), digit(0, 2)],
            }
        };
        let (n, ci, co) = (1 + form % 2, 1 + form / 2 % 4, 1 + form / 8 % 5);
        let lead: &[usize] = [&[][..], &[2], &[], &[1, 2]][form / 16 % 4];
        let of = [ConvSide::Input, ConvSide::Kernel, ConvSide::Output][form / 5 % 3];
        let area = |[height, width]: [usize; 2]| height * width;
        let terms = match of {
            ConvSide::Input => area(window.kernel) * co,
            ConvSide::Kernel => area(window.output) * n,
            ConvSide::Output => area(window.kernel) * ci,
        };
        let shape = |side: ConvSide| match side {
            ConvSide::Input => [lead, &[n, window.input[0], window.input[1], ci]].concat(),
            ConvSide::Kernel => [lead, &[window.kernel[0], window.kernel[1], ci, co]].concat(),
            ConvSide::Output => [lead, &[n, window.output[0], window.output[1], co]].concat(),
        };
        let [first, second] = of.operands().map(shape);
        let (a, b) = (self.fit(x, &first), self.fit(other, &second));
        let side = self.graph.push(Op::Conv { of, window }, &[a.id, b.id]);
        self.by_root(side, x.bound * other.bound, terms)
    }

    /// Contraction of x with a value of a fitting shape: each axis of x is a batch axis, contracted, or free.
    fn contraction(&mut self, i: usize, j: usize, form: usize) -> Value {
        let (x, other) = (self.values[i % self.values.len()], self.values[j % self.values.len()]);
        let shape = self.shape(x.id);
        let role = |axis: usize| [1, 2, 0, 1][form >> (2 * axis) & 3];
        let with = |wanted: usize| (0..shape.len()).filter(|&a| role(a) == wanted).collect::<Vec<_>>();
        let (mut batch, mut contract, free) = (with(0), with(1), with(2));
        if form & 256 == 256 {
            batch.reverse();
            contract.reverse();
        }
        let len = |axes: &[usize]| axes.iter().map(|&a| shape[a]).product::<usize>();
        let wide: &[usize] = [&[][..], &[5], &[8], &[2, 3], &[17], &[0]][form / 7 % 6];
        let rhs_free: usize = wide.iter().product();
        let (most, products) = (self.scale.most, len(&batch) * len(&free) * len(&contract) * rhs_free);
        let rhs_len = len(&batch) * len(&contract) * rhs_free;
        if len(&batch) * len(&free) * rhs_free > most || rhs_len > 4 * most || products > self.scale.most_products {
            return x;
        }
        // The right operand holds contracted, free and batch axes in one of three orders.
        let (b, c, w) = (batch.len(), contract.len(), wide.len());
        let lens = |axes: &[usize]| axes.iter().map(|&a| shape[a]).collect::<Vec<_>>();
        let (bs, cs) = (lens(&batch), lens(&contract));
        let (rhs, rhs_batch, rhs_contract) = match form % 3 {
            0 => ([&bs[..], &cs, wide].concat(), 0, b),
            1 => ([&bs[..], wide, &cs].concat(), 0, b + w),
            _ => ([wide, &cs, &bs].concat(), w + c, w),
        };
        let y = self.fit(other, &rhs);
        let terms = len(&contract);
        let dims = DotDims {
            lhs_batch: batch,
            rhs_batch: (rhs_batch..rhs_batch + b).collect(),
            lhs_contract: contract,
            rhs_contract: (rhs_contract..rhs_contract + c).collect(),
        };
        let product = self.graph.dot_general(x.id, y.id, dims);
        self.by_root(product, x.bound * y.bound, terms)
    }
}
