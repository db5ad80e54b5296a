//! What people do, in a real browser, against the real API.

use serde_json::json;

use crate::chromium::{Browser, Tab};
use crate::support::{Server, backend, frontend};

fn open<'a>(browser: &'a mut Browser, server: &Server) -> Tab<'a> {
    Tab::open(browser, &format!("http://localhost:{}", server.port))
}

fn sign_up(tab: &mut Tab<'_>, email: &str) {
    tab.visit("/signup");
    tab.fill("#name", "Ann");
    tab.fill("#email", email);
    tab.fill("#password", "password-1");
    tab.press("Enter", 13);
    tab.sees("Nothing to do");
}

fn add(tab: &mut Tab<'_>, title: &str) {
    tab.fill("#title", title);
    tab.press("Enter", 13);
    tab.until(
        "the list shows it",
        &format!(
            "document.querySelector('.groups')?.innerText.includes({})",
            json!(title)
        ),
    );
}

fn pages(api: &Server) -> Server {
    frontend(&[(
        "NEXT_PUBLIC_API_URL",
        &format!("http://localhost:{}", api.port),
    )])
}

/// Waits until the list does not show a task.
fn gone(tab: &mut Tab<'_>, title: &str) {
    let shown = format!(
        "!document.querySelector('.groups, .empty').innerText.includes({})",
        json!(title)
    );
    tab.until("the list has let it go", &shown);
}

#[test]
fn a_day_with_tasks() {
    let (Some(mut browser), Some(api)) = (Browser::start(), backend()) else {
        return;
    };
    let server = pages(&api);
    let mut tab = open(&mut browser, &server);
    tab.visit("/");
    tab.sees("A clear head");
    tab.picture("landing");
    tab.prefer("dark");
    tab.picture("landing-dark");
    tab.prefer("light");
    tab.click("form[action='/language'] button");
    tab.sees("پُرسکون ذہن");
    tab.picture("landing-urdu");
    tab.click("form[action='/language'] button");
    tab.sees("A clear head");
    tab.visit("/signup");
    tab.picture("signup");
    sign_up(&mut tab, "ann@example.com");
    tab.picture("empty");
    add(&mut tab, "Buy milk");
    add(&mut tab, "Pay the rent");
    // What is said stays for some seconds: here until it has been looked at.
    tab.eval("window.stays = true; window.setTimeout = () => 0; true");
    tab.click("button[aria-label='Complete Buy milk']");
    gone(&mut tab, "Buy milk");
    // It is announced, can be taken back, and the keyboard stays in its place.
    tab.sees("Completed: Buy milk");
    assert_eq!(
        tab.eval("document.activeElement.ariaLabel"),
        "Complete Pay the rent"
    );
    tab.picture("toast");
    tab.click("#toasts button");
    tab.until(
        "it is back",
        "document.querySelector('.groups').innerText.includes('Buy milk')",
    );
    tab.click("button[aria-label='Complete Buy milk']");
    gone(&mut tab, "Buy milk");
    assert_eq!(
        tab.eval("window.stays"),
        true,
        "the page was not loaded again"
    );
    tab.visit("/dashboard?status=all");
    tab.sees("Buy milk");
    tab.picture("dashboard");
    tab.click("button[aria-label='Delete Pay the rent']");
    gone(&mut tab, "Pay the rent");
    tab.click("details.account summary");
    tab.sees("Sign out");
    tab.picture("menu");
    tab.press("Escape", 27);
    assert_eq!(
        tab.eval("document.querySelector('details.account').open"),
        false
    );
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
    let mut tab = open(&mut browser, &server);
    sign_up(&mut tab, "ann@example.com");
    tab.click(".fab");
    tab.fill(
        "#assistant input[name=message]",
        "Add a task to buy groceries",
    );
    tab.press("Enter", 13);
    tab.sees("Added “Buy groceries” as task 1.");
    let listed = "document.querySelector('#view').innerText.includes('Buy groceries')";
    tab.until("the list shows it without a reload", listed);
    tab.picture("panel");
    tab.visit("/dashboard");
    add(&mut tab, "Team meeting");
    add(&mut tab, "Client meeting");
    tab.visit("/chat");
    tab.picture("chat-empty");
    tab.fill(
        "main [data-chat] input[name=message]",
        "Delete the meeting task",
    );
    tab.press("Enter", 13);
    tab.sees("Which one do you mean?");
    tab.picture("chat");
    tab.until(
        "the address names the conversation, and the list has it",
        "location.search === '?c=2' && document.querySelector('.conversations [aria-current]') !== null",
    );
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
    let mut tab = open(&mut browser, &server);
    sign_up(&mut tab, "ann@example.com");
    add(&mut tab, "Buy milk");
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
    let mut tab = open(&mut browser, &server);
    sign_up(&mut tab, "ann@example.com");
    add(&mut tab, "Ann's canary");
    tab.visit("/settings");
    let picture = tempfile::Builder::new()
        .suffix(".png")
        .tempfile()
        .expect("a file");
    std::fs::write(picture.path(), b"\x89PNG\r\n\x1a\nrest").expect("written");
    tab.choose("#avatar", picture.path());
    tab.click("form[action='/settings/avatar'] button");
    tab.sees("Saved.");
    assert_eq!(
        tab.eval("document.querySelectorAll('img.portrait').length"),
        1
    );

    let mut stranger = open(&mut browser, &server);
    sign_up(&mut stranger, "bob@example.com");
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
    let mut tab = open(&mut browser, &server);
    tab.script(false);
    // Commands of the debugger still see the page; its own script is off.
    sign_up(&mut tab, "ann@example.com");
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
