//! The collation that a client names in its handshake: what its results look like is what they look like
//! at the primary, down to the collation and length of each column.

use highwater::protocol::command::com_reset_connection;
use highwater::protocol::reply::ReplyKind;
use highwater::rig::APP;

use crate::support::raw::{Raw, shown, usual};
use crate::support::stage::stage;

#[tokio::test]
async fn columns_name_the_collation_of_the_handshake() {
    let stage = stage().await;
    let addresses = [
        stage.setup.cluster.primary().address(),
        stage.setup.proxy.addresses().mysql.to_string(),
    ];
    // 0 is none; 33, 8, 63 and 255 are the defaults of their charsets, the others are not.
    for charset in [0, 8, 33, 45, 46, 63, 83, 192, 224, 246, 255] {
        let mut seen = Vec::new();
        for address in &addresses {
            let account = (APP.user, APP.password);
            let connected = Raw::connect_speaking(charset, address, account, None, usual()).await;
            let mut raw = connected.unwrap();
            let mut frames = Vec::new();
            for sql in [
                "SELECT user, 'x', @@character_set_client, @@character_set_results, \
                 @@collation_connection FROM information_schema.processlist WHERE 0",
                "SELECT table_name, 'y' FROM information_schema.tables WHERE table_name = 'tables'",
                "SHOW SESSION VARIABLES LIKE 'c%\\_c%'",
                "SET NAMES latin1",
                "SELECT 'x', @@character_set_results",
            ] {
                frames.extend(raw.query(sql).await);
            }
            // A reset leaves the server's default, which is another one on a replica.
            frames.extend(raw.ask(&com_reset_connection(), ReplyKind::Simple).await);
            let table =
                "SELECT table_name FROM information_schema.tables WHERE table_name = 'tables'";
            frames.extend(raw.query(table).await);
            seen.push(shown(&frames));
        }
        for (through, straight) in seen[1].lines().zip(seen[0].lines()) {
            assert_eq!(through, straight, "collation {charset}");
        }
    }
}
