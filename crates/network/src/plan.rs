//! The addresses of a cluster.
//!
//! The plain data stands in [`coracle_netdev::plan`], because the node and the
//! cluster need it too; its table says what each address is for.

pub use coracle_netdev::plan::{AddressPlan, GATEWAY, PODS_RESERVED, PlanError};
pub use coracle_netdev::{Cidr, base::setup};
