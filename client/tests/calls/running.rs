//! The world on a port of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use belay_client::{Belay, RetryPolicy, Store};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::world::World;

/// A running server, behind a proxy that can cut.
pub(crate) struct Running {
    pub(crate) world: World,
    address: String,
    proxy: Arc<Mutex<JoinSet<()>>>,
    _tasks: JoinSet<()>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_on(Server::builder()).await
    }

    /// On a server with settings of the test's own.
    pub(crate) async fn start_on(mut server: Server) -> Self {
        let world = World::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        let serve = server
            .add_routes(world.routes())
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut tasks = JoinSet::new();
        tasks.spawn(async { serve.await.unwrap() });
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", front.local_addr().unwrap());
        let proxy: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let connections = Arc::clone(&proxy);
        tasks.spawn(async move {
            while let Ok((mut caller, _)) = front.accept().await {
                connections.lock().unwrap().spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(behind).await {
                        let _ = copy_bidirectional(&mut caller, &mut server).await;
                    }
                });
            }
        });
        Self {
            world,
            address,
            proxy,
            _tasks: tasks,
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.proxy.lock().unwrap().abort_all();
    }

    pub(crate) fn belay(&self) -> Belay {
        let millisecond = Duration::from_millis(1);
        let retry = RetryPolicy::default().with_delays(millisecond, millisecond);
        Belay::builder(&self.address).retry(retry).build().unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        self.belay().store("demo")
    }
}
