//! Carries traffic: host-port forwarders, cluster DNS, egress, Ingress. Knows no Kubernetes.
