//! Compiles the protos without protoc: code for each of our packages, and their descriptor sets for
//! reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Not imported by our protos: opened so that reflection can describe the details of an error.
const ERROR_DETAILS: [&str; 2] = [
    "third_party/google/rpc/error_details.proto",
    "third_party/google/rpc/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=belay");
    println!("cargo::rerun-if-changed=third_party");

    compile("belay/v1", &ERROR_DETAILS, "belay.binpb")?;
    // Apart, so that a server tells of it only where it offers it.
    compile("belay/testing/v1", &[], "belay_testing.binpb")
}

/// Makes code of the protos in a folder, and a descriptor set of them and of what is to be
/// described with them.
fn compile(folder: &str, described: &[&str], descriptor_set: &str) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["third_party", "."])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(belay_files(Path::new(folder))?)?;
    // Only what our packages need becomes code; `google.rpc` stays with tonic-types.
    tonic_prost_build::configure()
        .server_mod_attribute(".", r#"#[cfg(feature = "server")]"#)
        .client_mod_attribute(".", r#"#[cfg(feature = "client")]"#)
        // The client crate brings its own channel.
        .build_transport(false)
        .compile_fds(compiler.file_descriptor_set())?;

    compiler.open_files(described)?;
    // `compile_fds` writes no descriptor set, and protox's own encoding keeps options that
    // prost-types would drop.
    let path =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join(descriptor_set);
    fs::write(path, compiler.encode_file_descriptor_set())?;
    Ok(())
}

/// The protos of the folder, sorted so that the same sources give the same bytes everywhere.
fn belay_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "proto")
    });
    files.sort();
    Ok(files)
}
