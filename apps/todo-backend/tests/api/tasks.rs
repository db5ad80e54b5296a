//! Tasks: verbs, aliases, filters, recurrence, reminders.

use serde_json::{Value, json};

use crate::support::{Settings, until};

#[test]
fn a_task_from_creation_to_deletion() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let root = format!("/api/{}/tasks", ann.id);
    let body = json!({"title": " Buy milk ", "description": "2 litres", "priority": "high",
        "due_date": "2030-01-02T03:04:05Z", "tags": ["home", "Home", "shop"]});
    let task = ann.post(&root, body).expect(201);
    assert_eq!(task["id"], 1);
    assert_eq!(task["title"], "Buy milk");
    assert_eq!(task["tags"], json!(["home", "shop"]));
    assert_eq!(task["due_date"], "2030-01-02T03:04:05Z");
    assert_eq!(task["user_id"], ann.id);

    let one = format!("{root}/1");
    assert_eq!(ann.get(&one).expect(200), task);
    let put = ann
        .send("PUT", &one, json!({"title": "Buy oat milk"}))
        .expect(200);
    assert_eq!(
        (put["title"].as_str(), put["description"].as_str()),
        (Some("Buy oat milk"), Some("2 litres"))
    );
    let cleared = ann
        .send("PATCH", &one, json!({"due_date": null}))
        .expect(200);
    assert!(cleared["due_date"].is_null());
    for (verb, done) in [
        ("complete", true),
        ("toggle", false),
        ("toggle-complete", true),
    ] {
        let toggled = ann
            .send("PATCH", &format!("{one}/{verb}"), Value::Null)
            .expect(200);
        assert_eq!(toggled["completed"], done);
        assert_eq!(toggled["completed_at"].is_string(), done);
    }
    assert_eq!(ann.send("DELETE", &one, Value::Null).status, 204);
    assert_eq!(ann.get(&one).status, 404);
    assert_eq!(ann.send("DELETE", &one, Value::Null).status, 404);
    assert_eq!(ann.get(&format!("{root}/x")).status, 404);
    assert_eq!(ann.add("next")["id"], 2, "numbers are not given twice");
}

#[test]
fn lists_are_filtered_sorted_and_counted() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let rows = [
        json!({"title": "banana", "priority": "low", "tags": ["fruit"], "due_date": "2030-01-03"}),
        json!({"title": "Apple 100%", "priority": "urgent", "tags": ["fruit", "red"], "due_date": "2030-01-01"}),
        json!({"title": "cherry", "description": "not a banana", "completed": true}),
    ];
    for row in rows {
        ann.post("/api/tasks", row).expect(201);
    }
    let check = |query: &str, expected: &[i64]| {
        let list = ann.get(&format!("/api/tasks?{query}")).expect(200);
        let ids: Vec<i64> = list["tasks"]
            .as_array()
            .expect("tasks")
            .iter()
            .filter_map(|task| task["id"].as_i64())
            .collect();
        assert_eq!(ids, expected, "{query}");
    };
    check("", &[3, 2, 1]);
    check("order=asc", &[1, 2, 3]);
    check("status=pending", &[2, 1]);
    check("status=completed", &[3]);
    check("priority=urgent", &[2]);
    check("tag=fruit", &[2, 1]);
    check("tag=FRUIT", &[2, 1]);
    check("tag=fru", &[]);
    check("q=banana", &[3, 1]);
    check("q=100%25", &[2]);
    check("q=%25", &[2]);
    check("q=_", &[]);
    check("due_before=2030-01-02", &[2]);
    check("due_after=2030-01-02", &[1]);
    check("sort=title", &[2, 1, 3]);
    check("sort=title&order=desc", &[3, 1, 2]);
    check("sort=due_date", &[2, 1, 3]);
    check("sort=due_date&order=desc", &[1, 2, 3]);
    check("sort=priority", &[2, 3, 1]);
    check("limit=1&offset=1", &[2]);

    let list = ann.get("/api/tasks?limit=1").expect(200);
    assert_eq!(
        (&list["total"], &list["completed"], &list["pending"]),
        (&json!(3), &json!(1), &json!(2))
    );
    let bare = ann.get(&format!("/api/{}/tasks?limit=2", ann.id));
    assert_eq!(bare.header("x-total-count"), Some("3"));
    assert_eq!(bare.json().as_array().map(Vec::len), Some(2));
    assert_eq!(
        ann.get(&format!("/api/{}/tasks?envelope=1", ann.id))
            .expect(200)["total"],
        3
    );
    assert_eq!(ann.get("/api/v1/todos").expect(200)["total"], 3);
    for wrong in [
        "status=x",
        "sort=x",
        "order=x",
        "limit=0",
        "limit=101",
        "offset=-1",
        "limit=x",
        "due_before=x",
        "priority=x",
    ] {
        assert_eq!(
            ann.get(&format!("/api/tasks?{wrong}")).status,
            422,
            "{wrong}"
        );
    }
    let stats = ann.get(&format!("/api/{}/stats", ann.id)).expect(200);
    assert_eq!(
        stats,
        json!({"total": 3, "completed": 1, "pending": 2, "overdue": 0, "due_soon": 0, "completion_rate": 0.333})
    );
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2)).to_string();
    for (due, completed) in [
        ("2020-01-02T00:00:00Z", false),
        ("2020-01-02T00:00:00Z", true),
        (soon.as_str(), false),
    ] {
        let task = json!({"title": "dated", "due_date": due, "completed": completed});
        ann.post("/api/tasks", task).expect(201);
    }
    let stats = ann.get("/api/stats").expect(200);
    assert_eq!(
        (&stats["total"], &stats["overdue"], &stats["due_soon"]),
        (&json!(6), &json!(1), &json!(1))
    );
}

#[test]
fn a_recurring_task_comes_back_once() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let body = json!({"title": "Water plants", "due_date": "2035-01-01T09:00:00Z", "recurrence": {"frequency": "weekly"}});
    ann.post("/api/tasks", body).expect(201);
    ann.send("PATCH", "/api/tasks/1/complete", Value::Null)
        .expect(200);
    let list = ann.get("/api/tasks?status=pending").expect(200);
    assert_eq!(list["total"], 1);
    assert_eq!(list["tasks"][0]["due_date"], "2035-01-08T09:00:00Z");
    assert_eq!(
        list["tasks"][0]["recurrence"],
        json!({"frequency": "weekly", "interval": 1})
    );
    ann.send("PATCH", "/api/tasks/1/complete", Value::Null)
        .expect(200);
    ann.send("PATCH", "/api/tasks/1/complete", Value::Null)
        .expect(200);
    assert_eq!(
        ann.get("/api/tasks").expect(200)["total"],
        2,
        "done again, not born again"
    );
}

#[test]
fn a_reminder_fires_and_is_read() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    let body = json!({"title": "Stand up", "due_date": soon.to_string(),
        "reminders": [{"before": "PT3599S", "channel": "email"}, {"before": "PT1S"}]});
    ann.post("/api/tasks", body).expect(201);
    let mut shown = Value::Null;
    until("the reminder fires", || {
        shown = ann.get("/api/notifications").expect(200);
        shown["unread"] == 1
    });
    assert_eq!(shown["notifications"][0]["title"], "Stand up");
    assert_eq!(shown["notifications"][0]["task_id"], 1);
    until("the mail is in the outbox", || {
        ann.get("/api/dev/outbox").expect(200)[0]["subject"] == "Reminder: Stand up"
    });
    let id = &shown["notifications"][0]["id"];
    ann.send(
        "PATCH",
        &format!("/api/notifications/{id}/read"),
        Value::Null,
    )
    .expect(200);
    assert_eq!(ann.get("/api/notifications").expect(200)["unread"], 0);
    assert_eq!(
        ann.post("/api/notifications/mark-all-read", Value::Null)
            .status,
        204
    );
    assert_eq!(
        ann.send("PATCH", "/api/notifications/99/read", Value::Null)
            .status,
        404
    );
}

#[test]
fn the_document_describes_what_exists() {
    let server = Settings::new().start();
    let ann = server.sign_up("ann@example.com");
    let document = server.get("/api/openapi.json").expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let path = path
                .replace("{user_id}", &ann.id)
                .replace("{id}", "1")
                .replace("{cid}", "1")
                .replace("{aid}", "1")
                .replace("{nid}", "1");
            let answer = ann.send(&method.to_uppercase(), &path, Value::Null);
            assert_ne!(answer.status, 405, "{method} {path}");
            let body = answer.text();
            let known = answer.status != 404
                || ["/tasks/1", "/conversations/1", "/notifications/1"]
                    .iter()
                    .any(|part| path.contains(part));
            assert!(known, "{method} {path} answers {} {body}", answer.status);
        }
    }
    assert_eq!(server.get("/api/docs").status, 200);
}
