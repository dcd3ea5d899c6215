//! x
#[tokio::test]
async fn dbg() {
    let stage = crate::support::stage::stage().await;
    stage.schema("dbg").await;
    for seq in [
        vec!["BEGIN"],
        vec!["SELECT 1", "BEGIN", "SELECT 1", "COMMIT"],
        vec!["USE app", "BEGIN", "COMMIT", "BEGIN"],
        vec![
            "CREATE TABLE t (id INT)",
            "BEGIN",
            "COMMIT",
            "BEGIN",
            "COMMIT",
        ],
        vec!["DO 1", "UPDATE t SET id=1", "BEGIN", "COMMIT"],
    ] {
        let mut d = stage.raw_direct("dbg", crate::support::raw::usual()).await;
        println!("--");
        for sql in seq {
            let r = d.query(sql).await;
            println!("{sql}   {}", crate::support::raw::shown(&r[r.len() - 1..]));
        }
    }
}
