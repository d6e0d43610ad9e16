//! A port for few: it takes connections one by one, as many at once as it has places.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After a connection that could not be accepted: the process has as many as it may.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, and the place that it has until this is dropped.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Takes connections until it is told to stop; those beyond the places wait.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    places: usize,
    stop: CancellationToken,
    tasks: TaskTracker,
    serve: impl Fn(Accepted) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    let next = async || {
        let permit = places.clone().acquire_owned().await;
        let permit = permit.map_err(std::io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok::<_, std::io::Error>(Accepted {
            stream,
            peer,
            permit,
        })
    };
    loop {
        let taken = tokio::select! {
            taken = next() => taken,
            () = stop.cancelled() => return,
        };
        match taken {
            Ok(taken) => {
                tasks.spawn(serve(taken));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
