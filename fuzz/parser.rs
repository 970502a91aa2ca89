//! libFuzzer on one parser, that which the variable `EDGEWALK_PARSER` names. See docs/portability.md.

#![no_main]

use std::sync::LazyLock;

#[path = "../tests/fuzz/parsers/mod.rs"]
mod parsers;

static PARSER: LazyLock<parsers::Parser> = LazyLock::new(|| {
    parsers::named(&std::env::var("EDGEWALK_PARSER").expect("EDGEWALK_PARSER is the name of a parser"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    PARSER(input);
});
