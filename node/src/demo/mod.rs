//! The demonstration.

use std::process::ExitCode;

/// What `tongban demo` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Passed to the demonstration as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// Runs the demonstration.
pub fn run(_args: DemoArgs) -> ExitCode {
    eprintln!("the demonstration is not part of this build 此版本不含演示");
    ExitCode::FAILURE
}
