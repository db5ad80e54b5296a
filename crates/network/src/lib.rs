//! Decides addresses, service routing, names and policy; dataplane and netdev carry them out.
