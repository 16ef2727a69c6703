//! The `tongban` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::run()
}
