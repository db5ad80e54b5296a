//! Messages of DNS as pods send them.

#![no_main]

use std::sync::{Arc, LazyLock};

use coracle_dataplane::dns::answer::{Answerer, Outcome, Transport};
use coracle_dataplane::host::{Direct, Policy, Resolver};
use libfuzzer_sys::fuzz_target;

static ANSWERER: LazyLock<Answerer> = LazyLock::new(|| {
    let host = Direct::new(Policy::default(), Resolver::default());
    Answerer::new(Arc::new(host))
});

fuzz_target!(|bytes: &[u8]| {
    for transport in [Transport::Udp, Transport::Tcp] {
        match ANSWERER.begin(bytes, transport) {
            Outcome::Nothing => {}
            // An answer speaks of the question it was asked (RFC 1035, 4.1.1).
            Outcome::Done(answer) => assert_eq!(answer[..2], bytes[..2]),
            Outcome::Ask(question) => assert_eq!(question.failure()[..2], bytes[..2]),
        }
    }
});
