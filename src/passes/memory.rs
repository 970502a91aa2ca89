//! Which buffer each stored value lives in: live ranges coloured onto a few buffers.
//!
//! A buffer holds one value at a time, and a kernel never writes the buffer that it reads, since wgpu tracks usage by
//! whole buffers. Values are placed in the order they are written, each into the free buffer whose size fits best.

/// The life of one stored value: written by kernel `first`, read for the last time by kernel `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Kernel that writes it.
    pub first: usize,
    /// Last kernel that reads it; at least `first`.
    pub last: usize,
    /// Elements of 4 bytes.
    pub len: usize,
}

/// Returns the buffer of each value and the length of each buffer. `lives` is ordered by `first`.
pub fn assign_buffers(lives: &[Life]) -> (Vec<usize>, Vec<usize>) {
    let mut lens: Vec<usize> = vec![];
    let mut busy_until: Vec<usize> = vec![];
    let mut placed = Vec::with_capacity(lives.len());
    for life in lives {
        let growth = |&b: &usize| (life.len.saturating_sub(lens[b]), lens[b]);
        let buffer = match (0..lens.len()).filter(|&b| busy_until[b] < life.first).min_by_key(growth) {
            Some(free) => free,
            None => {
                lens.push(0);
                busy_until.push(0);
                lens.len() - 1
            }
        };
        lens[buffer] = lens[buffer].max(life.len);
        busy_until[buffer] = life.last;
        placed.push(buffer);
    }
    (placed, lens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ranges_never_share_a_buffer() {
        let life = |first, last, len| Life { first, last, len };
        let lives = [life(0, 3, 10), life(0, 1, 5), life(1, 2, 7), life(2, 4, 5), life(4, 4, 20), life(5, 6, 1)];
        let (placed, lens) = assign_buffers(&lives);
        for (i, a) in lives.iter().enumerate() {
            assert!(lens[placed[i]] >= a.len);
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                let overlap = a.first <= b.last && b.first <= a.last;
                assert!(!overlap || placed[i] != placed[j], "{i} and {j} share a buffer");
            }
        }
        assert!(lens.len() < lives.len());
    }
}
