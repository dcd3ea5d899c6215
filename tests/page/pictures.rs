//! The pictures in docs/images: made of the page in front of real servers that have some minutes of work behind
//! them, when `HIGHWATER_WRITE_DOCS` is set; else only looked for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mysql_async::Conn;

use super::browser::Browser;
use super::support::{Setup, run};

/// Each picture: name, colours, width, height, whether on a phone, and the part that it shows.
const PICTURES: [(&str, &str, u32, u32, bool, &str); 3] = [
    ("page-light.png", "light", 1200, 900, false, "body"),
    ("page-dark.png", "dark", 1200, 900, false, "#graphs"),
    ("page-phone.png", "light", 390, 844, true, "body"),
];
/// No picture is larger.
const MOST: usize = 150_000;
/// How long the servers work before.
const WORK: Duration = Duration::from_secs(240);

fn path(name: &str) -> PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("docs/images").join(name)
}

#[tokio::test]
async fn the_documents_have_their_pictures() {
    if std::env::var_os("HIGHWATER_WRITE_DOCS").is_some() {
        draw().await;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages =
        ["README.md", "docs/operations.md"].map(|it| std::fs::read_to_string(root.join(it)));
    for (name, ..) in PICTURES {
        let picture = std::fs::read(path(name)).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        assert!(picture.len() < MOST, "{name}: {} bytes", picture.len());
        let shows =
            |page: &std::io::Result<String>| page.as_ref().is_ok_and(|it| it.contains(name));
        assert!(pages.iter().any(shows), "no page shows {name}");
    }
}

async fn draw() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let setup = Setup::start().await;
    let mut root = setup.connect().await;
    run(
        &mut root,
        "CREATE TABLE carts (id INT PRIMARY KEY, items INT)",
    )
    .await;
    for id in 0..100 {
        run(&mut root, &format!("INSERT INTO carts VALUES ({id}, 0)")).await;
    }
    let begun = Instant::now();
    let mut shoppers = Vec::new();
    for number in 0..6 {
        shoppers.push(tokio::spawn(shop(setup.connect().await, number, begun)));
    }
    // One replica falls behind for a while.
    let part = WORK / 10;
    tokio::time::sleep(part * 6).await;
    setup.cluster.replica(1).delay(1).await.unwrap();
    tokio::time::sleep(part).await;
    setup.cluster.replica(1).delay(0).await.unwrap();
    while begun.elapsed() < WORK {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    browser
        .open(&format!("http://{}/", setup.proxy.addresses().http))
        .await;
    for (name, scheme, width, height, phone, part) in PICTURES {
        browser.size(width, height, phone).await;
        browser.scheme(scheme).await;
        browser
            .until("Number(document.body.dataset.events) > 2")
            .await;
        let scroll =
            format!("document.querySelector('{part}').scrollIntoView({{ behavior: 'instant' }})");
        browser.eval(&scroll).await;
        let picture = browser.picture().await;
        std::fs::create_dir_all(path("")).unwrap();
        std::fs::write(path(name), picture).unwrap();
    }
    shoppers.into_iter().for_each(|shopper| shopper.abort());
}

/// A client that is busy now and then; some use transactions, one has a temporary table.
async fn shop(mut conn: Conn, number: u32, begun: Instant) {
    if number == 5 {
        run(&mut conn, "CREATE TEMPORARY TABLE chosen (id INT)").await;
    }
    let mut turn = number;
    loop {
        turn = turn.wrapping_mul(31).wrapping_add(17) % 100;
        let write = format!("UPDATE carts SET items = items + 1 WHERE id = {turn}");
        let read = format!("SELECT items FROM carts WHERE id = {turn}");
        let as_one = turn.is_multiple_of(9);
        if as_one {
            run(&mut conn, "START TRANSACTION").await;
            run(&mut conn, &read).await;
        }
        run(&mut conn, &write).await;
        if as_one {
            run(&mut conn, "COMMIT").await;
        }
        for _ in 0..4 {
            run(&mut conn, &read).await;
        }
        let wave = (begun.elapsed().as_secs_f64() / 23.0 + f64::from(number)).sin();
        tokio::time::sleep(Duration::from_millis((150.0 + 110.0 * wave) as u64)).await;
    }
}
