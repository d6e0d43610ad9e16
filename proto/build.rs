//! Compiles the protos without protoc: code for `belay.v1`, and a descriptor set for reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Not imported by our protos: opened so that reflection can describe the details of an error.
const ERROR_DETAILS: [&str; 2] = ["third_party/google/rpc/error_details.proto", "third_party/google/rpc/status.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=belay");
    println!("cargo::rerun-if-changed=third_party");

    let belay = belay_files(Path::new("belay/v1"))?;

    let mut compiler = protox::Compiler::new(["third_party", "."])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&belay)?;
    // Only what `belay.v1` needs becomes code; `google.rpc` stays with tonic-types.
    tonic_prost_build::configure()
        .server_mod_attribute(".", r#"#[cfg(feature = "server")]"#)
        .client_mod_attribute(".", r#"#[cfg(feature = "client")]"#)
        // The client crate brings its own channel.
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())?;

    compiler.open_files(ERROR_DETAILS)?;
    // `compile_fds` writes no descriptor set, and protox's own encoding keeps options that prost-types would drop.
    let path = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("belay.binpb");
    fs::write(path, compiler.encode_file_descriptor_set())?;
    Ok(())
}

/// The protos of the folder, sorted so that the same sources give the same bytes everywhere.
fn belay_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    Ok(files)
}
