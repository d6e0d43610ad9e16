//! The server under test: the release binary, in a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) url: String,
}

impl Service {
    /// Migrates the database, then serves on a free port. Its log goes where ours goes.
    pub(crate) async fn start(
        belay: &Path,
        database_url: &str,
        lanes: Option<u16>,
    ) -> anyhow::Result<Self> {
        Self::start_with(belay, database_url, lanes, &[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(
        belay: &Path,
        database_url: &str,
        lanes: Option<u16>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let migrated = command(belay, database_url)
            .arg("migrate")
            .status()
            .await
            .context("belay migrate")?;
        anyhow::ensure!(migrated.success(), "belay migrate failed");

        // Somebody may take it in between; then the server says so and the bench ends.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut serve = command(belay, database_url);
        serve.args([
            "serve",
            "--trust-role-header",
            "--stop-notice",
            "0s",
            "--grpc-address",
            &address,
        ]);
        if let Some(lanes) = lanes {
            serve.args(["--lanes", &lanes.to_string()]);
        }
        serve.args(arguments);
        let child = serve.spawn().context("belay serve")?;
        let pid = child.id().context("belay serve ended at once")?;
        let mut service = Self {
            child,
            pid,
            url: format!("http://{address}"),
        };
        service
            .wait_until_healthy(belay, database_url, &address)
            .await?;
        Ok(service)
    }

    async fn wait_until_healthy(
        &mut self,
        belay: &Path,
        database_url: &str,
        address: &str,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("belay serve ended: {status}");
            }
            let mut health = command(belay, database_url);
            let health = health
                .args(["health", "--grpc-address", address])
                .stderr(Stdio::null());
            if health.status().await.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "the server was not healthy within {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// In order, as a service manager does it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .status()
            .await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("the server does not stop")??;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// What `belay version` says.
pub(crate) async fn version(belay: &Path) -> anyhow::Result<String> {
    let output = Command::new(belay)
        .arg("version")
        .output()
        .await
        .with_context(|| format!("cannot run {belay:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn command(belay: &Path, database_url: &str) -> Command {
    let mut command = Command::new(belay);
    command
        .env("BELAY_DATABASE_URL", database_url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}
