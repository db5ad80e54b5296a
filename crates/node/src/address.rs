//! Hands out pod addresses, lowest free first after the last one given, so
//! that an address is not used again at once.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use coracle_netdev::plan::{AddressPlan, PODS_RESERVED};
use parking_lot::Mutex;

/// The pod addresses of a node.
#[derive(Debug)]
pub struct Addresses {
    plan: AddressPlan,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Address by the uid of the pod that holds it.
    held: HashMap<String, Ipv4Addr>,
    /// The same addresses, to look one up.
    taken: HashSet<Ipv4Addr>,
    next: u32,
}

impl Addresses {
    /// Returns the addresses of the plan, none of them given.
    pub fn new(plan: AddressPlan) -> Addresses {
        Addresses {
            plan,
            state: Mutex::default(),
        }
    }

    /// Notes that a pod that already runs holds `address`; the next one is given
    /// behind it.
    pub fn hold(&self, uid: &str, address: Ipv4Addr) {
        let mut state = self.state.lock();
        let offset = u32::from(address).checked_sub(u32::from(self.plan.pods.address()));
        let behind = offset.and_then(|offset| (offset + 1).checked_sub(PODS_RESERVED));
        state.next = state.next.max(behind.unwrap_or(0));
        state.held.insert(uid.to_owned(), address);
        state.taken.insert(address);
    }

    /// Returns the pod's address, a free one if it has none yet; `None` if all are taken.
    pub fn take(&self, uid: &str) -> Option<Ipv4Addr> {
        let mut state = self.state.lock();
        if let Some(address) = state.held.get(uid) {
            return Some(*address);
        }
        // The first addresses are the cluster's own, the last is the broadcast address.
        let usable = (1u32 << (32 - self.plan.pods.prefix())) - PODS_RESERVED - 1;
        for step in 0..usable {
            let offset = PODS_RESERVED + (state.next + step) % usable;
            let Some(address) = self.plan.pods.nth(offset) else {
                continue;
            };
            if state.taken.insert(address) {
                state.next = (state.next + step + 1) % usable;
                state.held.insert(uid.to_owned(), address);
                return Some(address);
            }
        }
        None
    }

    /// Gives a pod's address back.
    pub fn release(&self, uid: &str) {
        let mut state = self.state.lock();
        if let Some(address) = state.held.remove(uid) {
            state.taken.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_until_it_is_released_and_not_reused_at_once() {
        let addresses = Addresses::new(AddressPlan::default());
        let first = addresses.take("a").expect("there are many");
        assert_eq!(addresses.take("a"), Some(first));
        let second = addresses.take("b").expect("there are many");
        assert_ne!(first, second);
        addresses.release("a");
        assert_ne!(addresses.take("c"), Some(first));
    }

    #[test]
    fn after_a_restart_what_was_released_before_is_not_reused_at_once() {
        let before = Addresses::new(AddressPlan::default());
        let released = before.take("a");
        let kept = before.take("b").expect("there are many");
        let after = Addresses::new(AddressPlan::default());
        after.hold("b", kept);
        let next = after.take("c");
        assert!(next.is_some() && next != released && next != Some(kept));
    }
}
