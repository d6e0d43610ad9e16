//! The acceptor: it takes connections as they come and waits for none of them. Where the process
//! has no descriptor left it rests between two tries, says so once, and lives on those it held
//! back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connection::Served;
use super::descriptors::{Line, SPARE, Spare};
use super::places::Places;
use crate::telemetry::port::{ConnectionRefusal, PortMetrics};

/// Where the next connection is to wait: the last could not be accepted, or others are still to
/// close.
const PAUSE: Duration = Duration::from_millis(10);
/// Between two tries to hold descriptors back again.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(1);

/// The task that accepts.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Places,
    served: Served,
    metrics: PortMetrics,
    tasks: TaskTracker,
    spare: Spare,
    /// While there are no descriptors but those that were held back: when to look for others.
    recover_at: Option<Instant>,
    short_line: Line,
    full_line: Line,
}

impl Acceptor {
    pub(super) fn new(
        listener: TcpListener,
        places: Places,
        served: Served,
        metrics: PortMetrics,
        tasks: TaskTracker,
    ) -> Self {
        let mut spare = Spare::default();
        // Without them it is short from the beginning.
        let recover_at = spare.hold().is_err().then(Instant::now);
        Self {
            listener,
            places,
            served,
            metrics,
            tasks,
            spare,
            recover_at,
            short_line: Line::default(),
            full_line: Line::default(),
        }
    }

    /// Until the drain takes no connection any more. The listener is closed with it.
    pub(super) async fn run(mut self) {
        let mut closing = std::pin::pin!(self.served.drain.closing());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closing => return,
                () = until(self.recover_at) => {
                    self.recover();
                    continue;
                }
                // Whoever connects and connects would take the descriptors of those that are to
                // close.
                () = tokio::time::sleep(PAUSE), if self.places.ending() > SPARE => continue,
                accepted = self.listener.accept(), if self.places.ending() <= SPARE => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.begin(stream, address),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    let was_spare = self.run_short(&error);
                    if !was_spare {
                        tokio::select! {
                            () = &mut closing => return,
                            () = tokio::time::sleep(PAUSE) => {}
                        }
                    }
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, address: SocketAddr) {
        let (slot, refusal) = if self.recover_at.is_some() {
            let slot = self.places.take_reserve(address.ip());
            (slot, Some(ConnectionRefusal::Descriptors))
        } else {
            self.places.take(address.ip())
        };
        if let Some(refusal) = refusal {
            self.metrics.refused(refusal);
            if refusal != ConnectionRefusal::Descriptors
                && let Some(left_out) = self.full_line.is_due(Instant::now())
            {
                tracing::warn!(
                    peer = %address.ip(),
                    limit = ?refusal,
                    left_out,
                    "there are as many connections as there may be: more are only told of health"
                );
            }
        }
        let served = self.served.clone();
        self.tasks
            .spawn(async move { served.connection(stream, address, slot).await });
    }

    /// Makes room for connections that ask for health; returns whether it had some at hand.
    fn run_short(&mut self, error: &io::Error) -> bool {
        if let Some(left_out) = self.short_line.is_due(Instant::now()) {
            tracing::warn!(
                %error,
                left_out,
                "no connection can be accepted: until there are descriptors, connections are only \
                 told of health"
            );
        }
        self.recover_at = Some(Instant::now() + RECOVERY_INTERVAL);
        let was_spare = self.spare.give_up();
        if !was_spare {
            self.places.end_one_in_reserve();
        }
        was_spare
    }

    fn recover(&mut self) {
        let is_short = self.spare.hold().is_err();
        self.recover_at = is_short.then(|| Instant::now() + RECOVERY_INTERVAL);
    }
}

/// Never, where there is nothing to recover.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether the next connection may have better luck.
fn is_of_one_connection(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
    ]
    .contains(&error.kind())
}
