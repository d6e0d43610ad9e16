//! The site in `docs/`: mdBook builds it, every link in it leads somewhere, and every command that
//! it shows is run by some test.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use belay_server::demo;
use belay_tests::process::built;
use belay_tests::run_over_http;

use crate::readme::{self, Session, Shown, commands};
use crate::tidy::read_to_string;

/// Commands of pages that no test runs as they stand there, by the page's path in the site and the
/// beginning of the command, and why. Those of the README have their own table (`readme.rs`).
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "design/contributing.md",
        "export ",
        "sets up a contributor's shell; `make test` does the same",
    ),
    (
        "design/contributing.md",
        "cargo test ",
        "builds the tests while they run",
    ),
    (
        "design/contributing.md",
        "server/dev/mysql.sh stop ",
        "stops the database that the lines above start",
    ),
    (
        "operations/backup.md",
        "",
        "`backup::a_database_comes_back…` runs them all, in this order, on databases of its own",
    ),
    (
        "operations/reports.md",
        "belay grants ",
        "`reports::an_account_for_reports…` has an account with what it prints",
    ),
    (
        "guides/languages.md",
        "buf generate ",
        "`languages::a_client_generated_for_python…` runs it in a copy of the folder",
    ),
    (
        "guides/languages.md",
        "buf breaking ",
        "`languages::a_change_that_breaks…` runs the check, in every image",
    ),
];

/// The site as mdBook makes it of a checkout: as HTML, and as the Markdown of its chapters with all
/// that they include.
struct Site {
    folder: PathBuf,
}

impl Site {
    fn build() -> Self {
        let mdbook = std::env::var("MDBOOK").unwrap_or_else(|_| {
            panic!(
                "MDBOOK is not set. This test builds the site with the real mdBook: set MDBOOK to what \
                 `server/dev/tools.sh mdbook` prints, or run `make test`, which does so"
            )
        });
        let folder = readme::tempfile();
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let built = Command::new(mdbook)
            .args([
                OsStr::new("build"),
                OsStr::new("--dest-dir"),
                folder.as_os_str(),
            ])
            .arg(docs)
            // Beside the HTML, whose renderer has to be named as well then.
            .env("MDBOOK_OUTPUT__MARKDOWN", "{}")
            .output()
            .expect("mdBook can be run");
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        let is_clean = !said.contains("WARN") && !said.contains("ERROR");
        assert!(built.status.success() && is_clean, "{said}");
        Self { folder }
    }

    /// The files of a renderer with this extension, by their paths in the site.
    fn files(&self, renderer: &str, extension: &str) -> BTreeMap<String, String> {
        let (top, mut files) = (self.folder.join(renderer), BTreeMap::new());
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder of the site") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension() == Some(OsStr::new(extension)) {
                    let name = path
                        .strip_prefix(&top)
                        .expect("below it")
                        .display()
                        .to_string();
                    files.insert(name, fs::read_to_string(&path).expect("text"));
                }
            }
        }
        assert!(!files.is_empty(), "mdBook wrote no {extension}");
        files
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    let found = page.split(&*begin).skip(1);
    found
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect()
}

/// A path that may go up, from the folder of a file of the site.
fn resolved(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_somewhere() {
    let site = Site::build();
    let pages = site.files("html", "html");
    let ids: BTreeMap<&str, BTreeSet<&str>> = pages
        .iter()
        .map(|(name, page)| (&**name, values(page, "id").into_iter().collect()))
        .collect();
    let mut dead = Vec::new();
    let mut followed = 0_u32;
    for (name, page) in &pages {
        // Its paths are from the root of wherever the site will be.
        if name == "404.html" {
            continue;
        }
        let links = values(page, "href").into_iter().chain(values(page, "src"));
        for link in links.filter(|link| !link.contains(':')) {
            let (path, id) = link.split_once('#').unwrap_or((link, ""));
            let there = if path.is_empty() {
                name.clone()
            } else {
                resolved(name, path)
            };
            followed += 1;
            let is_id = ids
                .get(&*there)
                .is_none_or(|ids| id.is_empty() || ids.contains(id));
            if !site.folder.join("html").join(&there).is_file() || !is_id {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    for (name, page) in site.files("markdown", "md") {
        let is_whole = !page.contains("{{#file") && !page.contains("{{#section");
        assert!(
            is_whole && !page.contains("{{#part"),
            "{name} includes nothing"
        );
    }
    assert!(followed > 1000, "only {followed} links were found");
    assert_eq!(dead, Vec::<String>::new());
}

/// What stands in the repository for readers, and is not in the site, would be found by nobody.
#[test]
fn every_document_and_guide_is_in_a_chapter() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut included = String::new();
    let mut folders = vec![docs.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of chapters") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("md")) {
                included.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let folders = [docs.clone(), docs.join("../client/guide")];
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().and_then(OsStr::to_str).expect("a name");
        // The page that rustdoc begins its guides with.
        if path.extension() == Some(OsStr::new("md")) && name != "guide.md" {
            let is_included = included.contains(&format!("/{name}}}}}"));
            assert!(is_included, "{} is in no chapter", path.display());
        }
    }
}

/// Of each page the commands that the README does not have.
fn commands_of_pages(site: &Site) -> BTreeMap<String, Vec<Shown>> {
    let of_readme: BTreeSet<String> = commands(&read_to_string("README.md"))
        .into_iter()
        .map(|shown| shown.command)
        .collect();
    let pages = site.files("markdown", "md").into_iter();
    let own = |(name, page): (String, String)| {
        let mut own = commands(&page);
        own.retain(|shown| !of_readme.contains(&shown.command));
        (name, own)
    };
    pages.map(own).filter(|(_, own)| !own.is_empty()).collect()
}

fn is_not_run(page: &str, shown: &Shown) -> bool {
    NOT_RUN
        .iter()
        .any(|(of, begin, _)| *of == page && shown.command.starts_with(begin))
}

/// What pages rely on that go on where the tour ended: an order that has left and was refused to a
/// buyer who came too late.
async fn tour(session: &mut Session<'_>) {
    const SHOP: &str = "grpcurl -plaintext -H 'belay-role: operator' -d";
    const ADDRESS: &str = "127.0.0.1:50051";
    let calls = [
        (
            r#"{"store_id":"demo","order_id":"audited-1","buyer":{"id":"ann"},"seller_id":"acme","destination":{"country_code":"DE"},
                "lines":[{"sku":"mug","quantity":1,"goods":{"currency_code":"EUR","minor_units":1000}}],
                "shipments":[{"carrier_id":"express","contents":[{"line_number":1,"quantity":1}]}]}"#,
            "OrderService/CreateOrder",
        ),
        (
            r#"{"store_id":"demo","order_id":"audited-1","provider_payment_id":"pay-audited","provider_event_id":"event-1",
                "fact":"PAYMENT_FACT_CAPTURED","method":"CREDIT_CARD","amount":{"currency_code":"EUR","minor_units":1000}}"#,
            "OrderService/RecordPayment",
        ),
        (
            r#"{"store_id":"demo","shipment_id":"audited-1:s1","fence":1}"#,
            "FulfillmentService/DispatchShipment",
        ),
    ];
    for (request, method) in calls {
        let command = format!("{SHOP} '{request}' {ADDRESS} belay.v1.{method}");
        session.run(&Shown::new(&command, "")).await;
    }
    let request =
        r#"{"store_id":"demo","order_id":"audited-1","all":{},"reason":"NO_LONGER_WANTED"}"#;
    let command = format!(
        "grpcurl -plaintext -H 'belay-role: storefront' -d '{request}' {ADDRESS} belay.v1.CancellationService/RequestCancellation"
    );
    session.run(&Shown::new(&command, "ERROR:\n")).await;
}

#[test]
fn every_command_of_the_site_does_what_is_shown() {
    let pages = commands_of_pages(&Site::build());
    for (page, begin, _) in NOT_RUN {
        let commands = pages.get(*page).into_iter().flatten();
        assert!(
            commands
                .into_iter()
                .any(|shown| shown.command.starts_with(begin)),
            "{page} has no {begin:?} any more"
        );
    }
    run_over_http(async |t| {
        demo::prepare(t.address()).await.unwrap();
        for (page, shown) in &pages {
            let to_run: Vec<&Shown> = shown.iter().filter(|it| !is_not_run(page, it)).collect();
            if to_run.is_empty() {
                continue;
            }
            let mut session = Session::begin(t);
            if page == "guides/auditor.md" {
                tour(&mut session).await;
            }
            for shown in to_run {
                session.run(shown).await;
            }
        }
    });
}

/// Commands in the tables of the page for operators are named, not run: the program must know each
/// of them, with its flags.
#[test]
fn commands_that_operators_are_shown_are_known() {
    let page = read_to_string("docs/for-operators.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let code = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let commands: BTreeSet<&str> = code.filter(|code| code.starts_with("belay ")).collect();
    assert!(commands.len() > 20, "only {} were found", commands.len());
    for command in commands {
        let mut belay = Command::new(built("belay"));
        belay.args(command.split_whitespace().skip(1)).arg("--help");
        let known = belay.env_clear().output().expect("it can be run");
        let said = String::from_utf8_lossy(&known.stderr);
        assert!(known.status.success(), "{command}: {said}");
    }
}

#[test]
fn links_and_ids_are_found() {
    let page = "<a href=\"../a/b.html#c\">x</a><h1 id=\"d\"><img src=\"e.svg\">";
    assert_eq!(values(page, "href"), ["../a/b.html#c"]);
    assert_eq!(values(page, "id"), ["d"]);
    assert_eq!(values(page, "src"), ["e.svg"]);
    assert_eq!(resolved("guides/seller.html", "../a/b.html"), "a/b.html");
    assert_eq!(resolved("tour.html", "./x.html"), "x.html");
}
