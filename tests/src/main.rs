//! The long proofs, for a machine that has the time.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((proof, rest)) if proof == "crashes" => tests::crashes::main(rest),
        _ => {
            eprintln!("usage: tests crashes [--kills N] [--from SEED]");
            ExitCode::from(2)
        }
    }
}
