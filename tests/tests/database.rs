//! PostgreSQL outside the cluster, reached from pods: what its users see when
//! it goes away, comes back, refuses the password or has no TLS.

use std::fs;
use std::net::SocketAddr;

use coracle_tests::documents::{DOCUMENT_001, DOCUMENT_003};
use coracle_tests::profile::{Installed, Profile, case};
use coracle_tests::wait::until;
use coracle_tests::web::{Visitor, lists, sign_up};
use serde_json::Value;

/// Profile 001, whose readiness depends on the database.
fn profile(name: &'static str) -> Profile {
    Profile {
        name,
        ..DOCUMENT_001
    }
}

/// The backend's pods: how many are ready, and how often any was restarted.
fn backends(installed: &Installed) -> (usize, i64) {
    let list = installed.kubectl(&["get", "pods", "-A", "-l", "app=backend", "-o", "json"]);
    let list: Value = serde_json::from_str(&list).expect("it is JSON");
    let statuses = || {
        let pods = list["items"].as_array().into_iter().flatten();
        pods.flat_map(|pod| pod["status"]["containerStatuses"].as_array())
            .flatten()
    };
    (
        statuses().filter(|status| status["ready"] == true).count(),
        statuses()
            .filter_map(|status| status["restartCount"].as_i64())
            .sum(),
    )
}

#[test]
fn an_outage_of_the_database_restarts_nothing_and_heals_alone() {
    case(
        "an_outage_of_the_database_restarts_nothing_and_heals_alone",
        || {
            let mut installed = Installed::new(&profile("outage"));
            let address: SocketAddr = ([127, 0, 0, 1], 30080).into();
            let mut ann = sign_up(Visitor::new(address), "ann");
            let page = ann.post("/tasks", &[("title", "water the boat")]);
            assert!(page.expect("it answers").body.contains("water the boat"));

            installed.postgres.as_mut().expect("it was wanted").stop();
            until("no backend is ready", || match backends(&installed) {
                (0, _) => Ok(()),
                ready => Err(format!("{ready:?}")),
            });
            let page = ann.get("/dashboard").expect("the frontend answers");
            assert!((500..600).contains(&page.status), "{}", page.status);
            assert!(!page.body.contains("sea-room"), "the password is shown");

            installed.postgres.as_mut().expect("it was wanted").resume();
            until("the task is listed again", || {
                lists(&mut ann, "water the boat")
            });
            until("both backends are ready", || match backends(&installed) {
                (2, _) => Ok(()),
                ready => Err(format!("{ready:?}")),
            });
            assert_eq!(backends(&installed).1, 0, "a backend was restarted");
        },
    );
}

/// Documents 003 and 004 have one path for every probe: there a pod stays
/// ready without its database and says that it is degraded.
#[test]
fn an_outage_degrades_where_one_path_serves_every_probe() {
    let profile = Profile {
        name: "degraded",
        ..DOCUMENT_003
    };
    case(
        "an_outage_degrades_where_one_path_serves_every_probe",
        || {
            let mut installed = Installed::new(&profile);
            let mut ann = sign_up(Visitor::new(([127, 0, 0, 1], 30000).into()), "ann");
            let mut told = |status: &str, database: &str| {
                until(status, || {
                    let answer = ann.get("/status/live").map_err(|error| error.to_string())?;
                    let live: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                    match live["status"] == status && live["database"] == database {
                        true => Ok(()),
                        false => Err(answer.body),
                    }
                });
            };
            told("healthy", "connected");
            installed.postgres.as_mut().expect("it was wanted").stop();
            told("degraded", "disconnected");
            // Longer than the readiness probe of the document takes to give up.
            std::thread::sleep(std::time::Duration::from_secs(15));
            assert_eq!(backends(&installed), (1, 0), "the pod stays as it is");
            installed.postgres.as_mut().expect("it was wanted").resume();
            told("healthy", "connected");
            assert_eq!(backends(&installed), (1, 0), "the pod stays as it is");
        },
    );
}

/// Deploys with a changed database URL, expects a failure within the limit and
/// returns what was said.
fn refused(test: &'static str, name: &'static str, from: &str, to: &str) {
    case(test, || {
        let installed = Installed::prepared(&profile(name));
        let values = installed.cluster.home().join("values.yaml");
        let text = fs::read_to_string(&values).expect("it was written");
        fs::write(&values, text.replace(from, to)).expect("a file for the test");
        let output = installed
            .cluster
            .command(&["up", "--timeout", "60"])
            .output()
            .expect("the program was built");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(
            said.contains("todo-backend"),
            "the pod is not named:\n{said}"
        );
        assert!(!said.contains("not-the-password"), "the password is shown");
        let cause = match to {
            "sslmode=require" => "TLS",
            _ => "password",
        };
        let mut logs = String::new();
        until("the cause is logged", || {
            logs = installed.kubectl(&["logs", "deploy/todo-backend"]);
            let found = logs.contains(cause);
            found.then_some(()).ok_or_else(|| logs.clone())
        });
        assert!(!logs.contains("not-the-password"), "the password is logged");
        assert!(said.contains(cause), "the cause is not said:\n{said}");
    });
}

#[test]
fn a_wrong_password_is_said() {
    refused(
        "a_wrong_password_is_said",
        "password",
        ":sea-room@",
        ":not-the-password@",
    );
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    refused(
        "a_server_without_tls_is_refused_where_tls_is_required",
        "tls",
        "sslmode=disable",
        "sslmode=require",
    );
}
