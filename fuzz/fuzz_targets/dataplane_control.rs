//! Configurations as they arrive over the control socket, and what is read
//! from one: names and rules.

#![no_main]

use coracle_dataplane::Config;
use coracle_dataplane::dns::zone::Zones;
use coracle_dataplane::ingress::certificate;
use coracle_dataplane::ingress::route::Router;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = serde_json::from_slice::<Config>(bytes) else {
        return;
    };
    let _ = config.dns.as_ref().map(Zones::new);
    if let Some(ingress) = &config.ingress {
        let _ = Router::new(&ingress.routes);
        for one in &ingress.certificates {
            let _ = certificate::check(&one.chain, &one.key);
        }
    }
    let text = serde_json::to_vec(&config).expect("it was read from such a text");
    let again: Config = serde_json::from_slice(&text).expect("it was just written");
    assert_eq!(again, config);
});
