//! A headless chromium that is driven over a pipe by the DevTools protocol: no port, and it ends with the pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long anything may take: a slow machine starts a browser in 20 seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// One browser with one page. It and its folder go with the value.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: mpsc::UnboundedReceiver<Value>,
    folder: PathBuf,
    session: Option<String>,
    last: u64,
    /// What the page's console and log complained of.
    pub(crate) complaints: Vec<String>,
    /// What was asked for, by address.
    pub(crate) asked: Vec<String>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser leads a group of its own, which holds all its helpers.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Browser {
    /// Starts one with an empty page; `None`, said aloud, where there is no chromium.
    pub(crate) async fn start() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(program) = program() else {
            assert!(
                std::env::var_os("HIGHWATER_TEST_ALL").is_none(),
                "there is no chromium"
            );
            eprintln!("SKIPPED, there is no chromium");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("highwater-browser-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // The browser reads commands from descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .args([program, "--headless", "--remote-debugging-pipe"])
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-extensions"])
            .args(["--no-first-run", "--no-default-browser-check"])
            .args(["--hide-scrollbars", "--force-color-profile=srgb"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .env("HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder)
            .env("XDG_CACHE_HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (tell, from) = mpsc::unbounded_channel();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while said.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message);
                if parsed.is_ok_and(|message| tell.send(message).is_err()) {
                    return;
                }
                message.clear();
            }
        });
        let to = child.stdin.take().unwrap();
        let mut browser = Self {
            child,
            to,
            from,
            folder,
            session: None,
            last: 0,
            complaints: Vec::new(),
            asked: Vec::new(),
        };
        let target = json!({ "url": "about:blank" });
        let target = browser.call("Target.createTarget", target).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach).await;
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for room in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{room}.enable"), json!({})).await;
        }
        Some(browser)
    }

    /// Calls a method of the protocol and waits for its result.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let answer = async {
            loop {
                let message = self.from.recv().await.expect("the browser is gone");
                if message["id"] == id {
                    return message;
                }
                note(&message, &mut self.complaints, &mut self.asked);
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method}: no answer"));
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Opens an address.
    pub(crate) async fn open(&mut self, url: &str) {
        let done = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(done["errorText"].is_null(), "{url}: {done}");
    }

    /// The value of an expression in the page.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let done = self.call("Runtime.evaluate", params).await;
        let wrong = &done["exceptionDetails"];
        assert!(wrong.is_null(), "{expression}: {wrong}");
        done["result"]["value"].clone()
    }

    /// The same as text.
    pub(crate) async fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression).await;
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        // While the page is loading, what the expression names may not be there.
        let safe =
            format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()");
        while self.eval(&safe).await != true {
            if Instant::now() > deadline {
                let text = self.text("document.body.innerText").await;
                let complaints = self.complaints.join("\n");
                panic!("{expression}: not in time\n{complaints}\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Presses and releases a key.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let params = json!({ "type": kind, "key": key, "code": key });
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// The page has so much room; `phone` stands for a small screen that is touched.
    pub(crate) async fn size(&mut self, width: u32, height: u32, phone: bool) {
        let params = json!({
            "width": width, "height": height, "mobile": phone,
            "deviceScaleFactor": if phone { 1.5 } else { 1.0 },
        });
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await;
        self.until(&format!("innerWidth === {width}")).await;
        self.painted().await;
    }

    /// Whoever reads the page wishes for `dark` or `light`.
    pub(crate) async fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let params = json!({ "features": features });
        self.call("Emulation.setEmulatedMedia", params).await;
        self.until(&format!(
            "matchMedia('(prefers-color-scheme: {scheme})').matches"
        ))
        .await;
        self.painted().await;
    }

    /// Waits until what changed shows.
    async fn painted(&mut self) {
        let frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        self.eval(frames).await;
    }

    /// What shows, as PNG.
    pub(crate) async fn picture(&mut self) -> Vec<u8> {
        self.painted().await;
        let params = json!({ "format": "png" });
        let picture = self.call("Page.captureScreenshot", params).await;
        decode(picture["data"].as_str().unwrap())
    }

    /// Takes note of what was said meanwhile.
    pub(crate) async fn settle(&mut self) {
        self.eval("true").await;
    }
}

/// What the browser is called on this machine.
fn program() -> Option<&'static str> {
    let path = std::env::var_os("PATH")?;
    let mut names = ["chromium", "google-chrome"].into_iter();
    names.find(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn note(message: &Value, complaints: &mut Vec<String>, asked: &mut Vec<String>) {
    let params = &message["params"];
    match message["method"].as_str() {
        Some("Runtime.consoleAPICalled") if params["type"] != "log" => {
            complaints.push(params.to_string());
        }
        Some("Runtime.exceptionThrown") => complaints.push(params.to_string()),
        Some("Log.entryAdded") => complaints.push(params["entry"].to_string()),
        Some("Network.requestWillBeSent") => {
            asked.extend(params["request"]["url"].as_str().map(str::to_owned));
        }
        _ => {}
    }
}

fn decode(base64: &str) -> Vec<u8> {
    let digit = |it: u8| match it {
        b'A'..=b'Z' => Some(it - b'A'),
        b'a'..=b'z' => Some(it - b'a' + 26),
        b'0'..=b'9' => Some(it - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = base64.bytes().map_while(digit).collect();
    let bytes = |four: &[u8]| {
        let bits = (0..4).fold(0u32, |bits, at| {
            bits << 6 | u32::from(four.get(at).copied().unwrap_or_default())
        });
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes.into_iter().take(four.len() - 1)
    };
    digits.chunks(4).flat_map(bytes).collect()
}
