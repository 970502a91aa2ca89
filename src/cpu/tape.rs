//! Tapes: the lines of a plan's step as instructions on vectors. An instruction handles all elements of a block, or one
//! for each row of the block, before the next one begins; its operands and results are registers, which stay in the
//! cache.

use super::layout::Strides;
use crate::graph::{Binary, Compare, Unary};

/// Number of a register of floats, which also hold truth values as 0 and 1, or of words.
pub(super) type Register = usize;

/// Elements of a buffer.
#[derive(Clone, Debug)]
pub(super) enum At {
    Strided(Strides),
    /// At the places that a register of words holds.
    Each(Register),
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Word,
    Flag,
}

/// What an instruction does; names are those of [`Expr`](crate::plan::Expr).
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Load {
        binding: usize,
        at: At,
        kind: Kind,
    },
    /// What the loop before the tape has computed.
    Root,
    Unary(Unary, Register),
    Binary(Binary, [Register; 2]),
    Compare(Compare, [Register; 2]),
    /// Of words.
    CompareWords(Compare, [Register; 2]),
    Select([Register; 3]),
    SelectWords([Register; 3]),
    Float(Register),
    /// Each row's value for its elements.
    Spread(Register),
    SpreadWords(Register),
    OverRow(Binary, Register),
    /// A value, and 0 where this one of the tests does not hold.
    Masked(Register, Bound),
    /// An index of q.
    Positions(Strides),
    /// constant + Σ factor · word
    Sum(u32, Vec<(u32, Register)>),
    Divided(Register, u32),
    Remainder(Register, u32),
    AtMost(Register, u32),
    Store {
        binding: usize,
        at: At,
        kind: Kind,
        value: Register,
        accumulate: bool,
    },
    /// What the root becomes, of itself and a value.
    Accumulate(Binary, Register),
}

/// A condition on words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    Below(Register, u32),
    Divides(Register, u32),
}

/// One step of a tape.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub operation: Operation,
    /// The register that it fills, if it is no store.
    pub to: Register,
    /// Whether it handles an element for each row, not all.
    pub per_row: bool,
}

/// See the module text.
#[derive(Clone, Debug, Default)]
pub(super) struct Tape {
    pub instructions: Vec<Instruction>,
    /// Registers of floats that hold a number throughout.
    pub constants: Vec<(Register, f64)>,
    pub floats: usize,
    pub words: usize,
    /// Elements of a row; 1 where there are no rows.
    pub row: usize,
}

impl Operation {
    /// Whether the result is words.
    pub fn gives_words(&self) -> bool {
        match self {
            Self::Load { kind, .. } => *kind == Kind::Word,
            Self::SelectWords(_) | Self::SpreadWords(_) | Self::Positions(_) | Self::Sum(..) => true,
            Self::Divided(..) | Self::Remainder(..) | Self::AtMost(..) => true,
            Self::Root | Self::Unary(..) | Self::Binary(..) | Self::Compare(..) | Self::CompareWords(..) => false,
            Self::Select(_) | Self::Float(_) | Self::Spread(_) | Self::OverRow(..) | Self::Masked(..) => false,
            Self::Store { .. } | Self::Accumulate(..) => false,
        }
    }

    /// Whether it leaves its result elsewhere than in a register.
    pub fn fills_nothing(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Accumulate(..))
    }

    /// The registers that it reads: numbers of floats, and of words.
    pub fn operands(&mut self) -> (Vec<&mut Register>, Vec<&mut Register>) {
        match self {
            Self::Load { at, .. } => (vec![], at.register().into_iter().collect()),
            Self::Root | Self::Positions(_) => (vec![], vec![]),
            Self::Unary(_, x) | Self::Spread(x) | Self::OverRow(_, x) | Self::Accumulate(_, x) => (vec![x], vec![]),
            Self::Binary(_, operands) | Self::Compare(_, operands) => (operands.iter_mut().collect(), vec![]),
            Self::Select(operands) => (operands.iter_mut().collect(), vec![]),
            Self::SelectWords([mask, x, y]) => (vec![mask], vec![x, y]),
            Self::CompareWords(_, operands) => (vec![], operands.iter_mut().collect()),
            Self::Masked(x, Bound::Below(word, _) | Bound::Divides(word, _)) => (vec![x], vec![word]),
            Self::Sum(_, terms) => (vec![], terms.iter_mut().map(|(_, word)| word).collect()),
            Self::Float(word) | Self::SpreadWords(word) => (vec![], vec![word]),
            Self::Divided(word, _) | Self::Remainder(word, _) | Self::AtMost(word, _) => (vec![], vec![word]),
            Self::Store { at, kind, value, .. } => {
                let mut words: Vec<_> = at.register().into_iter().collect();
                if *kind == Kind::Word {
                    words.push(value);
                    (vec![], words)
                } else {
                    (vec![value], words)
                }
            }
        }
    }
}

impl At {
    /// The number of elements after which the same ones come again, if that is known.
    pub fn period(&self) -> Option<usize> {
        match self {
            Self::Strided(strides) => strides.period(),
            Self::Each(_) => None,
        }
    }

    fn register(&mut self) -> Option<&mut Register> {
        match self {
            Self::Strided(_) => None,
            Self::Each(words) => Some(words),
        }
    }
}

impl Tape {
    /// Gives registers whose values are not needed any more to later instructions. Until here each instruction has its
    /// own.
    pub fn share_registers(&mut self) {
        let mut last = [vec![0; self.floats], vec![0; self.words]];
        for (at, instruction) in self.instructions.iter_mut().enumerate() {
            let (floats, words) = instruction.operation.operands();
            floats.into_iter().for_each(|&mut register| last[0][register] = at);
            words.into_iter().for_each(|&mut register| last[1][register] = at);
        }
        for &(register, _) in &self.constants {
            last[0][register] = usize::MAX;
        }
        let mut renamed = last.each_ref().map(|last| vec![usize::MAX; last.len()]);
        let (mut free, mut count) = ([vec![], vec![]], [0, 0]);
        for (register, _) in &mut self.constants {
            renamed[0][*register] = count[0];
            (*register, count[0]) = (count[0], count[0] + 1);
        }
        for (at, instruction) in self.instructions.iter_mut().enumerate() {
            let mut ended = [vec![], vec![]];
            let (floats, words) = instruction.operation.operands();
            for (kind, operands) in [floats, words].into_iter().enumerate() {
                for register in operands {
                    let old = *register;
                    *register = renamed[kind][old];
                    if last[kind][old] == at && !ended[kind].contains(register) {
                        ended[kind].push(*register);
                    }
                }
            }
            if !instruction.operation.fills_nothing() {
                let kind = usize::from(instruction.operation.gives_words());
                // Not one of its own operands': an instruction reads and writes at once.
                let to = free[kind].pop().unwrap_or_else(|| {
                    count[kind] += 1;
                    count[kind] - 1
                });
                renamed[kind][instruction.to] = to;
                instruction.to = to;
            }
            (0..2).for_each(|kind| free[kind].append(&mut ended[kind]));
        }
        [self.floats, self.words] = count;
    }
}
