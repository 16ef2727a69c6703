//! The exchange core.

pub mod codes;
