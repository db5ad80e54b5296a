//! Chromium, spoken to over its pipe: tabs, forms, keys, pictures.
//!
//! Pictures are kept in `target/screenshots`. Every page kept is also judged:
//! by `accessibility.js`, and by axe-core where someone has put it into
//! `target/oracles`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// A running Chromium; it ends with the test.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    next: u64,
    folder: PathBuf,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits for a state, at most five minutes, and returns what was found.
fn until<T>(what: &str, mut reached: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = reached() {
            return found;
        }
        let limit = Duration::from_secs(300);
        assert!(started.elapsed() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
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
    /// Starts it; `None`, loudly, where there is none.
    ///
    /// # Panics
    /// Panics if it does not start, and with `CI=true` where there is none.
    pub fn start() -> Option<Self> {
        let name = chromium()?;
        let instant = Instant::now();
        let folder = std::env::temp_dir().join(
            format!("browser-{}-{instant:?}", std::process::id())
                .replace([' ', '{', '}', ':', ','], "-"),
        );
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = |name: &str| folder.join(name);
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
            .arg(&folder)
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
            folder,
        })
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = self.try_call(session, method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command; returns its result, or the browser's reason for refusing it.
    fn try_call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, Value> {
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
                return match answer.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(answer["result"].clone()),
                };
            }
        }
    }
}

/// A page of a person with cookies of their own.
#[derive(Debug)]
pub struct Tab<'a> {
    browser: &'a mut Browser,
    session: String,
    base: String,
    scripted: bool,
}

impl<'a> Tab<'a> {
    /// Opens a tab for the site at `base`, with cookies of its own.
    ///
    /// # Panics
    /// Panics if the browser does not open it.
    pub fn open(browser: &'a mut Browser, base: &str) -> Self {
        let context = browser.call(None, "Target.createBrowserContext", json!({}));
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = browser.call(None, "Target.createTarget", target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call(None, "Target.attachToTarget", attach);
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let mut tab = Self {
            browser,
            session,
            base: base.to_owned(),
            scripted: true,
        };
        tab.call("Page.enable", json!({}));
        tab.size(1280, 860);
        tab.prefer("light");
        tab
    }

    /// Sends a command of the DevTools protocol to the tab.
    ///
    /// # Panics
    /// Panics if the browser refuses it.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, params)
    }

    /// Sets the size of the window, in pixels; narrow ones are phones.
    ///
    /// # Panics
    /// Panics if the browser refuses it.
    pub fn size(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// Turns the script of pages off or on.
    ///
    /// # Panics
    /// Panics if the browser refuses it.
    pub fn script(&mut self, on: bool) {
        self.scripted = on;
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !on}),
        );
    }

    /// Runs an expression; while a page changes there may be no answer.
    pub fn try_eval(&mut self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        // The page that was asked may give way to the next one before it answers.
        let session = self.session.clone();
        let result = self
            .browser
            .try_call(Some(&session), "Runtime.evaluate", params)
            .ok()?;
        let failed = result.get("exceptionDetails").is_some();
        (!failed).then(|| result["result"]["value"].clone())
    }

    /// Runs an expression on a page that is there as a whole, its script too.
    fn try_eval_whole(&mut self, expression: &str) -> Option<Value> {
        let whole = format!("document.readyState === 'complete' ? ({expression}) : undefined");
        self.try_eval(&whole).filter(|found| !found.is_null())
    }

    /// Runs an expression and returns its value.
    ///
    /// # Panics
    /// Panics if it fails.
    pub fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression)
            .unwrap_or_else(|| panic!("{expression} failed"))
    }

    /// Opens a path of the site.
    ///
    /// # Panics
    /// Panics if it is never loaded.
    pub fn visit(&mut self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.call("Page.navigate", json!({"url": url}));
        self.settled();
    }

    fn settled(&mut self) {
        self.until("the page is loaded", "true");
    }

    /// Waits until the page shows these words.
    ///
    /// # Panics
    /// Panics if it never does.
    pub fn sees(&mut self, words: &str) {
        let expression = format!("document.body.innerText.includes({})", json!(words));
        self.until(words, &expression);
    }

    /// Waits until the page does not show these words.
    ///
    /// # Panics
    /// Panics if it goes on to.
    pub fn sees_not(&mut self, words: &str) {
        let expression = format!("!document.body.innerText.includes({})", json!(words));
        self.until(words, &expression);
    }

    /// Waits until the selector finds something.
    fn finds(&mut self, selector: &str) {
        let found = format!("!!document.querySelector({})", json!(selector));
        self.until(selector, &found);
    }

    /// Types text into a field.
    ///
    /// # Panics
    /// Panics if there is no such field.
    pub fn fill(&mut self, selector: &str, text: &str) {
        self.finds(selector);
        let focus = format!(
            "(() => {{ const e = document.querySelector({}); e.focus(); e.value = ''; return true }})()",
            json!(selector)
        );
        self.eval(&focus);
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Clicks what the selector finds.
    ///
    /// # Panics
    /// Panics if it finds nothing.
    pub fn click(&mut self, selector: &str) {
        self.finds(selector);
        let click = format!(
            "(() => {{ document.querySelector({}).click(); return true }})()",
            json!(selector)
        );
        self.eval(&click);
    }

    /// Presses a key by its name and code.
    ///
    /// # Panics
    /// Panics if the browser refuses it.
    pub fn press(&mut self, key: &str, code: u32) {
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
    ///
    /// # Panics
    /// Panics with what is wrong with the page.
    pub fn picture(&mut self, name: &str) {
        // Some pages load themselves again: then the next one is judged.
        let found = until(name, || {
            self.try_eval_whole(include_str!("accessibility.js"))
        });
        assert_eq!(found, json!([]), "{name}");
        if let Some(axe) = axe().filter(|_| self.scripted) {
            let found = until(name, || {
                self.try_eval(&format!("{axe}; true"))?;
                self.try_eval_whole(AXE)
            });
            assert_eq!(found, json!([]), "{name}");
        }
        let session = self.session.clone();
        let shot = until(name, || {
            let format = json!({"format": "png"});
            let shot = self
                .browser
                .try_call(Some(&session), "Page.captureScreenshot", format);
            shot.ok()
        });
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("data"));
        let folder = screenshots();
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join(format!("{name}.png")), bytes.expect("base64"))
            .expect("written");
    }

    /// Chooses a file in a field.
    ///
    /// # Panics
    /// Panics if there is no such field.
    pub fn choose(&mut self, selector: &str, file: &Path) {
        let document = self.call("DOM.getDocument", json!({}));
        let field = json!({"nodeId": document["root"]["nodeId"], "selector": selector});
        let field = self.call("DOM.querySelector", field);
        let files = json!({"nodeId": field["nodeId"], "files": [file]});
        self.call("DOM.setFileInputFiles", files);
    }

    /// Makes the device prefer dark or light pages.
    ///
    /// # Panics
    /// Panics if the browser refuses it.
    pub fn prefer(&mut self, scheme: &str) {
        // Without motion: a colour that is on its way is none to judge.
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Waits until the page is loaded and an expression is true.
    ///
    /// # Panics
    /// Panics if it never is.
    pub fn until(&mut self, what: &str, expression: &str) {
        until(what, || {
            let found = self.try_eval_whole(expression);
            (found == Some(json!(true))).then_some(())
        });
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
    let own = std::env::current_exe().expect("a test knows its own file");
    let target = own
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    target
        .expect("tests are built in a folder target")
        .join("screenshots")
}
