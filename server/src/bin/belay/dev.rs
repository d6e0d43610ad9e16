//! `belay dev`: a server to try, for this machine alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use belay_server::auth::Authentication;
use belay_server::command_line::database::DatabaseArguments;
use belay_server::command_line::effective;
use belay_server::connect::command_line::dev_address;
use belay_server::db::migrate::{self, FillSettings, Target};
use belay_server::identity_keys::check_value;
use belay_server::in_memory::InMemory;
use belay_server::telemetry::Telemetry;
use belay_server::telemetry::audit::AuditLog;
use belay_server::{command_line, demo};
use clap::Args;
use secrecy::ExposeSecret as _;

use super::listen::{Listen, StopSignal, audited, serve_until_stopped, start};

/// Where `dev` opens the admin port if nothing is said: on any free port, as several may run.
const DEV_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Debug, Args)]
pub(super) struct Dev {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    listen: Listen,
    /// Time stands still until somebody moves it in the table `manual_clock`.
    #[arg(long)]
    manual_clock: bool,
    /// Serve from memory, without MySQL: the same rules and answers, with nothing kept when it
    /// ends, and without the console, metrics and whatever reads the database. Of the other
    /// settings --grpc-address alone counts.
    #[arg(long, conflicts_with = "manual_clock")]
    in_memory: bool,
    /// The grpcurl to print in the examples.
    #[arg(long, env = "BELAY_GRPCURL", default_value = "grpcurl", hide = true)]
    grpcurl: String,
}

impl Dev {
    pub(super) async fn run(&self, telemetry: &Telemetry) -> anyhow::Result<()> {
        let grpc_address = self.listen.grpc_address;
        let addresses = [Some(grpc_address), self.listen.http.address()];
        for address in addresses.into_iter().flatten() {
            anyhow::ensure!(
                address.ip().is_loopback(),
                "dev believes every caller and listens on loopback only, not on {address}"
            );
        }
        if self.in_memory {
            return self.serve_from_memory().await;
        }
        let url = self.database.url()?;
        migrate::create_database(&url).await?;
        let keys = self.listen.identity.read()?;
        let check = keys.as_ref().map(|keys| check_value(keys.first()));
        command_line::migrate::migrate(&url, check, &Target::Latest, FillSettings::default())
            .await?;
        let audit = AuditLog::start(&self.listen.audit_log)?;
        let telemetry = audited(telemetry, &audit)?;
        let mut settings = self.listen.settings(url, Authentication::Dev, &telemetry);
        settings.manual_clock = self.manual_clock;
        settings.http = self.listen.http.settings(Some(dev_address(grpc_address)))?;
        let admin = self.listen.admin_listen.unwrap_or(DEV_ADMIN_LISTEN);
        settings.admin_address = Some(admin);
        // It believes everybody who reaches it.
        let has_console = admin.ip().is_loopback();
        settings.console = has_console;
        settings.profiling = self.listen.profiling()?;
        settings.identity_keys = keys;
        // No balancer is in front of it, and a person waits.
        settings.stop_notice = Duration::ZERO;
        let mut stop = StopSignal::listen()?;
        let Some(server) = start(settings, grpc_address, &mut stop).await? else {
            return Ok(());
        };
        demo::prepare(server.address()).await?;
        let admin = server.admin_address().unwrap_or(admin);
        let shown = effective::without_password(self.database.url()?.expose_secret());
        let addresses = demo::Addresses {
            grpc: server.address(),
            http: server.http_address(),
            admin,
        };
        demo::greet(&self.grpcurl, addresses, &shown, has_console);
        serve_until_stopped(server, stop).await
    }

    /// `dev` without a database.
    async fn serve_from_memory(&self) -> anyhow::Result<()> {
        let mut stop = StopSignal::listen()?;
        let server = InMemory::start(self.listen.grpc_address).await?;
        tracing::info!(address = %server.address(), "serving from memory");
        demo::prepare(server.address()).await?;
        demo::greet_in_memory(&self.grpcurl, server.address());
        stop.received().await;
        tracing::info!("stopping");
        server.stop().await;
        Ok(())
    }
}
