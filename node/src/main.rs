//! The `tongban` binary.
fn main() {}
