//! The `tongban` binary.

use std::process::ExitCode;

/// Buffers of a batch are made on one thread and dropped on another; the system's allocator spends a
/// fifth of a node's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    node::cli::run()
}
