//! The parts of the `tongban` binary that tests use.

pub mod demo;
