//! The long proofs, for a machine that has the time, and the vectors of a new version.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((proof, rest)) if proof == "crashes" => tests::crashes::main(rest),
        Some((proof, rest)) if proof == "simulate" => simulation::main(rest),
        Some((proof, [name])) if proof == "vectors" => {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            match runtime.block_on(tests::versions::make(name)) {
                Ok(folder) => {
                    println!("{}", folder.display());
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("{name} was not made (a vector is never overwritten): {error}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => {
            eprintln!(
                "usage: tests crashes [--kills N] [--from SEED]\n       {}\n       tests vectors NAME",
                simulation::USAGE
            );
            ExitCode::from(2)
        }
    }
}
