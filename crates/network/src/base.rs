//! The part of the table that never changes.
//!
//! | chain | hook, priority | what it does |
//! | --- | --- | --- |
//! | `guard` | prerouting, −150 | judges what leaves the cluster, on its original destination |
//! | `datagrams` | prerouting, −140 | takes datagrams that leave in, for the egress proxy |
//! | `pre` | prerouting, −100 | services; then what leaves goes to the egress proxy |
//! | `out` | output, −100 | services for the node itself |
//! | `forward-out`, `input-out`, `output-out` | 0 | the sender's policies; a ClusterIP nobody serves is refused |
//! | `forward-in`, `input-in`, `output-in` | 10 | the receiver's policies |
//! | `post` | postrouting, 100 | a pod that reaches itself through a Service is seen as the node |
//!
//! Forwarded and local traffic goes through the same two chains, `egress` and
//! `ingress`. Two base chains per hook, because acceptance by the sender's
//! policy must not end the judgement of the receiver's.

use std::net::Ipv4Addr;

use coracle_netdev::Cidr;
use coracle_netdev::base::MARK_TAKEN;
use coracle_netdev::nft::expr::{
    self, Expr, ICMP_PORT, ICMP_PROHIBITED, Reg, Reject, Rule, STATE_ESTABLISHED, STATE_INVALID,
    STATE_RELATED, Verdict,
};
use coracle_netdev::nft::{Base, ChainType, Fragment, Hook, Kernel, SetKind, Table, Type};

use crate::plan::AddressPlan;

/// The table's name.
pub const TABLE: &str = "coracle";
/// The fragment's owner.
pub const OWNER: &str = "base";

/// Verdicts by ClusterIP, protocol and port.
pub const SERVICES: &str = "services-by-address";
/// Verdicts by protocol and node port.
pub const NODE_PORTS: &str = "services-by-node-port";
/// Verdicts by protocol and port that a pod opens on the node.
pub const HOST_PORTS: &str = "pods-by-host-port";
/// Pairs of a pod's address with itself: the pods that are known.
pub const HAIRPIN: &str = "hairpin";
/// Verdicts by the address of a pod whose sending is restricted.
pub const EGRESS: &str = "restricted-senders";
/// Verdicts by the address of a pod whose receiving is restricted.
pub const INGRESS: &str = "restricted-receivers";
/// Addresses that neither send nor receive until a pod is known to have them.
pub const HELD: &str = "held-until-known";

/// How a flow that no policy allows is answered: at once and by name.
pub const DENIAL: Reject = Reject::Icmp(ICMP_PROHIBITED);

/// The owner of the part that needs a kernel with transparent proxying.
pub const DATAGRAMS_OWNER: &str = "base/datagrams";

/// Returns the part that takes datagrams in which leave the cluster.
pub fn datagrams(plan: &AddressPlan) -> Fragment {
    let mut fragment = Fragment::default();
    let base = Base {
        kind: ChainType::Filter,
        hook: Hook::Prerouting,
        priority: -140,
    };
    // Multicast and what lies behind it is for neighbours, and there are none.
    let many = Cidr::new(Ipv4Addr::new(224, 0, 0, 0), 3);
    let rule = from_pods_outwards(plan)
        .destination(many, false)
        .protocol(expr::UDP)
        .take_in(plan.node(), plan.egress_port, MARK_TAKEN);
    fragment.chain("datagrams", Some(base), vec![rule]);
    fragment
}

/// Tells whether the kernel can take datagrams in; tried in a table of its own.
pub fn has_datagrams(plan: &AddressPlan, kernel: Kernel) -> bool {
    let mut probe = Table::new("coracle-probe", kernel);
    let tried = probe.apply(vec![(DATAGRAMS_OWNER.to_owned(), Some(datagrams(plan)))]);
    if let Err(error) = probe.delete() {
        tracing::warn!(%error, "a table made for a trial was not deleted");
    }
    tried.is_ok()
}

/// Returns the constant fragment.
pub fn fragment(plan: &AddressPlan) -> Fragment {
    let mut fragment = Fragment::default();
    sets(&mut fragment);
    services(&mut fragment, plan);
    policies(&mut fragment, plan);
    filters(&mut fragment, plan);
    fragment
}

fn sets(fragment: &mut Fragment) {
    let service = [Type::Address, Type::Protocol, Type::Port];
    fragment
        .set(SERVICES, &service, SetKind::VerdictMap)
        .set(
            NODE_PORTS,
            &[Type::Protocol, Type::Port],
            SetKind::VerdictMap,
        )
        .set(
            HOST_PORTS,
            &[Type::Protocol, Type::Port],
            SetKind::VerdictMap,
        )
        .set(HAIRPIN, &[Type::Address, Type::Address], SetKind::Plain)
        .set(EGRESS, &[Type::Address], SetKind::VerdictMap)
        .set(INGRESS, &[Type::Address], SetKind::VerdictMap)
        .set(HELD, &[Type::Address], SetKind::Intervals);
}

fn services(fragment: &mut Fragment, plan: &AddressPlan) {
    let by_address = Rule::new()
        .load_service(Reg(0))
        .verdict_map(SERVICES, Reg(0));
    let by_port = |map: &str| {
        Rule::new()
            .destination(plan.node().into(), true)
            .load_protocol(Reg(0))
            .load_port(Reg(1))
            .verdict_map(map, Reg(0))
    };
    let at_node = [by_port(NODE_PORTS), by_port(HOST_PORTS)];
    let leaving = from_pods_outwards(plan)
        .protocol(expr::TCP)
        .dnat_to(plan.node(), plan.egress_port);
    let to_itself = Rule::new()
        .load_source(Reg(0))
        .load_destination(Reg(1))
        .in_set(HAIRPIN, Reg(0))
        .snat_to(plan.node());
    fragment
        .chain(
            "services",
            None,
            [by_address].into_iter().chain(at_node).collect(),
        )
        .chain(
            "pre",
            nat(Hook::Prerouting, -100),
            vec![Rule::new().jump("services"), leaving],
        )
        .chain(
            "out",
            nat(Hook::Output, -100),
            vec![
                Rule::new().jump("services"),
                unserved_here(plan, expr::TCP),
                unserved_here(plan, expr::UDP),
            ],
        )
        .chain("post", nat(Hook::Postrouting, 100), vec![to_itself]);
}

/// Refuses what the node itself sends to a ClusterIP that nobody serves.
///
/// The kernel sends no ICMP error about a packet of its own that is routed to
/// loopback (seen on 6.18), so it goes to a port where nobody listens.
fn unserved_here(plan: &AddressPlan, protocol: u8) -> Rule {
    const NOBODY: u16 = 1;
    Rule::new()
        .destination(plan.services, true)
        .protocol(protocol)
        .dnat_to(plan.node(), NOBODY)
}

/// Matches what a pod sends to neither pod, Service nor the node.
fn from_pods_outwards(plan: &AddressPlan) -> Rule {
    let rule = Rule::new()
        .source(plan.pods, true)
        .destination(plan.pods, false)
        .destination(plan.services, false);
    // The node range holds one address that stands for the host and is
    // nobody's: it leaves like any other.
    plan.local()
        .into_iter()
        .filter(|address| !plan.pods.contains(*address))
        .chain([plan.gateway()])
        .fold(rule, |rule, address| {
            rule.destination(address.into(), false)
        })
}

fn policies(fragment: &mut Fragment, plan: &AddressPlan) {
    let open = || {
        Rule::new()
            .state(STATE_ESTABLISHED | STATE_RELATED)
            .accept()
    };
    let itself = || {
        Rule::new()
            .load_source(Reg(0))
            .load_destination(Reg(1))
            .in_set(HAIRPIN, Reg(0))
            .accept()
    };
    // The node's probes always pass.
    let node = Rule::new().source(plan.node().into(), true).accept();
    let sender = Rule::new().load_source(Reg(0)).verdict_map(EGRESS, Reg(0));
    let receiver = Rule::new()
        .load_destination(Reg(0))
        .verdict_map(INGRESS, Reg(0));
    let sends_unknown = unknown(Rule::load_source);
    let receives_unknown = unknown(Rule::load_destination);
    fragment
        .chain(
            "egress",
            None,
            vec![open(), itself(), sender, sends_unknown],
        )
        .chain(
            "ingress",
            None,
            vec![open(), itself(), node, receiver, receives_unknown],
        );
}

/// Drops what no policy could judge yet; a sender that tries again is judged.
fn unknown(load: fn(Rule, Reg) -> Rule) -> Rule {
    let held = load(Rule::new(), Reg(0)).in_set(HELD, Reg(0));
    load(held, Reg(1))
        .expr(Expr::InSet(HAIRPIN.to_owned(), Reg(0), true))
        .verdict(Verdict::Drop)
}

fn filters(fragment: &mut Fragment, plan: &AddressPlan) {
    let egress = || Rule::new().jump("egress");
    let ingress = || Rule::new().jump("ingress");
    let invalid = Rule::new().state(STATE_INVALID).verdict(Verdict::Drop);
    let unserved = Rule::new()
        .destination(plan.services, true)
        .reject(Reject::Icmp(ICMP_PORT));
    // Judged in `guard` already, where it still had its destination. Datagrams
    // keep it, and are judged once more with the same result.
    let redirected = Rule::new()
        .destination(plan.node().into(), true)
        .protocol(expr::TCP)
        .ports(plan.egress_port, plan.egress_port)
        .accept();
    let filter = |hook, priority| {
        Some(Base {
            kind: ChainType::Filter,
            hook,
            priority,
        })
    };
    fragment
        .chain(
            "guard",
            filter(Hook::Prerouting, -150),
            vec![from_pods_outwards(plan).jump("egress")],
        )
        .chain(
            "forward-out",
            filter(Hook::Forward, 0),
            vec![invalid, unserved, egress()],
        )
        .chain("forward-in", filter(Hook::Forward, 10), vec![ingress()])
        .chain(
            "input-out",
            filter(Hook::Input, 0),
            vec![redirected, egress()],
        )
        .chain("input-in", filter(Hook::Input, 10), vec![ingress()])
        .chain("output-out", filter(Hook::Output, 0), vec![egress()])
        .chain("output-in", filter(Hook::Output, 10), vec![ingress()]);
}

fn nat(hook: Hook, priority: i32) -> Option<Base> {
    Some(Base {
        kind: ChainType::Nat,
        hook,
        priority,
    })
}
