//! What a client sees of an answer.

use highwater::protocol::ok::OkView;

use crate::support::raw::{Raw, error_of};

/// In a transaction, autocommit, in a READ ONLY transaction.
const FLAGS: u16 = 0x2003;

/// What a client sees of an answer, apart from the names and lengths of columns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) error: Option<u16>,
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) affected: u64,
    pub(crate) flags: u16,
}

/// Runs a statement as text.
pub(crate) async fn run(client: &mut Raw, sql: &str) -> Seen {
    let frames = client.query(sql).await;
    let error = error_of(&frames);
    let last = frames.last().unwrap();
    let ok = OkView::parse(last).filter(|_| error.is_none());
    let behind_columns = match frames[0][0] {
        0 | 0xFF => frames.len(),
        columns => 1 + usize::from(columns) + usize::from(!client.profile.deprecate_eof()),
    };
    let end = frames.len() - 1;
    Seen {
        error,
        rows: frames.get(behind_columns..end).unwrap_or_default().to_vec(),
        affected: ok.as_ref().map_or(0, |ok| ok.affected_rows),
        flags: ok.as_ref().map_or(0, |ok| ok.status.0 & FLAGS),
    }
}
