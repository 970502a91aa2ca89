//! The format of TensorBoard's event files: records of protocol buffers. A number needs few of their fields.
//!
//! A record is its length (u64), the masked CRC-32C of the length (u32), the message, and the masked CRC-32C of the
//! message, all little-endian: TensorFlow's TFRecord. The messages, with the numbers of the fields in use
//! (tensorboard's `event.proto` and `summary.proto`):
//!
//! ```text
//! Event    1 wall_time: double   2 step: int64   3 file_version: string   5 summary: Summary
//! Summary  1 value: repeated Value
//! Value    1 tag: string   2 simple_value: float
//! ```

/// The first record of every file.
pub(crate) fn version(wall_time: f64) -> Vec<u8> {
    record(&[double(1, wall_time), bytes(3, b"brain.Event:2")].concat())
}

/// A record of some numbers, each under a tag, that belong to a step. `wall_time` is in seconds since 1970.
pub(crate) fn scalars<'a>(step: u64, wall_time: f64, values: impl IntoIterator<Item = (&'a str, f32)>) -> Vec<u8> {
    let value = |(tag, number): (&str, f32)| bytes(1, &[bytes(1, tag.as_bytes()), float(2, number)].concat());
    let summary: Vec<u8> = values.into_iter().flat_map(value).collect();
    record(&[double(1, wall_time), [tag(2, 0), varint(step)].concat(), bytes(5, &summary)].concat())
}

fn record(message: &[u8]) -> Vec<u8> {
    let len = (message.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), message, &masked_crc(message)].concat()
}

/// TFRecord's masking, so that checksums of data with checksums in it work.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The key of a field: its number and the kind of its value (0 varint, 1 eight bytes, 2 a length and bytes, 5 four
/// bytes).
fn tag(field: u64, kind: u64) -> Vec<u8> {
    varint(field << 3 | kind)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [tag(field, 1), value.to_le_bytes().into()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [tag(field, 5), value.to_le_bytes().into()].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [tag(field, 2), varint(value.len() as u64), value.into()].concat()
}
