//! A cluster of MariaDB servers with Galera on this machine: all of its nodes take writes.

use std::env;
use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use secrecy::{ExposeSecret, SecretString};

use crate::group::{free_ports, look};
use crate::instance::Instance;
use crate::until;

/// Unpacks MariaDB and Galera, and says where their programs are.
const FETCH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/dev/mariadb-fetch.sh"
);
/// Of a node besides MariaDB's own: for the cluster, for all data, for what it lacks of them.
const PORTS: usize = 3;

/// A cluster of nodes, which end with it.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<Instance>,
}

impl Galera {
    /// Forms one of so many nodes, with a migrated database.
    ///
    /// # Panics
    /// Where MariaDB cannot be had.
    pub async fn start(nodes: usize) -> Self {
        let programs = programs();
        let path = env::var("PATH").unwrap_or_default();
        let environment = || {
            vec![
                ("PATH", format!("{programs}:{path}")),
                ("BELAY_ALLOW_MARIADB", "1".to_owned()),
            ]
        };
        let ports = free_ports(nodes * PORTS);
        let ports: Vec<&[u16]> = ports.chunks(PORTS).collect();
        let provider = Path::new(&programs).join("../usr/lib/galera/libgalera_smm.so");
        let arguments = |index: usize| arguments_of(index, &ports, &provider.display().to_string());
        let mut begun = Vec::new();
        for index in 0..nodes {
            let mut first = arguments(index);
            if index == 0 {
                first.push("--wsrep-new-cluster".to_owned());
            }
            let mut node = Instance::bare_in(environment(), first).await;
            node.set_arguments(arguments(index));
            begun.push(node);
        }
        let cluster = Self { nodes: begun };
        cluster.whole().await;
        cluster.nodes[0].prepare().await;
        cluster
    }

    pub fn node(&self, index: usize) -> &Instance {
        &self.nodes[index]
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The URL of all nodes for a server, this one first.
    pub fn serve_url(&self, first: usize) -> SecretString {
        let (after, before) = (&self.nodes[first..], &self.nodes[..first]);
        let places: Vec<String> = after.iter().chain(before).map(Instance::place).collect();
        let url = self.nodes[first].serve_url().expose_secret().to_owned();
        SecretString::from(url.replacen(&places[0], &places.join(","), 1))
    }

    /// Waits until all nodes are in the cluster and take writes.
    pub async fn whole(&self) {
        until("all nodes are in the cluster", async || {
            let asked = self.nodes.iter().map(|node| async {
                let mut conn = look(node).await?;
                let query = "SELECT variable_value FROM information_schema.global_status \
                    WHERE variable_name IN ('wsrep_cluster_size', 'wsrep_ready') ORDER BY variable_name";
                let told: Vec<String> = conn.query(query).await.ok()?;
                (told == [self.len().to_string(), "ON".to_owned()]).then_some(())
            });
            join_all(asked).await.into_iter().collect::<Option<()>>()
        })
        .await;
    }
}

fn programs() -> String {
    let fetched = Command::new(FETCH).output().expect("it can be run");
    let said = String::from_utf8_lossy(&fetched.stderr);
    assert!(fetched.status.success(), "{FETCH}: {said}");
    String::from_utf8_lossy(&fetched.stdout).trim().to_owned()
}

fn arguments_of(index: usize, ports: &[&[u16]], provider: &str) -> Vec<String> {
    let place = |port: u16| format!("127.0.0.1:{port}");
    let nodes: Vec<String> = ports.iter().map(|ports| place(ports[0])).collect();
    let own = &nodes[index];
    let (all_data, missing) = (place(ports[index][1]), place(ports[index][2]));
    vec![
        format!("--server-id={}", index + 1),
        "--log-slave-updates=ON".to_owned(),
        "--innodb-autoinc-lock-mode=2".to_owned(),
        "--wsrep-on=ON".to_owned(),
        format!("--wsrep-provider={provider}"),
        "--wsrep-cluster-name=belay".to_owned(),
        format!("--wsrep-cluster-address=gcomm://{}", nodes.join(",")),
        format!("--wsrep-node-name=node{index}"),
        format!("--wsrep-node-address={own}"),
        "--wsrep-sst-method=rsync".to_owned(),
        format!("--wsrep-sst-receive-address={all_data}"),
        format!(
            "--wsrep-provider-options=base_port={};gmcast.listen_addr=tcp://{own};ist.recv_addr={missing}",
            ports[index][0]
        ),
    ]
}
