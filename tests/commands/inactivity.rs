//! What a client hears that is silent for longer than the `wait_timeout` it set.

use std::time::Duration;

use highwater::protocol::ok::OkView;

use crate::support::raw::{shown, usual};
use crate::support::stage::stage;

#[tokio::test]
async fn a_session_ends_by_its_own_wait_timeout() {
    let stage = stage().await;
    let mut patient = stage.raw("app", usual()).await;
    let mut heard = Vec::new();
    for mut raw in [
        stage.raw_direct("app", usual()).await,
        stage.raw("app", usual()).await,
    ] {
        // A transaction makes no difference: it is rolled back.
        for sql in ["SET SESSION wait_timeout = 1", "BEGIN", "DO 1"] {
            let frames = raw.query(sql).await;
            assert!(OkView::parse(&frames[0]).is_some(), "{}", shown(&frames));
        }
        let silence = tokio::time::timeout(Duration::from_secs(60), raw.frame());
        let last = silence.await.expect("it ends").expect("an error");
        assert!(raw.frame().await.is_none(), "the connection is closed");
        heard.push(shown(&[last]));
    }
    assert_eq!(heard[1], heard[0]);
    assert!(heard[0].contains("inactivity"), "{}", heard[0]);
    assert_eq!(patient.cell("SELECT @@wait_timeout").await, "28800");
}
