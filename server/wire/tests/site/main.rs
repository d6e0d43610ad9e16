//! The pages of the site that say what tables, documents and protos say. They are committed, so
//! that the site is built by mdBook alone and a review sees what changes; `make pages` writes them
//! anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod api;
mod errors;
mod policies;
mod protos;
mod states;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src");
/// Set by `make pages`.
const WRITE: &str = "BELAY_PAGES_WRITE";
/// Folders of which every page is made here: one that nothing makes any more is taken out.
const WHOLE: [&str; 1] = ["reference/api"];

/// Pages by their path in the site.
type Pages = BTreeMap<String, String>;

/// What stands under the title of each.
const MADE: &str = "Made by `make pages`; a test holds it to the program.\n";

fn pages() -> Pages {
    let mut pages = Pages::new();
    errors::write(&mut pages);
    states::write(&mut pages);
    policies::write(&mut pages);
    api::write(&mut pages);
    pages
}

/// Files in a folder of the site.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn the_pages_say_what_the_program_says() {
    let (folder, pages) = (Path::new(FOLDER), pages());
    let is_written = std::env::var_os(WRITE).is_some();
    for (path, page) in &pages {
        let file = folder.join(path);
        if is_written {
            fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
            fs::write(&file, page).expect("the page can be written");
        }
        assert!(
            fs::read_to_string(&file).is_ok_and(|written| written == *page),
            "docs/src/{path} is out of date: `make pages`"
        );
    }
    for file in WHOLE.iter().flat_map(|whole| files(&folder.join(whole))) {
        let path = file.strip_prefix(folder).expect("in the folder");
        let is_made = pages.contains_key(&path.display().to_string());
        if !is_made && is_written {
            fs::remove_file(&file).expect("it can be taken out");
        }
        assert!(
            is_made || is_written,
            "{}: nothing makes it: `make pages`",
            path.display()
        );
    }
}

/// Prose as it stands in a cell of a table: paragraphs and lists with breaks between them.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for paragraph in protos::blocks(text) {
        if !cell.is_empty() {
            cell.push_str("<br>");
        }
        cell.push_str(&escaped(&paragraph.replace("- ", "• ")));
    }
    cell.replace('|', "\\|")
}

/// Prose in which nothing is taken for a tag of HTML; code is left as it is.
fn escaped(text: &str) -> String {
    let pieces = text.split('`').enumerate().map(|(index, piece)| {
        if index % 2 == 0 {
            piece.replace('<', "&lt;")
        } else {
            piece.to_owned()
        }
    });
    pieces.collect::<Vec<_>>().join("`")
}
