//! A short result of a prepared statement reaches the client in one write: its columns wait for the rows that came
//! with them.

use super::support::raw::{execute, usual};
use super::support::stage::stage;
use highwater::protocol::reply::{ReplyKind, ReplyTracker};

/// One time is no proof: what was written twice may be read in one go.
const TIMES: usize = 300;

#[tokio::test]
async fn columns_and_rows_go_out_together() {
    let stage = stage().await;
    let mut raw = stage.raw("app", usual()).await;
    let id = raw.prepare("SELECT 1, 'two', 3.0").await;
    let attributes = raw.profile.query_attributes();
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..TIMES {
        raw.send(&execute(id, 0, &[], true, attributes)).await;
        let read = loop {
            raw.stream.readable().await.unwrap();
            match raw.stream.try_read(&mut buffer) {
                Ok(read) => break read,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        };
        let mut tracker = ReplyTracker::new(ReplyKind::Execute { cursor: false }, raw.profile);
        let mut at = 0;
        while !tracker.is_done() {
            let scan = tracker.scan(&buffer[at..read]);
            let used = scan.forward + scan.event.map_or(0, |event| event.len);
            assert!(used > 0, "{read} bytes are not the whole reply");
            at += used;
        }
        assert_eq!(at, read);
    }
}
