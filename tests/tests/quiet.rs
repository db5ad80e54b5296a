//! A cluster in which nothing happens asks its API server for nothing: the node
//! renews its lease, and that is all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coracle_tests::lab::{Lab, pod};
use coracle_tests::private::in_private_network;
use coracle_tests::site;
use coracle_tests::wait::until;
use serde_json::json;

/// How long the node waits between two renewals of its lease.
const RENEWS: Duration = Duration::from_secs(10);
/// Longer than that.
const WHILE: Duration = Duration::from_secs(12);

/// Returns how many requests were answered, by verb.
fn answered(lab: &Lab) -> BTreeMap<String, u64> {
    let mut answered = BTreeMap::new();
    for line in lab.kubectl(&["get", "--raw", "/metrics"]).lines() {
        let Some(rest) = line.strip_prefix("apiserver_request_total{verb=\"") else {
            continue;
        };
        let (verb, rest) = rest.split_once('"').expect("a label has two quotes");
        let count = rest.rsplit(' ').next().and_then(|text| text.parse().ok());
        *answered.entry(verb.to_owned()).or_default() += count.unwrap_or(0u64);
    }
    answered
}

/// Returns what is asked in a while, without these two questions themselves.
fn asked(lab: &Lab) -> BTreeMap<String, u64> {
    let before = answered(lab);
    std::thread::sleep(WHILE);
    let mut asked = answered(lab);
    for (verb, count) in before {
        *asked.entry(verb).or_default() -= count;
    }
    // The first of the two was counted when it had been answered.
    *asked.entry("GET".into()).or_default() -= 1;
    asked.retain(|_, count| *count > 0);
    asked
}

#[test]
fn an_idle_cluster_renews_a_lease_and_asks_nothing() {
    in_private_network("an_idle_cluster_renews_a_lease_and_asks_nothing", || {
        let Some(lab) = Lab::new("quiet") else {
            return;
        };
        site::build(&lab.cluster);
        site::apply(&lab.cluster, &site::objects(31_487));
        lab.apply(&[pod("idle", json!({}), json!({}))]);
        lab.ready(&["idle"]);
        lab.until("deployment", "site", |site| {
            site["status"]["readyReplicas"] == 1
        });
        until("nothing is asked but a lease", || {
            let since = Instant::now();
            let asked = asked(&lab);
            let renewals: u64 = asked.values().sum();
            // So many fall into that time, and one more where it begins with one.
            let most = since.elapsed().as_secs() / RENEWS.as_secs() + 1;
            let only_writes = asked.keys().all(|verb| verb == "PUT" || verb == "PATCH");
            match only_writes && (1..=most).contains(&renewals) {
                true => Ok(()),
                false => Err(format!("{asked:?} in {WHILE:?}")),
            }
        });
    });
}
