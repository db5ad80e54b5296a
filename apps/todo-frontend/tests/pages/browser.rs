//! What people do, in a real browser: Chromium, spoken to over its pipe.
//!
//! Screenshots are kept in `target/screenshots`. Every page seen is also
//! judged by a short accessibility check (`accessibility.js`).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Server, backend, frontend, until};

/// A running Chromium; it ends with the test.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "Chromium is missing on CI"
        );
        eprintln!("SKIPPED: no Chromium found, the pages are NOT tested in a browser");
    }
    found
}

impl Browser {
    fn start() -> Option<Self> {
        let name = chromium()?;
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        let made = Command::new("mkfifo")
            .args([path("to"), path("from")])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        // Chromium reads commands from descriptor 3 and writes to 4.
        let script = format!(
            "exec {name} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --hide-scrollbars --remote-debugging-pipe --user-data-dir=\"$0/profile\" about:blank 3<\"$0/to\" 4>\"$0/from\""
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let to = File::options()
            .write(true)
            .open(path("to"))
            .expect("the pipe opens");
        let from = BufReader::new(File::open(path("from")).expect("the pipe opens"));
        Some(Self {
            child,
            to,
            from,
            next: 0,
            _folder: folder,
        })
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let bytes = format!("{message}\0");
        self.to
            .write_all(bytes.as_bytes())
            .expect("the browser listens");
        loop {
            let mut answer = Vec::new();
            self.from
                .read_until(0, &mut answer)
                .expect("the browser answers");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.next {
                assert!(
                    answer.get("error").is_none(),
                    "{method}: {}",
                    answer["error"]
                );
                return answer["result"].clone();
            }
        }
    }
}

/// A page of a person with cookies of their own.
struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
    base: String,
    scripted: bool,
}

impl<'a> Tab<'a> {
    fn open(browser: &'a mut Browser, server: &Server) -> Self {
        let context = browser.call(None, "Target.createBrowserContext", json!({}));
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = browser.call(None, "Target.createTarget", target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call(None, "Target.attachToTarget", attach);
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let mut tab = Self {
            browser,
            session,
            base: format!("http://localhost:{}", server.port),
            scripted: true,
        };
        tab.call("Page.enable", json!({}));
        tab.size(1280, 860);
        tab
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, params)
    }

    fn size(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    fn script(&mut self, on: bool) {
        self.scripted = on;
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !on}),
        );
    }

    /// Runs an expression; while a page changes there may be no answer.
    fn try_eval(&mut self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        if result.get("exceptionDetails").is_some() {
            None
        } else {
            Some(result["result"]["value"].clone())
        }
    }

    fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression)
            .unwrap_or_else(|| panic!("{expression} failed"))
    }

    fn visit(&mut self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.call("Page.navigate", json!({"url": url}));
        self.settled();
    }

    fn settled(&mut self) {
        until("the page is loaded", || {
            self.try_eval("document.readyState") == Some(json!("complete"))
        });
    }

    fn sees(&mut self, words: &str) {
        let expression = format!("document.body.innerText.includes({})", json!(words));
        until(words, || self.try_eval(&expression) == Some(json!(true)));
    }

    fn sees_not(&mut self, words: &str) {
        let expression = format!("!document.body.innerText.includes({})", json!(words));
        until(words, || self.try_eval(&expression) == Some(json!(true)));
    }

    fn fill(&mut self, selector: &str, text: &str) {
        let focus = format!(
            "(() => {{ const e = document.querySelector({}); e.focus(); e.value = ''; return true }})()",
            json!(selector)
        );
        self.eval(&focus);
        self.call("Input.insertText", json!({"text": text}));
    }

    fn click(&mut self, selector: &str) {
        let click = format!(
            "(() => {{ document.querySelector({}).click(); return true }})()",
            json!(selector)
        );
        self.eval(&click);
    }

    fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" && key == "Enter" {
                "\r"
            } else {
                ""
            };
            let params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Keeps a picture, and judges the page.
    fn picture(&mut self, name: &str) {
        let found = self.eval(include_str!("accessibility.js"));
        assert_eq!(found, json!([]), "{name}");
        if let Some(axe) = axe().filter(|_| self.scripted) {
            self.eval(&format!("{axe}; true"));
            let found = self.eval(AXE);
            assert_eq!(found, json!([]), "{name}");
        }
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("data"));
        let folder = screenshots();
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join(format!("{name}.png")), bytes.expect("base64"))
            .expect("written");
    }

    fn sign_up(&mut self, email: &str) {
        self.visit("/signup");
        self.fill("#name", "Ann");
        self.fill("#email", email);
        self.fill("#password", "password-1");
        self.press("Enter", 13);
        self.sees("Nothing to do");
    }

    fn add(&mut self, title: &str) {
        self.fill("#title", title);
        self.press("Enter", 13);
        self.sees(title);
    }
}

/// What axe-core finds on a page, in few words.
const AXE: &str = "axe.run({resultTypes: ['violations']}).then((found) => found.violations.flatMap(\
    (one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)}`)))";

/// axe-core (MPL-2.0), a second opinion where someone has put it: it is not
/// part of this repository.
fn axe() -> Option<String> {
    let folder = screenshots().with_file_name("oracles");
    std::fs::read_to_string(folder.join("axe.min.js")).ok()
}

/// `target/screenshots`, beside the profile's folder.
fn screenshots() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_todo-frontend"));
    let target = binary
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    target
        .unwrap_or(binary.parent().expect("a folder"))
        .join("screenshots")
}

fn pages(api: &Server) -> Server {
    frontend(&[(
        "NEXT_PUBLIC_API_URL",
        &format!("http://localhost:{}", api.port),
    )])
}

#[test]
fn a_day_with_tasks() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = Tab::open(&mut browser, &server);
    tab.visit("/");
    tab.sees("A clear head");
    tab.picture("landing");
    tab.visit("/signup");
    tab.picture("signup");
    tab.sign_up("ann@example.com");
    tab.picture("empty");
    tab.add("Buy milk");
    tab.add("Pay the rent");
    tab.eval("window.stays = true");
    tab.click("button[aria-label='Complete Buy milk']");
    tab.sees_not("Buy milk");
    assert_eq!(
        tab.eval("window.stays"),
        true,
        "the page was not loaded again"
    );
    tab.visit("/dashboard?status=all");
    tab.sees("Buy milk");
    tab.picture("dashboard");
    tab.click("button[aria-label='Delete Pay the rent']");
    tab.sees_not("Pay the rent");
    tab.visit("/tasks/1");
    tab.sees("Back to your tasks");
    tab.picture("task");
    tab.visit("/status");
    tab.sees("back-1");
    tab.picture("status");
}

#[test]
fn the_assistant_in_the_panel_and_on_its_page() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = Tab::open(&mut browser, &server);
    tab.sign_up("ann@example.com");
    tab.click(".fab");
    tab.fill(
        "#assistant input[name=message]",
        "Add a task to buy groceries",
    );
    tab.press("Enter", 13);
    tab.sees("Added “Buy groceries” as task 1.");
    let listed = "document.querySelector('#view').innerText.includes('Buy groceries')";
    until("the list shows it without a reload", || {
        tab.try_eval(listed) == Some(json!(true))
    });
    tab.picture("panel");
    tab.visit("/dashboard");
    tab.add("Team meeting");
    tab.add("Client meeting");
    tab.visit("/chat");
    tab.picture("chat-empty");
    tab.fill(
        "main [data-chat] input[name=message]",
        "Delete the meeting task",
    );
    tab.press("Enter", 13);
    tab.sees("Which one do you mean?");
    tab.picture("chat");
    // Another visit goes on where this one stopped.
    tab.visit("/chat?c=2");
    tab.sees("Which one do you mean?");
    tab.fill("main [data-chat] input[name=message]", "3");
    tab.press("Enter", 13);
    tab.sees("Deleted task 3, “Client meeting”.");
}

#[test]
fn languages_themes_and_small_screens() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = Tab::open(&mut browser, &server);
    tab.sign_up("ann@example.com");
    tab.add("Buy milk");
    tab.visit("/settings");
    tab.picture("settings");
    tab.click("input[name=theme][value=dark]");
    tab.click("input[name=language][value=ur]");
    tab.click("form[action='/settings'] button");
    tab.sees("محفوظ ہو گیا۔");
    tab.visit("/dashboard");
    assert_eq!(tab.eval("getComputedStyle(document.body).direction"), "rtl");
    tab.picture("urdu-dark");
    for (width, name) in [
        (320, "phone-small"),
        (390, "phone"),
        (768, "tablet"),
        (1920, "desktop"),
    ] {
        tab.size(width, 844);
        for path in ["/dashboard", "/chat", "/tasks/1", "/settings", "/status"] {
            tab.visit(path);
            let overflow = tab.eval("document.documentElement.scrollWidth - innerWidth");
            assert!(
                overflow.as_i64().is_some_and(|pixels| pixels <= 0),
                "{path} at {width} is {overflow} too wide"
            );
        }
        tab.visit("/dashboard");
        tab.picture(name);
    }
}

#[test]
fn strangers_outages_and_pictures() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = Tab::open(&mut browser, &server);
    tab.sign_up("ann@example.com");
    tab.add("Ann's canary");
    tab.visit("/settings");
    let picture = tempfile::Builder::new()
        .suffix(".png")
        .tempfile()
        .expect("a file");
    std::fs::write(picture.path(), b"\x89PNG\r\n\x1a\nrest").expect("written");
    let document = tab.call("DOM.getDocument", json!({}));
    let field = json!({"nodeId": document["root"]["nodeId"], "selector": "#avatar"});
    let field = tab.call("DOM.querySelector", field);
    tab.call(
        "DOM.setFileInputFiles",
        json!({"nodeId": field["nodeId"], "files": [picture.path()]}),
    );
    tab.click("form[action='/settings/avatar'] button");
    tab.sees("Saved.");
    assert_eq!(
        tab.eval("document.querySelectorAll('img.portrait').length"),
        1
    );

    let mut stranger = Tab::open(&mut browser, &server);
    stranger.sign_up("bob@example.com");
    stranger.visit("/dashboard?status=all");
    stranger.sees_not("canary");
    stranger.visit("/tasks/1");
    stranger.sees("No such task");

    drop(api);
    stranger.visit("/dashboard");
    stranger.sees("We cannot reach your tasks");
    stranger.picture("away");
}

#[test]
fn without_script_and_by_keyboard_alone() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = Tab::open(&mut browser, &server);
    tab.script(false);
    // Commands of the debugger still see the page; its own script is off.
    tab.sign_up("ann@example.com");
    assert_eq!(
        tab.eval("document.documentElement.classList.contains('scripted')"),
        false
    );
    tab.fill("#title", "Buy milk");
    tab.press("Enter", 13);
    tab.sees("Buy milk");
    tab.click("button[aria-label='Complete Buy milk']");
    tab.sees("Nothing to do");
    tab.visit("/dashboard?status=all");
    tab.picture("no-script");
    tab.click("button[aria-label='Delete Buy milk']");
    tab.sees("Nothing to do");
    tab.script(true);
    tab.visit("/dashboard");
    // The first stop leads past the navigation, and every stop can be seen.
    tab.press("Tab", 9);
    assert_eq!(tab.eval("document.activeElement.className"), "skip");
    for _ in 0..12 {
        tab.press("Tab", 9);
        let ring = tab.eval("getComputedStyle(document.activeElement).outlineStyle");
        assert_ne!(
            ring,
            "none",
            "{}",
            tab.eval("document.activeElement.outerHTML")
        );
    }
}
