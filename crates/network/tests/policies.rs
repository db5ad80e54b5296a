//! Policies judged by traffic between pods of a matrix, and by `decide`.

mod world;

use coracle_netdev::testing::in_namespace;
use serde_json::{Value, json};
use world::{Answer, World, answer};

/// What a case expects: who reaches whom.
fn check(policies: Value, expected: &[(&str, &str, Answer)]) {
    let mut world = World::new();
    world.pod("a", "one", json!({"app": "web"}));
    world.pod("a", "two", json!({"app": "db"}));
    world.pod("b", "far", json!({"app": "web"}));
    world.namespace("b", json!({"team": "blue"}));
    for (number, spec) in policies.as_array().expect("a list").iter().enumerate() {
        world.policy("a", &format!("p{number}"), spec.clone());
    }
    world.commit();
    for (from, to, answer) in expected {
        assert_eq!(
            world.connect(from, to),
            *answer,
            "{from} to {to}: {policies}"
        );
        assert_eq!(
            world.decision(from, to),
            *answer,
            "{from} to {to}: {policies}"
        );
    }
}

use Answer::{Open, Refused};

#[test]
fn ingress() {
    in_namespace("ingress", || {
        let db = json!({"matchLabels": {"app": "db"}});
        check(json!([]), &[("one", "two", Open), ("far", "two", Open)]);
        check(
            json!([{"podSelector": {}, "policyTypes": ["Ingress"]}]),
            &[
                ("one", "two", Refused),
                ("far", "two", Refused),
                ("one", "far", Open),
                ("two", "two", Open),
                ("node", "two", Open),
                ("forwarder", "two", Refused),
            ],
        );
        let from_web = json!({"podSelector": {"matchLabels": {"app": "web"}}});
        check(
            json!([{"podSelector": db, "ingress": [{"from": [from_web]}]}]),
            &[
                ("one", "two", Open),
                ("far", "two", Refused),
                ("two", "one", Open),
            ],
        );
        let from_blue = json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}});
        check(
            json!([{"podSelector": db, "ingress": [{"from": [from_blue]}]}]),
            &[("one", "two", Refused), ("far", "two", Open)],
        );
        let by_name = json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}},
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
        });
        check(
            json!([{"podSelector": db, "ingress": [{"from": [by_name]}]}]),
            &[("one", "two", Refused), ("far", "two", Open)],
        );
    });
}

#[test]
fn ports() {
    in_namespace("ports", || {
        let with = |port: Value| json!([{"podSelector": {}, "ingress": [{"ports": [port]}]}]);
        let check_port = |port: Value, answer: Answer| {
            check(with(port), &[("one", "two", answer)]);
        };
        check_port(json!({"port": 8080}), Open);
        check_port(json!({"port": "http"}), Open);
        check_port(json!({"port": "https"}), Refused);
        check_port(json!({"port": 8081}), Refused);
        check_port(json!({"port": 8000, "endPort": 8100}), Open);
        check_port(json!({"port": 8000, "endPort": 8079}), Refused);
        check_port(json!({"protocol": "UDP", "port": 8080}), Refused);
        check_port(json!({"protocol": "TCP"}), Open);
    });
}

#[test]
fn blocks() {
    in_namespace("blocks", || {
        let with = |block: Value| json!([{"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}]);
        check(
            with(json!({"cidr": "10.0.0.0/8"})),
            &[("one", "two", Open), ("forwarder", "two", Open)],
        );
        check(
            with(json!({"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]})),
            &[("one", "two", Refused), ("forwarder", "two", Open)],
        );
        check(
            with(json!({"cidr": "10.243.0.2/32"})),
            &[("one", "two", Refused), ("forwarder", "two", Open)],
        );
    });
}

#[test]
fn egress() {
    in_namespace("egress", || {
        check(
            json!([{"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}]),
            &[
                ("one", "two", Refused),
                ("one", "dns", Refused),
                ("one", "outside", Refused),
                ("two", "one", Open),
                ("two", "dns", Open),
                ("two", "outside", Open),
            ],
        );
        let dns = json!({
            "to": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        });
        check(
            json!([{"podSelector": {}, "policyTypes": ["Egress"], "egress": [dns]}]),
            &[("one", "dns", Open), ("one", "two", Refused)],
        );
        let outside = json!({"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]});
        check(
            json!([{"podSelector": {}, "policyTypes": ["Egress"], "egress": [outside]}]),
            &[
                ("one", "outside", Open),
                ("one", "two", Refused),
                ("one", "dns", Refused),
            ],
        );
        let named = json!({"ports": [{"port": "http"}]});
        check(
            json!([{"podSelector": {}, "policyTypes": ["Egress"], "egress": [named]}]),
            &[("one", "two", Open), ("one", "outside", Refused)],
        );
    });
}

#[test]
fn both_sides_must_agree_and_policies_add_up() {
    in_namespace("both_sides_must_agree_and_policies_add_up", || {
        let allow_to_db = json!({
            "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}],
        });
        let deny_db = json!({"podSelector": {"matchLabels": {"app": "db"}}});
        check(
            json!([allow_to_db, deny_db]),
            &[("one", "two", Refused), ("two", "one", Open)],
        );
        let allow_from_web = json!({
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
        });
        check(
            json!([allow_to_db, deny_db, allow_from_web]),
            &[("one", "two", Open), ("far", "two", Refused)],
        );
    });
}

#[test]
fn policies_come_and_go_and_pods_move() {
    in_namespace("policies_come_and_go_and_pods_move", || {
        let mut world = World::new();
        world.pod("a", "one", json!({"app": "web"}));
        world.pod("a", "two", json!({"app": "db"}));
        let spec = json!({
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}]}],
        });
        world.policy("a", "p", spec);
        world.commit();
        assert_eq!(world.connect("one", "two"), Refused);
        world.relabel("a", "one", json!({"role": "friend"}));
        world.commit();
        assert_eq!(world.connect("one", "two"), Open);
        world.relabel("a", "one", json!({}));
        world.commit();
        assert_eq!(world.connect("one", "two"), Refused);
        world.no_policy("a", "p");
        world.commit();
        assert_eq!(world.connect("one", "two"), Open);
        assert_eq!(world.commit(), 0, "nothing left to do");
    });
}

#[test]
fn a_pod_that_is_not_known_yet_is_held_until_it_is_judged() {
    in_namespace(
        "a_pod_that_is_not_known_yet_is_held_until_it_is_judged",
        || {
            let mut world = World::new();
            world.pod("a", "one", json!({"app": "web"}));
            world.pod("a", "two", json!({"app": "db"}));
            // Where there is no policy nobody waits.
            world.unknown_pod("free");
            world.commit();
            assert_eq!(world.connect("free", "two"), Open);
            assert_eq!(world.connect("two", "free"), Open);
            let late_to_db = json!({
                "podSelector": {"matchLabels": {"app": "late"}}, "policyTypes": ["Egress", "Ingress"],
                "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}],
            });
            world.policy("a", "p", late_to_db);
            world.commit();
            let mut check = |name: &str, outwards: bool, peer: &str, expected: Answer| {
                world.unknown_pod(name);
                let (from, to) = if outwards { (name, peer) } else { (peer, name) };
                let asking = world.begin_to_connect(from, to);
                assert!(!asking.is_finished(), "{from} to {to} was let through");
                world.relabel("a", name, json!({"app": "late"}));
                world.commit();
                let asked = asking.join().expect("it was asked");
                assert_eq!(
                    answer(asked).expect("an answer"),
                    expected,
                    "{from} to {to}"
                );
            };
            check("late-1", true, "two", Open);
            check("late-2", true, "one", Refused);
            check("late-3", true, "outside", Refused);
            check("late-4", true, "dns", Refused);
            check("late-5", false, "one", Refused);
            // Everybody's policy is gone, and nobody is held any more.
            world.no_policy("a", "p");
            world.commit();
            world.unknown_pod("last");
            assert_eq!(world.connect("last", "one"), Open);
        },
    );
}
