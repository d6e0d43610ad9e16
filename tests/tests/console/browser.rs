//! The console in a real browser: how it looks, that nobody is kept out by it, and that what means
//! harm does none. The pictures are kept beside what the tests build, in `console/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use belay_client::RequestId;
use belay_tests::console::{Visitor, with_console};
use belay_tests::process::Running;
use belay_tests::run_at;
use serde_json::json;

use super::scenery::{MONDAY, build};

/// The path of a tool, which the environment gives.
fn tool(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| {
            panic!(
                "{variable} is not set. This test looks at pages in a browser: set {variable} to the path that \
                 `server/dev/tools.sh {name}` prints, or run `make test`, which does so"
            )
        })
        .into()
}

/// A folder with the script and the packages that it needs, which goes with the test.
struct Workshop(PathBuf);

impl Workshop {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RequestId::mint().to_string());
        std::fs::create_dir_all(&folder).expect("a new folder");
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        for file in ["look.mjs", "package.json"] {
            std::fs::copy(own.join(file), folder.join(file)).expect("it is there");
        }
        let packages = tool("CONSOLE_PACKAGES", "console-packages");
        std::os::unix::fs::symlink(packages, folder.join("node_modules")).expect("a link");
        Self(folder)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn in_a_real_browser_the_pages_are_readable_by_all_and_run_nothing() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let admin = Visitor::to(&service).admin;
        let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
        std::fs::create_dir_all(&pictures).expect("a folder");
        let pages = json!([
            ["stores", "/console/"],
            ["orders", "/console/orders?store=shop"],
            ["order-cancelled", "/console/order?store=shop&id=A-2"],
            ["order-intercepted", "/console/order?store=shop&id=A-3"],
            ["order-incident", "/console/order?store=shop&id=A-5"],
            [
                "explain",
                "/console/explain?store=shop&id=A-4&reason=NO_LONGER_WANTED"
            ],
            ["explain-accepted", "/console/explain?store=shop&id=A-3"],
            [
                "explain-as-buyer",
                "/console/explain?store=shop&id=A-4&reason=NO_LONGER_WANTED&as=BUYER"
            ],
            ["awaiting", "/console/awaiting?store=shop&party=CARRIER"],
            ["incidents", "/console/incidents?store=shop"],
            ["refunds", "/console/refunds?store=shop"],
            [
                "refunds-overdue",
                "/console/refunds?store=shop&which=OVERDUE"
            ],
            ["policy", "/console/policy?store=shop#rule-before-dispatch"],
            ["hostile", "/console/order?store=hostile&id=H-1"],
            ["hostile-explain", "/console/explain?store=hostile&id=H-1"],
            ["not-found", "/console/order?store=shop&id=NONE"]
        ]);
        let workshop = Workshop::new();
        let mut look = Command::new(tool("NODE", "node"));
        look.arg(workshop.0.join("look.mjs"))
            .arg(tool("CHROMIUM", "chromium"))
            .arg(format!("http://{admin}"))
            .arg(&pictures)
            .arg(pages.to_string());
        let mut looking = Running::start(look);
        looking
            .until_said("it looks at the feed", |line| {
                (line == "watching").then_some(())
            })
            .await;
        t.place("LIVE-1").await;
        let (status, said) = looking.end().await;
        assert!(status.success(), "{said}");
        assert!(
            said.contains("looked at 19 pages in 2 schemes: nothing is wrong"),
            "{said}"
        );
        service.stop().await;
    });
}
