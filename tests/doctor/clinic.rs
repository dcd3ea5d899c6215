//! A cluster that is broken on purpose, examined, and mended as the findings say.

use std::sync::Arc;

use highwater::config::Config;
use highwater::doctor::finding::{Diagnosis, Finding, Severity};
use highwater::rig::{Cluster, ROOT, Server};
use mysql_async::prelude::Queryable;

use crate::support;

pub(crate) struct Clinic {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) config: Config,
}

impl Clinic {
    pub(crate) async fn open(builder: highwater::rig::ClusterBuilder) -> Self {
        let cluster = builder.start().await.unwrap();
        cluster.wait_all_caught_up().await.unwrap();
        let config = support::config(&cluster);
        Self {
            cluster: Arc::new(cluster),
            config,
        }
    }

    pub(crate) async fn examine(&self) -> Diagnosis {
        highwater::doctor::examine(&self.config, &|_| ()).await
    }

    fn server(&self, address: &str) -> &Server {
        let servers = || std::iter::once(self.cluster.primary()).chain(self.cluster.replicas());
        let found = servers().find(|server| server.address() == address);
        found.unwrap_or_else(|| panic!("no server {address}"))
    }

    /// Runs statements on one connection, as root over TCP.
    pub(crate) async fn run<S: AsRef<str>>(&self, server: &Server, statements: &[S]) {
        let mut conn = server.connect(&ROOT).await.unwrap();
        for sql in statements {
            let sql = sql.as_ref();
            let result = conn.query_drop(sql).await;
            result.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    /// Breaks something on a server, sees it found with this weight, does what the finding says, and
    /// sees it gone.
    pub(crate) async fn check<S: AsRef<str>>(
        &self,
        rule: &str,
        server: &Server,
        severity: Severity,
        statements: &[S],
    ) {
        self.run(server, statements).await;
        let diagnosis = self.settled().await;
        let found = find(&diagnosis, rule, server)
            .unwrap_or_else(|| panic!("{rule} found nothing:\n{}", diagnosis.to_text()));
        assert_eq!(found.severity, severity, "{found:#?}");
        assert_eq!(
            diagnosis.holds(),
            severity != Severity::Failure,
            "{found:#?}"
        );
        let on = found.mend.on.as_deref().unwrap();
        self.run(self.server(on), &found.mend.sql).await;
        self.cluster.wait_all_caught_up().await.unwrap();
        let diagnosis = self.settled().await;
        let left = find(&diagnosis, rule, server);
        assert!(left.is_none(), "{rule} is still there: {left:#?}");
        assert!(diagnosis.holds(), "{}", diagnosis.to_text());
    }

    /// Examines once no receiver is about to connect any more.
    async fn settled(&self) -> Diagnosis {
        for replica in self.cluster.replicas() {
            let sql = match replica.engine() {
                highwater::rig::Engine::MySql => "SHOW REPLICA STATUS",
                highwater::rig::Engine::MariaDb => "SHOW SLAVE STATUS",
            };
            let mut conn = replica.connect(&ROOT).await.unwrap();
            loop {
                let row: Option<mysql_async::Row> = conn.query_first(sql).await.unwrap();
                let state = row.and_then(|row| {
                    let column = match replica.engine() {
                        highwater::rig::Engine::MySql => "Replica_IO_Running",
                        highwater::rig::Engine::MariaDb => "Slave_IO_Running",
                    };
                    row.get::<String, _>(column)
                });
                if !matches!(state.as_deref(), Some("Connecting" | "Preparing")) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            conn.disconnect().await.unwrap();
        }
        self.examine().await
    }
}

/// What a rule found on a server that is not in order.
pub(crate) fn find<'a>(
    diagnosis: &'a Diagnosis,
    rule: &str,
    server: &Server,
) -> Option<&'a Finding> {
    let address = server.address();
    diagnosis.findings.iter().find(|finding| {
        finding.rule == rule
            && finding.severity != Severity::Ok
            && finding.server.as_deref() == Some(&address)
    })
}

/// The rules that found something heavier than a note.
pub(crate) fn alarms(diagnosis: &Diagnosis) -> Vec<&'static str> {
    let heavy = |finding: &&Finding| finding.severity >= Severity::Warning;
    let findings = diagnosis.findings.iter().filter(heavy);
    findings.map(|finding| finding.rule).collect()
}
