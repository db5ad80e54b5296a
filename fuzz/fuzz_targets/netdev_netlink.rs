//! Messages of netlink: headers, attributes, refusals, tracked flows.

#![no_main]

use coracle_netdev::{conntrack, wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for message in wire::messages(bytes) {
        let _ = message.acknowledgement();
        for (kind, value) in message.attributes(16) {
            let _ = (kind, wire::text(value), wire::be_u32(value));
            for (_, inner) in wire::attributes(value) {
                let _ = wire::ne_u32(inner);
            }
        }
        let _ = conntrack::parse(message.kind, message.body);
    }
});
