//! No type of tonic or prost is in the public API: what is public names neither, nor a message.

use std::fs;
use std::path::Path;

#[test]
fn the_public_api_names_no_type_of_the_wire() {
    let mut declarations = 0;
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text = fs::read_to_string(&path).unwrap();
        // Tests and macros end a file's declarations or show no types.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for declaration in public_declarations(code) {
            declarations += 1;
            for word in [
                "pb::",
                "tonic",
                "prost",
                "Status",
                "belay_proto",
                "tower::",
                "backon::",
            ] {
                assert!(
                    !declaration.contains(word),
                    "{}: `{declaration}` names `{word}`",
                    path.display()
                );
            }
        }
    }
    assert!(declarations > 300, "found only {declarations} declarations");
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// What stands between `pub`, or the beginning of a trait's implementation, and the body or the
/// end.
fn public_declarations(code: &str) -> Vec<String> {
    let mut declarations = Vec::new();
    let mut rest = code
        .lines()
        .map(str::trim_start)
        .skip_while(|line| line.is_empty());
    while let Some(line) = rest.next() {
        let is_public = line.starts_with("pub ") && !line.starts_with("pub struct $name(");
        let is_conversion = line.starts_with("impl From<") || line.starts_with("impl TryFrom<");
        if !is_public && !is_conversion {
            continue;
        }
        // The fields of a tuple struct are private unless they say so.
        if line.starts_with("pub struct ") && line.contains('(') && !line.contains("(pub ") {
            continue;
        }
        let mut declaration = line.to_owned();
        // A field ends with a comma, but not every comma ends a field.
        let is_open = |text: &str| text.matches('(').count() > text.matches(')').count();
        while !declaration.contains(['{', ';'])
            && (!declaration.ends_with(',') || is_open(&declaration))
        {
            let Some(line) = rest.next() else { break };
            declaration.push(' ');
            declaration.push_str(line);
        }
        declarations.push(declaration);
    }
    declarations
}

#[test]
fn a_type_of_the_wire_would_be_found() {
    let found = public_declarations(
        "impl Error {\n    pub fn from(\n        status: tonic::Status,\n    ) -> Self {\n",
    );
    assert_eq!(found, ["pub fn from( status: tonic::Status, ) -> Self {"]);
}
