//! The acceptor: it takes connections as they come and waits for none of them. Where the process has
//! no descriptor left it rests between two tries, says so once, and lives on those it held back.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connection::Served;
use super::descriptors::{Line, Spare};
use super::places::Places;
use crate::telemetry::port::{PortMetrics, Refusal};

/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
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
    /// Since when there are no descriptors but those that were held back.
    is_short: bool,
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
        let is_short = spare.hold().is_err();
        Self {
            listener,
            places,
            served,
            metrics,
            tasks,
            spare,
            is_short,
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
                accepted = self.listener.accept() => accepted,
                () = tokio::time::sleep(RECOVERY_INTERVAL), if self.is_short => {
                    self.recover();
                    continue;
                }
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
        let (place, refusal) = if self.is_short {
            let place = self.places.take_reserve(address.ip());
            (place, Some(Refusal::Descriptors))
        } else {
            self.places.take(address.ip())
        };
        if let Some(refusal) = refusal {
            self.metrics.refused(refusal);
            if let Some(left_out) = self.full_line.is_due(Instant::now())
                && refusal != Refusal::Descriptors
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
            .spawn(async move { served.connection(stream, address, place).await });
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
        self.is_short = true;
        let was_spare = self.spare.give_up();
        if !was_spare {
            self.places.end_one_in_reserve();
        }
        was_spare
    }

    fn recover(&mut self) {
        self.is_short = self.spare.hold().is_err();
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
