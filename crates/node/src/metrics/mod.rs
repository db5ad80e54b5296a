//! The metrics API: what containers and the machine use (`metrics.k8s.io`), and
//! what pods tell about themselves (`custom.metrics.k8s.io`).
//!
//! Numbers are observed or absent: a container that was not seen twice yet has
//! no figure, and its pod is left out, as upstream's metrics-server does.

mod answer;
mod custom;
pub mod exposition;
mod machine;
mod meter;
mod pods;
mod resource;
mod scrape;
mod series;
mod window;

pub use answer::serve;
pub use machine::available_bytes;
pub use meter::{Meter, keep as keep_meter};
pub use scrape::{Scrapes, keep as keep_scrapes};
