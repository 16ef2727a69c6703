//! libFuzzer over one parser, named by the variable `TARGET`. The targets are `tests::parsers::ALL`.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<&'static tests::parsers::Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET names a parser of tests::parsers::ALL");
    tests::parsers::named(&name).expect("TARGET names a parser of tests::parsers::ALL")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.check)(bytes));
