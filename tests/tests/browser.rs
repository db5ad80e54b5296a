//! The twelve flows of the todo application in a real browser, against pods on
//! a cluster, with what only a cluster can do to them: pods die, roll, scale to
//! nothing and come back. Pictures are kept in `target/screenshots`.

use std::fs;
use std::process::{Child, Stdio};

use coracle_tests::chromium::{Browser, Tab};
use coracle_tests::profile::{Installed, Profile, case};
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::{Value, json};

const SITE: &str = "http://localhost:30080";
const BACKENDS: &str = "app.kubernetes.io/component=backend";

/// Two pods each on an embedded database that outlives them, an Ingress, and
/// no provider: the assistant built in.
fn values(_: &str, _: &str) -> Value {
    let rolling =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    json!({
        "config": {"data": {"ENVIRONMENT": "development", "RATE_LIMIT_PER_MINUTE": "0"}},
        "backend": {"replicaCount": 2, "strategy": rolling, "preStopSeconds": 3},
        "frontend": {"replicaCount": 2, "preStopSeconds": 3},
        "ingress": {"enabled": true},
        "persistence": {"database": {"enabled": true}, "uploads": {"enabled": true}},
    })
}

fn sign_up(tab: &mut Tab<'_>, name: &str) {
    tab.visit("/signup");
    tab.fill("#name", name);
    tab.fill("#email", &format!("{name}@example.com"));
    tab.fill("#password", "password-1");
    tab.press("Enter", 13);
    tab.sees("Nothing to do");
}

fn sign_in(tab: &mut Tab<'_>, name: &str, password: &str) {
    tab.visit("/signin");
    tab.fill("#email", &format!("{name}@example.com"));
    tab.fill("#password", password);
    tab.press("Enter", 13);
    at_home(tab);
}

/// Waits for the list of tasks.
fn at_home(tab: &mut Tab<'_>) {
    tab.until("the list", "!!document.querySelector('.adder')");
}

fn add(tab: &mut Tab<'_>, title: &str) {
    tab.fill("#title", title);
    tab.press("Enter", 13);
    listed(tab, title);
}

fn listed(tab: &mut Tab<'_>, title: &str) {
    let shown = format!(
        "!!document.querySelector('.groups')?.innerText.includes({})",
        json!(title)
    );
    tab.until(title, &shown);
}

fn unlisted(tab: &mut Tab<'_>, title: &str) {
    let hidden = format!(
        "!document.querySelector('.groups, .empty').innerText.includes({})",
        json!(title)
    );
    tab.until(title, &hidden);
}

fn say(tab: &mut Tab<'_>, words: &str) {
    tab.fill("main [data-chat] input[name=message]", words);
    tab.press("Enter", 13);
}

/// Deletes the backend's pods and waits until others serve.
fn kill_backends(installed: &Installed) {
    installed.kubectl(&["delete", "pods", "-l", BACKENDS, "--wait=true"]);
    rolled_out(installed, "todo-backend");
}

fn rolled_out(installed: &Installed, deployment: &str) {
    let deployment = format!("deployment/{deployment}");
    installed.kubectl(&["rollout", "status", &deployment, "--timeout=300s"]);
}

/// U1 to U3: an account, tasks by hand, a task by words.
fn tasks_and_words(installed: &Installed, tab: &mut Tab<'_>) {
    sign_up(tab, "ann");
    tab.picture("u01-signed-up");
    for title in ["Buy milk", "Pay the rent", "Water the boat"] {
        add(tab, title);
    }
    tab.click("button[aria-label='Complete Buy milk']");
    unlisted(tab, "Buy milk");
    tab.click("button[aria-label='Delete Pay the rent']");
    unlisted(tab, "Pay the rent");
    kill_backends(installed);
    tab.visit("/dashboard?status=all");
    listed(tab, "Buy milk");
    listed(tab, "Water the boat");
    tab.picture("u02-after-pods-died");

    tab.visit("/dashboard");
    tab.click(".fab");
    let field = "#assistant input[name=message]";
    tab.fill(field, "Add a task to buy groceries");
    tab.press("Enter", 13);
    listed(tab, "Buy groceries");
    tab.sees("add_task → #4");
    tab.picture("u03-by-words");
}

/// U4 and U5: a question instead of a guess, a conversation that goes on.
fn conversations(installed: &Installed, tab: &mut Tab<'_>) {
    tab.visit("/dashboard");
    add(tab, "Team meeting");
    add(tab, "Client meeting");
    tab.visit("/chat");
    say(tab, "Delete the meeting task");
    tab.sees("Which one do you mean?");
    tab.picture("u04-a-question");
    // The number comes after the words.
    let place = "document.querySelector('main [data-conversation]').value";
    tab.until("the conversation has a number", &format!("{place} !== ''"));
    let place = tab.eval(place);
    kill_backends(installed);
    tab.visit(&format!("/chat?c={}", place.as_str().expect("a number")));
    tab.sees("Which one do you mean?");
    say(tab, "6");
    tab.sees("Deleted task 6, “Client meeting”.");
    tab.picture("u05-other-pods-go-on");
}

/// U6: a second person sees nothing of the first, wherever they look.
fn strangers(tab: &mut Tab<'_>, upload: &str) {
    sign_up(tab, "bob");
    tab.visit("/tasks/3");
    tab.sees("No such task");
    tab.picture("u06-a-stranger");
    let everything = "Promise.all(['/api/tasks', '/api/conversations', '/api/notifications', '/api/users/me']\
                      .map((path) => fetch(path).then((answer) => answer.text()))).then((all) => all.join())";
    let seen = tab.eval(everything).to_string();
    for word in ["Water the boat", "meeting", "groceries", "ann@"] {
        assert!(!seen.contains(word), "bob sees {word}: {seen}");
    }
    let status = tab.eval(&format!(
        "fetch({}).then((answer) => answer.status)",
        json!(upload)
    ));
    assert_eq!(status, 404, "bob fetches ann's picture");
    tab.visit("/chat");
    say(tab, "What's pending?");
    tab.sees("Nothing is pending.");
}

/// U7: a forgotten password, by the mail of the development outbox.
fn forgotten_password(tab: &mut Tab<'_>, reader: &mut dyn FnMut() -> Option<String>) {
    tab.visit("/forgot-password");
    tab.fill("#email", "ann@example.com");
    tab.press("Enter", 13);
    tab.sees("Look into your mail");
    let mut link = String::new();
    until("the mail is there", || match reader() {
        Some(found) => {
            link = found;
            Ok(())
        }
        None => Err("no mail".to_owned()),
    });
    let path = link
        .strip_prefix(SITE)
        .expect("the link leads to this site");
    tab.visit(path);
    tab.fill("#password", "password-2");
    tab.picture("u07-a-new-password");
    tab.press("Enter", 13);
    tab.sees("Your password is changed");
    sign_in(tab, "ann", "password-2");
}

/// U8: a picture that outlives its pod; returns where it is.
fn avatar(installed: &Installed, tab: &mut Tab<'_>) -> String {
    tab.visit("/settings");
    let file = installed.cluster.home().join("me.png");
    fs::write(&file, PICTURE).expect("a file for the test");
    tab.choose("#avatar", &file);
    tab.click("form[action='/settings/avatar'] button");
    tab.sees("Saved.");
    kill_backends(installed);
    tab.visit("/settings");
    tab.until(
        "the picture is drawn",
        "document.querySelector('img.portrait').naturalWidth === 2",
    );
    tab.picture("u08-the-picture-is-kept");
    let path = tab.eval("new URL(document.querySelector('img.portrait').src).pathname");
    path.as_str().expect("a path").to_owned()
}

/// A picture of two by two pixels.
const PICTURE: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x02, 0x00, 0x00, 0x00, 0xfd, 0xd4, 0x9a,
    0x73, 0x00, 0x00, 0x00, 0x10, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xe0, 0xcf, 0x4e, 0x06,
    0x22, 0x06, 0x08, 0x05, 0x00, 0x16, 0xea, 0x03, 0x75, 0x27, 0x6f, 0xc8, 0xec, 0x00, 0x00, 0x00,
    0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// U9: no backend at all, then one again; the page recovers alone.
fn outage(installed: &Installed, tab: &mut Tab<'_>) {
    installed.kubectl(&["scale", "deployment/todo-backend", "--replicas=0"]);
    until("no backend is left", || {
        let left = installed.kubectl(&["get", "pods", "-l", BACKENDS, "-o", "name"]);
        left.is_empty().then_some(()).ok_or(left)
    });
    tab.visit("/dashboard");
    tab.sees("We cannot reach your tasks");
    tab.picture("u09-no-backend");
    installed.kubectl(&["scale", "deployment/todo-backend", "--replicas=2"]);
    // Nobody presses a key.
    at_home(tab);
}

/// U10: both Deployments roll while the page asks without a pause.
fn rolling_update(installed: &Installed, tab: &mut Tab<'_>) {
    tab.visit("/dashboard");
    let load = "window.asked = 0; window.failed = []; window.going = true; \
        (async () => { while (window.going) for (const path of ['/api/tasks', '/dashboard', '/status/live']) { \
            try { const answer = await fetch(path); window.asked += 1; await answer.text(); \
                  if (!answer.ok) window.failed.push(`${path} ${answer.status}`); } \
            catch (error) { window.failed.push(`${path} ${error}`); } } })(); true";
    tab.eval(load);
    for deployment in ["todo-backend", "todo-frontend"] {
        let name = format!("deployment/{deployment}");
        installed.kubectl(&["rollout", "restart", &name]);
        rolled_out(installed, deployment);
    }
    tab.until("it has asked often", "window.asked > 50");
    tab.eval("window.going = false; true");
    assert_eq!(tab.eval("window.failed"), json!([]), "requests failed");
    let asked = tab.eval("window.asked");
    eprintln!("rolled under {asked} requests of the page");
    tab.visit("/status");
    tab.sees("healthy");
    tab.picture("u10-after-rolling");
}

/// A child process; it ends with this value.
struct Forward(Child);

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// U11: the same site by every door; U1 to U3 once more through each.
fn doors(installed: &Installed, browser: &mut Browser) {
    let forward = installed
        .cluster
        .kubectl_command(&["port-forward", "svc/todo-frontend", "3999:3000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _forward = Forward(forward.expect("kubectl is there"));
    until("the forward listens", || {
        std::net::TcpStream::connect(("127.0.0.1", 3999))
            .map(|_| ())
            .map_err(|error| error.to_string())
    });
    let bases = [SITE, "http://todo.localhost", "http://localhost:3999"];
    for (number, base) in bases.iter().enumerate() {
        let tab = &mut Tab::open(browser, base);
        sign_up(tab, &format!("door{number}"));
        add(tab, "Through the door");
        tab.visit("/chat");
        say(tab, "Add a task to buy rope");
        tab.sees("add_task → #2");
        tab.visit("/dashboard");
        listed(tab, "Buy rope");
        tab.picture(&format!("u11-door-{number}"));
    }
}

/// U12: no script, and a phone in the dark.
fn without_script(browser: &mut Browser) {
    let tab = &mut Tab::open(browser, SITE);
    tab.size(390, 844);
    tab.prefer("dark");
    tab.script(false);
    sign_up(tab, "cid");
    tab.fill("#title", "Buy milk");
    tab.press("Enter", 13);
    tab.sees("Buy milk");
    tab.picture("u12-no-script");
    tab.click("button[aria-label='Complete Buy milk']");
    tab.sees("Nothing to do");
    tab.visit("/dashboard?status=all");
    tab.click("button[aria-label='Delete Buy milk']");
    tab.sees("Nothing to do");
}

/// The newest link in the outbox, as someone who is signed in reads it.
fn newest_link(tab: &mut Tab<'_>) -> Option<String> {
    let mails = tab.eval("fetch('/api/dev/outbox').then((answer) => answer.json())");
    let body = mails[0]["body"].as_str()?.to_owned();
    let link = body.lines().find(|line| line.contains("token="))?;
    Some(link.trim().to_owned())
}

#[test]
fn the_twelve_flows_in_a_browser() {
    let profile = Profile {
        name: "flows",
        files: &[],
        tag: "latest",
        database: false,
        values,
    };
    case("the_twelve_flows_in_a_browser", || {
        let Some(mut browser) = Browser::start() else {
            return skip("there is no Chromium");
        };
        let installed = Installed::new(&profile);
        let mut tab = Tab::open(&mut browser, SITE);
        tasks_and_words(&installed, &mut tab);
        conversations(&installed, &mut tab);
        let upload = avatar(&installed, &mut tab);
        outage(&installed, &mut tab);
        rolling_update(&installed, &mut tab);
        let mut stranger = Tab::open(&mut browser, SITE);
        strangers(&mut stranger, &upload);
        // Bob asks for ann's link: the outbox is one for all, in development.
        stranger.visit("/forgot-password");
        let mut reader = Browser::start().expect("there was one");
        let mut signed_in = Tab::open(&mut reader, SITE);
        sign_up(&mut signed_in, "eve");
        forgotten_password(&mut stranger, &mut || newest_link(&mut signed_in));
        doors(&installed, &mut browser);
        without_script(&mut browser);
        installed.cluster.run(&["delete"]);
    });
}
