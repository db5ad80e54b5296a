//! Services judged by traffic.

mod world;

use std::collections::BTreeSet;

use coracle_netdev::Netlink;
use coracle_netdev::nft::readback;
use coracle_netdev::testing::in_namespace;
use coracle_network::base;
use serde_json::json;
use world::{Answer, World};

#[test]
fn a_service_leads_to_its_ready_pods() {
    in_namespace("a_service_leads_to_its_ready_pods", || {
        let mut world = World::new();
        world.pod("a", "one", json!({}));
        world.pod("a", "two", json!({}));
        world.service("web", json!({}), &["one", "two"]);
        world.commit();
        let seen: BTreeSet<String> = (0..40).map(|_| world.ask("one", "web")).collect();
        // Itself by hairpin, seen as the node; the other one as it is.
        let expected = ["one 10.243.0.1", "two 10.244.0.20"];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
        assert!(world.ask("node", "web").ends_with("10.243.0.1"));

        world.service("web", json!({}), &["two"]);
        world.commit();
        for _ in 0..10 {
            assert_eq!(world.ask("one", "web"), "two 10.244.0.20");
        }
        // Nobody serves it: refused at once, from pods and from the node.
        world.service("web", json!({}), &[]);
        world.commit();
        assert_eq!(world.connect("one", "web"), Answer::Refused);
        assert_eq!(world.connect("node", "web"), Answer::Refused);
        world.service("web", json!({}), &["one"]);
        world.commit();
        assert_eq!(world.ask("two", "web"), "one 10.244.0.21");
        world.no_service("web");
        world.commit();
        assert_eq!(world.connect("two", "web"), Answer::Refused);
    });
}

#[test]
fn node_ports_answer_inside_at_the_node() {
    in_namespace("node_ports_answer_inside_at_the_node", || {
        let mut world = World::new();
        world.pod("a", "one", json!({}));
        world.pod("a", "two", json!({}));
        world.service("web", json!({"type": "NodePort"}), &["two"]);
        world.commit();
        assert_eq!(world.ask("one", "node-port"), "two 10.244.0.20");
    });
}

#[test]
fn an_affine_client_keeps_its_pod() {
    in_namespace("an_affine_client_keeps_its_pod", || {
        let mut world = World::new();
        for name in ["one", "two", "three"] {
            world.pod("a", name, json!({}));
        }
        let spec = json!({"sessionAffinity": "ClientIP"});
        world.service("web", spec.clone(), &["one", "two", "three"]);
        world.commit();
        let first = world.ask("node", "web");
        for _ in 0..20 {
            assert_eq!(world.ask("node", "web"), first);
        }
        // Another endpoint going changes nothing for this client.
        let chosen = first.split(' ').next().expect("a name").to_owned();
        let other = ["one", "two", "three"].into_iter().find(|n| *n != chosen);
        let kept: Vec<&str> = ["one", "two", "three"]
            .into_iter()
            .filter(|name| Some(*name) != other)
            .collect();
        world.service("web", spec.clone(), &kept);
        world.commit();
        for _ in 0..10 {
            assert_eq!(world.ask("node", "web"), first);
        }
        let kept: Vec<&str> = kept.into_iter().filter(|name| *name != chosen).collect();
        world.service("web", spec, &kept);
        world.commit();
        assert_ne!(world.ask("node", "web"), first);
    });
}

#[test]
fn a_restarted_engine_finds_its_rules_in_place() {
    in_namespace("a_restarted_engine_finds_its_rules_in_place", || {
        let mut world = World::new();
        world.pod("a", "one", json!({"app": "web"}));
        world.pod("a", "two", json!({"app": "db"}));
        world.service("web", json!({}), &["one", "two"]);
        world.policy(
            "a",
            "p",
            json!({"podSelector": {"matchLabels": {"app": "db"}}}),
        );
        world.commit();
        assert_eq!(world.restart(), 0, "nothing changed meanwhile");
        assert_eq!(world.connect("one", "two"), Answer::Refused);
        world.no_policy("a", "p");
        assert!(world.restart() > 0);
        assert_eq!(world.connect("one", "two"), Answer::Open);
    });
}

#[test]
fn datagrams_that_leave_are_taken_in_after_a_restart() {
    in_namespace("datagrams_that_leave_are_taken_in_after_a_restart", || {
        let mut world = World::new();
        world.restart();
        let mut netlink = Netlink::netfilter().expect("netlink");
        let table = readback::read(&mut netlink, base::TABLE).expect("read");
        let chains = table.expect("a table").chains;
        assert!(chains.contains_key("datagrams"), "{:?}", chains.keys());
    });
}

#[test]
fn a_pod_opens_a_port_of_the_node() {
    in_namespace("a_pod_opens_a_port_of_the_node", || {
        let mut world = World::new();
        world.pod("a", "one", json!({}));
        world.pod("a", "two", json!({"host-port": "4080"}));
        world.pod("a", "three", json!({"host-port": "4080"}));
        world.commit();
        // The first of two that want it has it, until it goes.
        assert_eq!(world.ask("one", "host-port"), "three 10.244.0.20");
        world.relabel("a", "three", json!({}));
        world.commit();
        assert_eq!(world.ask("one", "host-port"), "two 10.244.0.20");
        world.relabel("a", "two", json!({}));
        world.commit();
        assert_eq!(world.connect("one", "host-port"), Answer::Refused);
    });
}
