//! No two modules of a crate import each other, however long the way round. A module and those
//! inside it count as one room: a parent names its children, and they its types.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{read_to_string, rust_files};

/// The source folders of the crates that are held to it.
const CRATES: &[&str] = &[
    "client/src",
    "server/domain/src",
    "server/src",
    "server/wire/src",
];

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for folder in CRATES {
        let imports = imports(folder);
        assert!(imports.len() > 10, "{folder} has only {imports:?}");
        for module in imports.keys() {
            if let Some(way) = way_back(&imports, module) {
                panic!("{folder}: {}", way.join(" imports "));
            }
        }
    }
}

#[test]
fn a_circle_is_found() {
    let imports = |pairs: &[(&str, &str)]| -> BTreeMap<String, BTreeSet<String>> {
        let mut imports = BTreeMap::<_, BTreeSet<_>>::new();
        for (from, to) in pairs {
            let to = (*to).to_owned();
            imports.entry((*from).to_owned()).or_default().insert(to);
        }
        imports
    };
    let line = imports(&[("a", "b"), ("b", "c"), ("a", "c")]);
    assert_eq!(way_back(&line, "a"), None);
    let circle = imports(&[("a", "b"), ("b", "c"), ("c", "a")]);
    assert_eq!(way_back(&circle, "a").unwrap(), ["a", "b", "c", "a"]);
    let uses = paths("use crate::{a::{B, c::D as E}, f};\nlet x = crate::g::h();");
    assert_eq!(
        uses,
        ["crate::a::B", "crate::a::c::D", "crate::f", "crate::g::h"]
    );
}

/// Which modules of a crate each module imports.
fn imports(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = BTreeMap::new();
    for file in rust_files(folder) {
        let name = file.trim_start_matches(folder).trim_matches('/');
        let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
        if !matches!(name, "lib" | "main") && !name.ends_with("tests") {
            files.insert(name.replace('/', "::"), read_to_string(&file));
        }
    }
    let mut imports = BTreeMap::new();
    for (module, source) in &files {
        let mut known = BTreeSet::new();
        for path in paths(source) {
            let found = absolute(module, &path).and_then(|path| nearest(&files, &path));
            let is_inside = |found: &String| {
                let inside = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}::"));
                inside(found, module) || inside(module, found)
            };
            known.extend(found.filter(|found| !is_inside(found)));
        }
        imports.insert(module.clone(), known);
    }
    imports
}

/// The paths that a source imports or names from its crate's root. What is re-exported is offered
/// and not used, and tests may use anything.
fn paths(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let source = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for statement in source.split(';') {
        let statement = statement.trim_start();
        let last = statement
            .rsplit('\n')
            .find(|line| line.trim_start().starts_with("use "));
        if let Some(at) = last.and_then(|line| statement.rfind(line)) {
            expand(
                "",
                statement[at..].trim_start().trim_start_matches("use "),
                &mut found,
            );
        } else if !statement.starts_with("pub") || !statement.contains(" use ") {
            for (at, _) in statement.match_indices("crate::") {
                let is_path = |c: &char| c.is_alphanumeric() || matches!(c, ':' | '_');
                found.push(statement[at..].chars().take_while(is_path).collect());
            }
        }
    }
    found
}

/// Takes a `use` apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default();
        found.push(format!("{prefix}{name}"));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let (mut depth, mut item) = (0, String::new());
    for letter in rest.trim_end().trim_end_matches('}').chars().chain([',']) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            if !item.trim().is_empty() {
                expand(&prefix, &item, found);
            }
            item.clear();
        } else {
            item.push(letter);
        }
    }
}

/// A path as seen from the crate's root; none where it leads to another crate.
fn absolute(module: &str, path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    if let Some(path) = path.strip_prefix("self::") {
        return Some(format!("{module}::{path}"));
    }
    let (mut base, mut path) = (module, path);
    while let Some(rest) = path.strip_prefix("super::") {
        base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
        path = rest;
    }
    (base != module).then(|| format!("{base}::{path}").trim_start_matches(':').to_owned())
}

/// The innermost module that a path leads through.
fn nearest(files: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let mut path = path;
    loop {
        if files.contains_key(path) {
            return Some(path.to_owned());
        }
        (path, _) = path.rsplit_once("::")?;
    }
}

/// A way from a module back to itself.
fn way_back(imports: &BTreeMap<String, BTreeSet<String>>, start: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.to_owned()]];
    while let Some(way) = ways.pop() {
        for next in way
            .last()
            .and_then(|last| imports.get(last))
            .into_iter()
            .flatten()
        {
            let longer = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}
