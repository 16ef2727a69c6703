//! Compiles the .proto files with protox, so that nobody needs protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "tongban/exchange/v1/link.proto",
        "tongban/exchange/v1/payload.proto",
        "tongban/local/v1/local.proto",
        "tongban/store/v1/store.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".tongban").btree_map(".tongban").compile_fds(descriptors)?;
    Ok(())
}
