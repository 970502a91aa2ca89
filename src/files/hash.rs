//! SHA-256, as hexadecimal digits.

use sha2::{Digest, Sha256};

/// The SHA-256 of some bytes, one piece after the other, in hexadecimal digits.
pub(crate) fn sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    pieces.into_iter().for_each(|piece| hash.update(piece));
    hex(hash)
}

/// A hash as lower-case hexadecimal.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
