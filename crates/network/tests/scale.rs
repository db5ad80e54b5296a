//! Two thousand Services: a change costs what it changes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use coracle_client::Key;
use coracle_netdev::nft::Kernel;
use coracle_netdev::testing::in_namespace;
use coracle_netdev::{AddressPlan, base};
use coracle_network::{Core, Settings};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

fn service(number: u32) -> Arc<Service> {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + number);
    let service = json!({
        "metadata": {"name": format!("s{number}"), "namespace": "a"},
        "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}]},
    });
    Arc::new(serde_json::from_value(service).expect("a Service"))
}

fn slices(endpoints: &[Ipv4Addr]) -> Vec<Arc<EndpointSlice>> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|e| json!({"addresses": [e]}))
        .collect();
    let slice = json!({
        "metadata": {"name": "s", "namespace": "a"}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints,
    });
    vec![Arc::new(serde_json::from_value(slice).expect("a slice"))]
}

#[test]
fn one_endpoint_among_two_thousand_services() {
    in_namespace("one_endpoint_among_two_thousand_services", || {
        base::setup(&AddressPlan::default()).expect("base");
        let settings = Settings {
            plan: AddressPlan::default(),
            domain: "cluster.local".into(),
            datagrams: true,
            host_addresses: vec![IpAddr::from([127, 0, 0, 1])],
            listen: Vec::new(),
            authority: None,
        };
        let mut core = Core::new(settings, Kernel::open().expect("nf_tables"));
        let pods = [20, 21, 22].map(|last| Ipv4Addr::new(10, 244, 0, last));
        let two = slices(&pods[..2]);
        for number in 0..2000 {
            let key = Key::new("a", format!("s{number}"));
            core.set_service(&key, Some(service(number)), two.clone());
        }
        let all = core.resume().expect("loaded");
        assert!(all > 8000, "{all}");
        let key = Key::new("a", "s1000");
        // Another endpoint in place of one: an element goes and one comes.
        for third in [pods[2], pods[1]] {
            core.set_service(&key, Some(service(1000)), slices(&[pods[0], third]));
            assert_eq!(core.commit().expect("committed"), 2);
        }
        // The only endpoint comes and goes without a rule or a verdict, which the
        // kernel would check together with all others.
        let mut check = |pods: &[Ipv4Addr], expected: usize| {
            core.set_service(&key, Some(service(1000)), slices(pods));
            assert_eq!(core.commit().expect("committed"), expected, "{pods:?}");
        };
        check(&pods[..1], 3);
        check(&[], 1);
        check(&pods[..1], 1);
        check(&pods[2..], 2);
        check(&[], 1);
        // One more endpoint: its element and the chain that picks.
        core.set_service(&key, Some(service(1000)), slices(&pods));
        assert!(core.commit().expect("committed") < 8);
    });
}
