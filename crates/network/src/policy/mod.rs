//! NetworkPolicy as chains and sets.
//!
//! Three pure steps: [`world`] keeps what policies depend on, [`resolve`] turns
//! selectors into addresses, [`encode`] writes fragments. [`decide`] judges one
//! flow by the same resolved policies, to tell a user which one decided; the
//! test below shows how they go together.
//!
//! Attempts that were refused on their way out of the cluster stand in the data
//! plane's [`Report::refusals`](coracle_dataplane::Report), the latest 64, and
//! are events of the pods that tried.

pub mod decide;
pub mod encode;
pub mod resolve;
pub mod world;

pub use decide::{Decision, Flow, decide};
pub use encode::fragments;
pub use resolve::{Policy, resolve};
pub use world::{PodFacts, World};

#[cfg(test)]
mod tests {
    use coracle_client::Key;
    use serde_json::json;

    use super::*;
    use crate::AddressPlan;

    #[test]
    fn a_flow_is_judged_from_objects_alone() {
        let plan = AddressPlan::default();
        let mut world = World::new(&plan);
        let pod = json!({
            "metadata": {"labels": {"app": "db"}}, "spec": {"containers": []},
            "status": {"podIP": "10.244.0.20"},
        });
        let pod = serde_json::from_value(pod).expect("a pod");
        world.set_namespace("shop", Some(world::Labels::new()));
        world.set_pod(Key::new("shop", "db"), PodFacts::of(&pod));
        let deny = json!({
            "metadata": {"name": "deny"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        });
        let deny = serde_json::from_value(deny).expect("a policy");
        world.set_policy(Key::new("shop", "deny"), Some(deny));
        let flow = Flow {
            source: plan.ingress(),
            destination: [10, 244, 0, 20].into(),
            protocol: 6,
            port: 5432,
        };
        let refused = Decision::RefusedByReceiver(vec![Key::new("shop", "deny")]);
        assert_eq!(decide(&resolve(&world), &plan, flow), refused);
        // The node's probes pass.
        let probe = Flow {
            source: plan.node(),
            ..flow
        };
        assert_eq!(
            decide(&resolve(&world), &plan, probe),
            Decision::Allowed(Vec::new())
        );
    }
}
