//! Rules and requests of the HTTP proxy: whatever a rule says and a client
//! asks for, a path is found or not, and what it becomes may be asked for.

#![no_main]

use coracle_dataplane::config::{HttpRoute, PathKind};
use coracle_dataplane::ingress::route::{Router, normal, plain_host};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String, String, String, u8)| {
    let (host, path, rewrite, asked, kind) = input;
    let kinds = [PathKind::Exact, PathKind::Prefix, PathKind::Text, PathKind::Pattern];
    let route = HttpRoute {
        host: plain_host(&host),
        path,
        kind: kinds[usize::from(kind) % kinds.len()],
        rewrite: Some(rewrite),
        ..HttpRoute::default()
    };
    let router = Router::new(&[route.clone(), HttpRoute { host: String::new(), ..route }]);
    if let Some(found) = router.find(&plain_host(&host), &asked) {
        let path = found.path.unwrap_or_default();
        assert!(path.starts_with('/') && path.is_ascii(), "{path:?}");
    }
    // Reading a plain path once more changes nothing.
    let once = normal(&asked).into_owned();
    if !once.contains('%') {
        assert_eq!(normal(&once), once);
    }
});
