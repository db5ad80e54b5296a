//! Where a pod lands, and why it cannot.
