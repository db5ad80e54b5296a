//! What people do, without script, against the real API.

use crate::support::{Answer, Server, Visitor, backend, frontend};

fn pages(api: &Server) -> Server {
    frontend(&[(
        "NEXT_PUBLIC_API_URL",
        &format!("http://localhost:{}", api.port),
    )])
}

fn sign_up<'a>(server: &'a Server, email: &str) -> Visitor<'a> {
    let mut visitor = Visitor::new(server);
    let page = visitor.post(
        "/signup",
        &[
            ("name", "Ann"),
            ("email", email),
            ("password", "password-1"),
        ],
    );
    assert!(page.text().contains("Nothing to do"), "{}", page.text());
    visitor
}

fn has(page: &Answer, words: &str) {
    assert!(
        page.text().contains(words),
        "{words} is not in {}",
        page.text()
    );
}

#[test]
fn sign_up_sign_out_sign_in() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut visitor = Visitor::new(&server);
    has(&visitor.get("/dashboard"), "Welcome back");
    let page = visitor.post(
        "/signup",
        &[("email", "nonsense"), ("password", "password-1")],
    );
    assert_eq!(page.status, 422);
    has(&page, "Email is no mail address.");
    has(&page, "value=\"nonsense\"");
    has(
        &visitor.post("/signup", &[("email", "a@b.c"), ("password", "short")]),
        "Password must have 8 to 100 characters.",
    );
    has(
        &visitor.post(
            "/signup",
            &[
                ("name", "<b>Ann</b>"),
                ("email", "a@b.c"),
                ("password", "password-1"),
            ],
        ),
        "&lt;b&gt;Ann&lt;/b&gt;",
    );
    has(
        &visitor.post("/signup", &[("email", "a@b.c"), ("password", "password-1")]),
        "This address has an account already.",
    );
    has(&visitor.post("/signout", &[]), "Get started");
    assert!(!visitor.cookies.contains_key("todo_session"));
    let page = visitor.post("/signin", &[("email", "a@b.c"), ("password", "wrong")]);
    assert_eq!(page.status, 401);
    has(&page, "Address or password is wrong.");
    has(
        &visitor.post("/signin", &[("email", "a@b.c"), ("password", "password-1")]),
        "Nothing to do",
    );
}

#[test]
fn a_task_by_forms_alone() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    let page = ann.post(
        "/tasks",
        &[
            ("title", "Buy <milk>"),
            ("priority", "high"),
            ("due_date", "2099-01-02"),
            ("tags", "home, shop"),
        ],
    );
    has(&page, "Buy &lt;milk&gt;");
    has(&page, "2 January 2099");
    has(&page, "class=\"chip high\"");
    has(&page, "#shop");
    has(&ann.post("/tasks", &[("title", " ")]), "Title is required.");
    let done = ann.post("/tasks/1/toggle", &[("back", "/dashboard?status=all")]);
    has(&done, "task done");
    has(&ann.get("/dashboard?status=completed"), "Buy &lt;milk&gt;");
    assert!(!ann.get("/dashboard").text().contains("milk"));
    let page = ann.get("/tasks/1");
    has(&page, "value=\"2099-01-02T23:59\"");
    let saved = [
        ("title", "Buy oats"),
        ("description", "2 kg"),
        ("priority", "low"),
        ("due_date", "2099-03-04T05:06"),
        ("tags", ""),
        ("repeat", "weekly"),
        ("remind", "PT1H"),
        ("by_email", "on"),
    ];
    ann.post("/tasks/1", &saved);
    let page = ann.get("/tasks/1");
    for words in [
        "value=\"Buy oats\"",
        "2 kg",
        "value=\"2099-03-04T05:06\"",
        "value=\"weekly\" selected",
        "value=\"PT1H\" selected",
        "checked",
    ] {
        has(&page, words);
    }
    has(
        &ann.upload("/tasks/1/attachments", "notes.txt", b"hello"),
        "notes.txt",
    );
    has(
        &ann.upload("/tasks/1/attachments", "bad.exe", b"MZ\0"),
        "Only PNG, JPEG, WebP, PDF and plain text are accepted.",
    );
    let page = ann.get("/tasks/1").text();
    let link = page
        .split("href=\"")
        .find(|part| part.starts_with("/uploads/"))
        .and_then(|part| part.split('"').next())
        .expect("a link");
    assert_eq!(ann.get(link).text(), "hello");
    let remove = page
        .split("action=\"")
        .find(|part| part.starts_with("/tasks/1/attachments/"))
        .and_then(|part| part.split('"').next())
        .expect("a form");
    let page = ann.post(remove, &[]).text();
    assert!(!page.contains("notes.txt"), "{remove} {page}");
    has(
        &ann.post("/tasks/1/delete", &[("back", "https://evil.example/")]),
        "Nothing to do",
    );
    assert_eq!(ann.get("/tasks/1").status, 404);
}

#[test]
fn filters_narrow_and_keep_their_place() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    for (title, priority, tags) in [("Apple", "urgent", "fruit"), ("Hammer", "low", "tool")] {
        ann.post(
            "/tasks",
            &[("title", title), ("priority", priority), ("tags", tags)],
        );
    }
    let mut check = |query: &str, apple: bool, hammer: bool| {
        let page = ann.get(&format!("/dashboard?{query}")).text();
        assert_eq!(
            (page.contains("Apple"), page.contains("Hammer")),
            (apple, hammer),
            "{query}"
        );
    };
    check("", true, true);
    check("q=app", true, false);
    check("priority=low", false, true);
    check("tag=fruit", true, false);
    check("due=overdue", false, false);
    check("due=week", false, false);
    check("status=completed", false, false);
    check("status=nonsense&sort=nonsense", true, true);
    has(
        &ann.get("/dashboard?q=nothing"),
        "No task fits this filter.",
    );
}

#[test]
fn a_long_list_comes_in_pages() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    for number in 1..=51 {
        ann.post("/tasks", &[("title", &format!("Task number {number:02}."))]);
    }
    let shown = |page: &Answer| page.text().matches("li class=\"task").count();
    let first = ann.get("/dashboard?sort=title");
    assert_eq!(shown(&first), 50);
    has(&first, "1–50 / 51");
    has(
        &first,
        "href=\"/dashboard?status=pending&amp;sort=title&amp;page=2\"",
    );
    assert!(!first.text().contains("rel=\"prev\""));
    let second = ann.get("/dashboard?sort=title&page=2");
    assert_eq!(shown(&second), 1);
    has(&second, "Task number 51.");
    has(&second, "51–51 / 51");
    has(
        &second,
        "rel=\"prev\" href=\"/dashboard?status=pending&amp;sort=title\"",
    );
    assert!(!second.text().contains("rel=\"next\""));
    // Who finishes the last task of the last page sees the page before it.
    let back = "/dashboard?status=pending&sort=title&page=2";
    has(
        &second,
        &format!("value=\"{}\"", back.replace('&', "&amp;")),
    );
    let left = ann.post("/tasks/51/toggle", &[("back", back)]);
    assert_eq!(shown(&left), 50);
    assert!(!left.text().contains("class=\"pages\""));
}

#[test]
fn the_assistant_without_script() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    let page = ann.post(
        "/chat",
        &[
            ("message", "Add a task to buy groceries"),
            ("conversation_id", ""),
        ],
    );
    has(&page, "Added “Buy groceries” as task 1.");
    has(&page, "add_task → #1 Buy groceries");
    has(&page, "local · rules");
    has(&ann.get("/dashboard"), "Buy groceries");
    for title in ["Team meeting", "Client meeting"] {
        ann.post("/tasks", &[("title", title)]);
    }
    let page = ann.post(
        "/chat",
        &[
            ("message", "Delete the meeting task"),
            ("conversation_id", "1"),
        ],
    );
    has(&page, "Which one do you mean?");
    has(&ann.get("/dashboard"), "Client meeting");
    has(&ann.get("/chat?c=1"), "Add a task to buy groceries");
    assert!(
        !ann.post("/chat/1/delete", &[])
            .text()
            .contains("buy groceries</bdi></a>")
    );
    has(&ann.get("/chat?c=1"), "Say what you want to get done.");
}

#[test]
fn one_visitor_sees_nothing_of_another() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    ann.post("/tasks", &[("title", "Canary")]);
    ann.post("/chat", &[("message", "canary words")]);
    let mut bob = sign_up(&server, "bob@example.com");
    for path in [
        "/dashboard?status=all",
        "/tasks/1",
        "/chat",
        "/chat?c=1",
        "/notifications",
        "/settings",
    ] {
        assert!(
            !bob.get(path).text().to_lowercase().contains("canary"),
            "{path}"
        );
    }
    bob.post("/tasks/1/delete", &[]);
    has(&ann.get("/dashboard"), "Canary");
}

#[test]
fn choices_are_kept_and_shown() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    let choices = [
        ("name", "Anna"),
        ("theme", "dark"),
        ("language", "ur"),
        ("timezone", "Asia/Karachi"),
        ("email_reminders", "on"),
    ];
    has(&ann.post("/settings", &choices), "محفوظ ہو گیا۔");
    let page = ann.get("/dashboard");
    has(&page, "lang=\"ur\" dir=\"rtl\" data-theme=\"dark\"");
    let wrong = ann.post(
        "/settings",
        &[
            ("name", "Anna"),
            ("theme", "dark"),
            ("language", "ur"),
            ("timezone", "Moon"),
            ("email_reminders", "on"),
        ],
    );
    has(&wrong, "Timezone is not a known IANA name.");
    has(
        &ann.upload("/settings/avatar", "me.png", b"\x89PNG\r\n\x1a\nrest"),
        "class=\"portrait\"",
    );
    // Another browser gets the choices with the sign-in.
    let mut other = Visitor::new(&server);
    has(
        &other.post(
            "/signin",
            &[("email", "ann@example.com"), ("password", "password-1")],
        ),
        "dir=\"rtl\"",
    );
}

#[test]
fn a_forgotten_password_by_forms() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    has(
        &ann.post("/forgot-password", &[("email", "ann@example.com")]),
        "a link is on its way",
    );
    let mut link = String::new();
    crate::support::until("the mail is there", || {
        let mails = ann.get("/api/dev/outbox").text();
        link = mails
            .split("/reset-password?")
            .nth(1)
            .map(|rest| rest.split("\\n").next().unwrap_or_default().to_owned())
            .unwrap_or_default();
        !link.is_empty()
    });
    let token = link.trim_start_matches("token=").to_owned();
    has(
        &ann.get(&format!("/reset-password?{link}")),
        &format!("value=\"{token}\""),
    );
    has(
        &ann.post(
            "/reset-password",
            &[("token", &token), ("password", "password-2")],
        ),
        "Your password is changed",
    );
    has(
        &ann.post(
            "/reset-password",
            &[("token", &token), ("password", "password-3")],
        ),
        "The link is used up or too old.",
    );
    has(
        &Visitor::new(&server).post(
            "/signin",
            &[("email", "ann@example.com"), ("password", "password-2")],
        ),
        "Nothing to do",
    );
}

#[test]
fn the_status_page_names_both_pods() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let page = server.get("/status");
    for words in ["front-1", "back-1", "connected", "NEXT_PUBLIC_API_URL"] {
        has(&page, words);
    }
    assert!(
        !page.text().contains(&format!(":{}", api.port)),
        "the address stays inside"
    );
    assert!(
        !page.text().contains("Configuration of the backend"),
        "only for those who signed in"
    );
    assert_eq!(
        server.get("/status/live").text(),
        r#"{"frontend":"front-1","backend":"back-1","status":"healthy","database":"connected"}"#
    );
    let mut ann = sign_up(&server, "ann@example.com");
    has(&ann.get("/status"), "JWT_EXPIRATION_HOURS");
    drop(api);
    has(&ann.get("/status"), "no answer");
    assert_eq!(ann.get("/dashboard").status, 502);
}

#[test]
fn forms_of_other_sites_change_nothing() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let ann = sign_up(&server, "ann@example.com");
    let cookie = format!("todo_session={}", ann.cookies["todo_session"]);
    for path in [
        "/tasks",
        "/tasks/1",
        "/tasks/1/toggle",
        "/tasks/1/delete",
        "/chat",
        "/chat/1/delete",
        "/settings",
        "/settings/avatar",
        "/notifications",
        "/signout",
        "/signin",
        "/signup",
        "/forgot-password",
        "/reset-password",
        "/tasks/1/attachments",
        "/tasks/1/attachments/x/delete",
    ] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", "https://evil.example"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer =
            crate::support::send(server.port, "POST", path, &headers, b"title=x&message=x");
        assert_eq!(answer.status, 403, "{path}");
    }
}

#[test]
fn signing_in_leads_back_to_the_page_that_was_asked_for() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut ann = sign_up(&server, "ann@example.com");
    ann.post("/tasks", &[("title", "Buy milk")]);
    ann.cookies.clear();
    let asked = server.get("/tasks/1");
    assert_eq!(asked.header("location"), Some("/signin?next=%2Ftasks%2F1"));
    has(&ann.get("/signin?next=%2Ftasks%2F1"), "value=\"/tasks/1\"");
    let credentials = [("email", "ann@example.com"), ("password", "password-1")];
    let with = |next: &'static str| [credentials[0], credentials[1], ("next", next)];
    has(
        &ann.post("/signin", &with("/tasks/1")),
        "Back to your tasks",
    );
    for (elsewhere, encoded) in [
        ("https://evil.example/", "https:%2F%2Fevil.example/"),
        ("//evil.example", "%2F/evil.example"),
        ("/\\evil.example", "/%5Cevil.example"),
    ] {
        has(&ann.post("/signin", &with(elsewhere)), "What needs doing?");
        let form = server.get(&format!("/signin?next={encoded}"));
        assert!(!form.text().contains("name=\"next\""), "{elsewhere}");
    }
}

#[test]
fn a_language_is_chosen_without_an_account() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let mut visitor = Visitor::new(&server);
    has(&visitor.get("/signup"), "dir=\"ltr\"");
    let page = visitor.post("/language", &[("language", "ur"), ("back", "/signup")]);
    has(&page, "dir=\"rtl\"");
    has(&page, "اکاؤنٹ بنائیں");
    has(&visitor.get("/"), "پُرسکون ذہن");
    let page = visitor.post(
        "/language",
        &[("language", "en"), ("back", "//evil.example")],
    );
    has(&page, "A clear head");
}

#[test]
fn what_cannot_be_read_is_a_page_too() {
    let Some(api) = backend() else { return };
    let server = pages(&api);
    let ann = sign_up(&server, "ann@example.com");
    let cookie = format!("todo_session={}", ann.cookies["todo_session"]);
    let headers = [("cookie", cookie.as_str())];
    let check = |method: &str, path: &str, status: u16| {
        let answer = crate::support::send(server.port, method, path, &headers, b"");
        assert_eq!(answer.status, status, "{method} {path}");
        has(&answer, "<h1>");
        assert!(answer.header("content-security-policy").is_some(), "{path}");
    };
    check("GET", "/tasks/abc", 400);
    check("GET", "/chat?c=abc", 400);
    check("POST", "/tasks", 415);
    check("DELETE", "/dashboard", 405);
    check("GET", "/no/such/page", 404);
}
