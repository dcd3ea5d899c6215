//! The live page in a real browser, in front of a real cluster under a little load: it shows what is true,
//! goes on by itself, can be read by everybody, and says when it lost contact.
//!
//! A machine without chromium skips what needs one and says so; with `HIGHWATER_TEST_ALL` set, as .ci/run has
//! it, that is a failure. `HIGHWATER_WRITE_DOCS` makes the pictures in docs/images anew, which takes minutes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "page/browser.rs"]
mod browser;
#[path = "page/pictures.rs"]
mod pictures;
mod support;
#[path = "page/way.rs"]
mod way;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use browser::Browser;
use highwater::config::{Account, Config, HttpConfig};
use highwater::daemon::Proxy;
use highwater::rig::{APP, Cluster, MONITOR};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder};
use serde_json::Value;
use support::{Setup, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use way::Way;

/// A statement with a literal that must show nowhere.
const SECRET: &str = "SELECT 'hush-5150' AS v";
/// The digest of what the load reads.
const READ: &str = "select v from shown where id=?";

/// A client that writes and reads until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    task: JoinHandle<Conn>,
}

impl Load {
    async fn start(setup: &Setup) -> Self {
        let mut conn = setup.connect().await;
        run(&mut conn, "CREATE TABLE shown (id INT PRIMARY KEY, v INT)").await;
        let (stop, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&reads));
        let task = tokio::spawn(async move {
            let mut row = 0;
            while !stopped.load(Ordering::Relaxed) {
                row += 1;
                run(&mut conn, &format!("INSERT INTO shown VALUES ({row}, 7)")).await;
                for _ in 0..3 {
                    run(&mut conn, &format!("SELECT v FROM shown WHERE id = {row}")).await;
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            conn
        });
        Self { stop, reads, task }
    }

    /// Ends it; its client, and how often it read.
    async fn end(self) -> (Conn, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let conn = self.task.await.unwrap();
        (conn, self.reads.load(Ordering::Relaxed))
    }
}

/// Runs a command on the admin port.
async fn command(proxy: &Proxy, sql: &str) {
    let address = proxy.addresses().admin;
    let opts = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("admin"))
        .prefer_socket(false);
    let mut conn = Conn::new(Opts::from(opts)).await.unwrap();
    run(&mut conn, sql).await;
    conn.disconnect().await.unwrap();
}

/// Status line and body of the answer to a GET with this Host.
async fn get(address: SocketAddr, path: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn count_of(status: &Value, digest: &str) -> u64 {
    let digests = status["digests"].as_array().unwrap();
    let row = digests.iter().find(|row| row["statement"] == digest);
    row.map_or(0, |row| row["count"].as_u64().unwrap())
}

#[tokio::test]
async fn the_document_says_what_is_true_and_nothing_secret() {
    let setup = Setup::start().await;
    let mut conn = setup.connect().await;
    run(&mut conn, "CREATE TABLE shown (id INT PRIMARY KEY, v INT)").await;
    for id in 0..5 {
        run(&mut conn, &format!("SELECT v FROM shown WHERE id = {id}")).await;
    }
    run(&mut conn, SECRET).await;
    let begun = Instant::now();
    run(&mut conn, "CREATE TEMPORARY TABLE mine (id INT)").await;
    run(&mut conn, "START TRANSACTION").await;
    run(&mut conn, "SELECT v FROM shown WHERE id = 1").await;
    run(&mut conn, "COMMIT").await;

    let http = setup.proxy.addresses().http;
    // A statement is counted when it is over, which its client may know a moment earlier.
    let status = loop {
        let (line, text) = get(http, "/api/status", "localhost").await;
        assert_eq!(line, "HTTP/1.1 200 OK");
        for secret in ["hush", APP.password, MONITOR.password] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let status: Value = serde_json::from_str(&text).unwrap();
        let over = count_of(&status, "commit") == 1 && status["session_states"]["idle"] == 1;
        if over {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let servers = std::iter::once(setup.cluster.primary()).chain(setup.cluster.replicas());
    for (at, server) in servers.enumerate() {
        let row = &status["backends"][at];
        assert_eq!(row["address"], server.address());
        assert_eq!(row["role"], if at == 0 { "primary" } else { "replica" });
        assert_eq!(row["health"], "up");
    }
    assert_eq!(count_of(&status, READ), 6);
    assert_eq!(status["pins"][0]["reason"], "temporary_table");
    assert_eq!(status["sessions"][0]["user"], APP.user);
    assert_eq!(status["totals"]["sessions"], 1);
    assert_eq!(status["switches"][0]["value"], "ON");
    let offload = &status["offload"];
    assert_eq!(offload["in_transaction"], 1);
    assert_eq!(offload["before_write"], 1);
    assert_eq!(status["advice"][0]["reason"], "in_transaction");
    assert!(!status["config"].as_array().unwrap().is_empty());
    assert_eq!(status["help"]["backends"]["columns"][0][0], "id");

    // A page that somebody else's site opened, and other machines without a password, get nothing.
    let (line, _) = get(http, "/api/status", "rebound.example").await;
    assert_eq!(line, "HTTP/1.1 403 Forbidden");
    let mut config = support::config(&setup.cluster);
    config.http = HttpConfig::open("0.0.0.0:0".parse().unwrap());
    assert_eq!(codes_of(config.clone()).await, [200, 403, 403]);
    config.http.account = Account::new("admin", "sesame");
    assert_eq!(codes_of(config).await, [200, 401, 401]);
}

/// The status codes of what everybody may see, of the page, and of its data.
async fn codes_of(config: Config) -> [u16; 3] {
    let proxy = Proxy::start(config).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], proxy.addresses().http.port()));
    let mut codes = [0; 3];
    for (code, path) in codes.iter_mut().zip(["/healthz", "/", "/api/status"]) {
        let (line, _) = get(address, path, "localhost").await;
        *code = line.split(' ').nth(1).unwrap().parse().unwrap();
    }
    proxy.shut_down().await;
    codes
}

#[tokio::test]
async fn a_browser_shows_a_running_proxy() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let setup = Setup::start().await;
    let way = Way::to(setup.proxy.addresses().http).await;
    let base = format!("http://{}/", way.address);
    let load = Load::start(&setup).await;
    browser.size(1280, 900, false).await;
    browser.scheme("light").await;
    browser.open(&base).await;
    browser
        .until("Number(document.body.dataset.events) > 1")
        .await;

    shows_the_servers(&mut browser, &setup.cluster).await;
    let conn = counts_what_runs(&mut browser, load).await;
    shows_pins_and_lost_reads(&mut browser, conn).await;
    command(&setup.proxy, "OFFLOAD 30%").await;
    browser
        .until("document.querySelector('#notices').innerText.includes('OFFLOAD is 30%')")
        .await;
    browser
        .until("document.querySelector('#t-switches').innerText.includes('30%')")
        .await;
    command(&setup.proxy, "OFFLOAD ON").await;
    browser
        .until("document.querySelector('#notices').innerText === ''")
        .await;

    can_be_read_by_everybody(&mut browser).await;
    can_be_used_with_keys(&mut browser).await;
    browser.settle().await;
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    for asked in &browser.asked {
        assert!(asked.starts_with(&base), "it asked for {asked}");
    }

    setup.cluster.replica(1).kill();
    let lost = setup.cluster.replica(1).address();
    browser.until(&format!("document.querySelector('#notices').innerText.includes('Replica {lost} gets no reads: down')")).await;
    browser
        .until(&format!(
            "document.querySelector('#announce').innerText.includes('replica {lost} is down')"
        ))
        .await;
    browser
        .until("document.querySelectorAll('.topology .sign.bad').length === 1")
        .await;

    // The daemon goes, and comes back as another process would.
    way.lead(None);
    browser
        .until("document.body.classList.contains('lost')")
        .await;
    browser.until("document.querySelector('#contact').innerText.startsWith('Lost contact with Highwater at')").await;
    let Setup { proxy, cluster } = setup;
    proxy.shut_down().await;
    let proxy = Proxy::start(support::config(&cluster)).await.unwrap();
    way.lead(Some(proxy.addresses().http));
    browser
        .until("document.querySelector('#contact').innerText === 'Live'")
        .await;
    browser
        .until("document.querySelector('#announce').innerText.includes('Highwater was restarted')")
        .await;
    // It has counted nothing so far.
    browser
        .until("document.querySelectorAll('#t-digests tbody tr').length === 0")
        .await;
    proxy.shut_down().await;
}

/// Addresses and roles stand in the table and in the picture.
async fn shows_the_servers(browser: &mut Browser, cluster: &Cluster) {
    let servers = std::iter::once(cluster.primary()).chain(cluster.replicas());
    for (at, server) in servers.enumerate() {
        let role = if at == 0 { "primary" } else { "replica" };
        let address = server.address();
        browser.until(&format!(
            "(() => {{ const cells = document.querySelectorAll('#t-backends tbody tr')[{at}].cells; \
             return cells[0].innerText === '{address}' && cells[1].innerText === '{role}' && cells[2].innerText === 'up'; }})()"
        )).await;
        for said in ["textContent", "getAttribute('aria-label')"] {
            browser
                .until(&format!(
                    "document.querySelector('svg.topology').{said}.includes('{role} {address}')"
                ))
                .await;
        }
    }
    // Positions and lag of the replicas are known.
    browser.until("[...document.querySelectorAll('#t-backends tbody tr')].every(row => row.cells[5].innerText.includes(':'))").await;
    browser.until("[...document.querySelectorAll('#t-backends tbody tr')].slice(1).every(row => row.cells[4].innerText.endsWith('s'))").await;
}

/// The count of the load's reads rises by itself, and ends at the true number; the graph has it, too.
async fn counts_what_runs(browser: &mut Browser, load: Load) -> Conn {
    let cell = format!(
        "Number([...document.querySelectorAll('#t-digests tbody tr')]\
         .find(row => row.cells[0].innerText === '{READ}').cells[2].innerText.replaceAll(',', ''))"
    );
    browser.until(&format!("{cell} > 0")).await;
    let first = browser.eval(&cell).await.as_u64().unwrap();
    browser.until(&format!("{cell} > {first}")).await;
    browser.until("document.querySelector('#all-graphs figure path.line.s2').getAttribute('d').includes('L')").await;
    let said = "document.querySelector('#all-graphs svg').getAttribute('aria-label')";
    browser
        .until(&format!(
            "/^Statements per second.* primary [0-9.]+ now, at most [0-9.]+; replica /.test({said})"
        ))
        .await;
    let (conn, reads) = load.end().await;
    browser.until(&format!("{cell} === {reads}")).await;
    conn
}

/// A temporary table binds its session; a transaction keeps a read on the primary.
async fn shows_pins_and_lost_reads(browser: &mut Browser, mut conn: Conn) {
    let id = conn.id();
    run(&mut conn, "CREATE TEMPORARY TABLE mine (id INT)").await;
    browser.until(&format!(
        "(row => row.cells[0].innerText === '{id}' && row.innerText.includes('create temporary table mine(id int)'))\
         (document.querySelector('#t-pins tbody tr'))"
    )).await;
    browser
        .until(&format!(
            "document.querySelector('#t-sessions tbody tr').cells[0].innerText === '{id}'"
        ))
        .await;
    run(&mut conn, SECRET).await;
    run(&mut conn, "START TRANSACTION").await;
    conn.query_drop("SELECT v FROM shown WHERE id = 1")
        .await
        .unwrap();
    run(&mut conn, "COMMIT").await;
    run(&mut conn, "DROP TEMPORARY TABLE mine").await;
    let free =
        r#"[consistency] transaction_reads = "replica_until_write" lets replicas answer these"#;
    browser
        .until(&format!(
            "document.querySelector('#offload-now').innerText.includes('{free}')"
        ))
        .await;
    browser
        .until(
            "document.querySelector('#t-advice').innerText.includes('START TRANSACTION READ ONLY')",
        )
        .await;
    browser
        .until("document.querySelector('#t-pins').innerText.includes('Nothing: every session')")
        .await;
    let text = browser.text("document.documentElement.outerHTML").await;
    for secret in ["hush", APP.password, MONITOR.password] {
        assert!(!text.contains(secret), "{secret} shows");
    }
    // What is in force shows, once it is unfolded.
    browser.until("document.querySelector('#t-config').textContent.includes('consistency.catch_up_timeout')").await;
}

/// Light and dark, large and small; names, headings and tables as screen readers need them.
async fn can_be_read_by_everybody(browser: &mut Browser) {
    let checks = include_str!("page/checks.js");
    let looks = async |browser: &mut Browser, what: &str| {
        for check in ["contrast", "tables", "overflow", "structure"] {
            let wrong = browser.eval(&format!("({checks}).{check}()")).await;
            assert_eq!(wrong, serde_json::json!([]), "{check}, {what}");
        }
    };
    browser
        .eval("document.querySelectorAll('details').forEach(it => it.open = true)")
        .await;
    looks(browser, "light").await;
    browser.scheme("dark").await;
    let back = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.text(back).await, "rgb(15, 20, 27)");
    looks(browser, "dark").await;
    browser.scheme("light").await;
    assert_eq!(browser.text(back).await, "rgb(244, 246, 249)");
    // The button goes from what the system says to dark, to light and back.
    for (named, colour) in [
        ("dark", "rgb(15, 20, 27)"),
        ("light", "rgb(244, 246, 249)"),
        ("system", "rgb(244, 246, 249)"),
    ] {
        browser
            .eval("document.querySelector('#theme').click()")
            .await;
        browser
            .until(&format!(
                "document.querySelector('#theme').innerText === 'Theme: {named}'"
            ))
            .await;
        browser.until(&format!("{back} === '{colour}'")).await;
    }
    browser.size(360, 740, true).await;
    browser
        .until("document.querySelector('svg.topology').clientWidth < 360")
        .await;
    looks(browser, "on a phone").await;
    browser.size(1280, 900, false).await;
    has_names(browser).await;
}

/// Everything that can be operated or stands for something has a name; the landmarks are there.
async fn has_names(browser: &mut Browser) {
    let tree = browser
        .call("Accessibility.getFullAXTree", serde_json::json!({}))
        .await;
    let mut seen = std::collections::BTreeSet::new();
    for node in tree["nodes"].as_array().unwrap() {
        let role = node["role"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let needs = [
            "button",
            "link",
            "searchbox",
            "image",
            "table",
            "region",
            "figure",
            "heading",
            "navigation",
        ];
        if node["ignored"] == false && needs.contains(&role.as_str()) {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "{node}");
        }
        if node["ignored"] == false {
            seen.insert(role);
        }
    }
    for role in [
        "banner",
        "main",
        "navigation",
        "contentinfo",
        "status",
        "log",
        "button",
        "searchbox",
        "table",
        "region",
        "image",
    ] {
        assert!(seen.contains(role), "no {role} in {seen:?}");
    }
}

/// The first Tab leads past the head; arrows move through a graph; the pause holds what shows.
async fn can_be_used_with_keys(browser: &mut Browser) {
    browser.eval("document.activeElement.blur()").await;
    browser.press("Tab").await;
    browser
        .until("document.activeElement.matches('.skip')")
        .await;
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.text(outline).await, "solid");
    browser
        .eval("document.querySelector('#all-graphs svg.graph').focus()")
        .await;
    browser.press("ArrowLeft").await;
    browser.until("/^[0-9:]{8}: primary /.test(document.querySelector('#all-graphs [aria-live]').textContent)").await;
    browser
        .until("document.querySelector('#all-graphs .cursor') !== null")
        .await;
    browser.press("Escape").await;
    browser
        .until("document.querySelector('#all-graphs .cursor') === null")
        .await;
    browser
        .eval("document.querySelector('#pause').click()")
        .await;
    browser
        .until("document.querySelector('#contact').innerText.startsWith('Paused at')")
        .await;
    browser
        .eval("document.querySelector('#pause').click()")
        .await;
    browser
        .until("document.querySelector('#contact').innerText === 'Live'")
        .await;
    // A search leaves what it finds.
    browser.eval(&format!("(it => {{ it.value = '{READ}'; it.dispatchEvent(new Event('input')); }})(document.querySelector('#s-digests'))")).await;
    browser
        .until("document.querySelectorAll('#t-digests tbody tr').length === 1")
        .await;
}
