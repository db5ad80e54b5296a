//! What every cluster has of the network: the Services `kubernetes` and
//! `kube-dns`, and the class of Ingresses that are served.
//!
//! The Services' endpoints are not pods, so they are written here: the API
//! server on the node's address, and cluster DNS. What exists is left as it
//! is, except for endpoints that lead elsewhere.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::endpoints::SERVICE_LABEL;
use crate::ingress::class;
use crate::plan::AddressPlan;

/// Who writes these fields.
const MANAGER: &str = "coracle-network";

/// Makes sure that both Services, their endpoints and the class are there.
///
/// # Errors
/// The API's refusal of the first object that could not be written.
pub async fn ensure(client: &Client, plan: &AddressPlan) -> Result<(), kube::Error> {
    for wanted in both(plan) {
        let services: Api<Service> = Api::namespaced(client.clone(), wanted.namespace);
        create_missing(&services, wanted.service).await?;
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), wanted.namespace);
        let name = wanted.slice["metadata"]["name"]
            .as_str()
            .unwrap_or_default();
        let parameters = PatchParams::apply(MANAGER).force();
        slices
            .patch(name, &parameters, &Patch::Apply(&wanted.slice))
            .await?;
    }
    create_missing(&Api::<IngressClass>::all(client.clone()), ingress_class()).await
}

fn ingress_class() -> Value {
    json!({
        "metadata": {
            "name": class::NAME,
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
        },
        "spec": {"controller": class::CONTROLLER},
    })
}

struct Wanted {
    namespace: &'static str,
    service: Value,
    slice: Value,
}

fn both(plan: &AddressPlan) -> [Wanted; 2] {
    let kubernetes_labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let dns_labels = json!({
        "k8s-app": "kube-dns",
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    });
    let kubernetes = Wanted {
        namespace: "default",
        service: json!({
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": kubernetes_labels},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": plan.kubernetes_service(),
                "clusterIPs": [plan.kubernetes_service()],
                "ports": [{"name": "https", "port": 443, "targetPort": plan.api_port, "protocol": "TCP"}],
            },
        }),
        slice: slice(
            "default",
            "kubernetes",
            plan.node(),
            json!([{"name": "https", "port": plan.api_port, "protocol": "TCP"}]),
        ),
    };
    let dns = Wanted {
        namespace: "kube-system",
        service: json!({
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": dns_labels},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": plan.dns_service(),
                "clusterIPs": [plan.dns_service()],
                "ports": [
                    {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "targetPort": 53, "protocol": "TCP"},
                ],
            },
        }),
        slice: slice(
            "kube-system",
            "kube-dns",
            plan.dns(),
            json!([
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ]),
        ),
    };
    [kubernetes, dns]
}

fn slice(namespace: &str, service: &str, address: std::net::Ipv4Addr, ports: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": service,
            "namespace": namespace,
            "labels": {SERVICE_LABEL: service},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
    })
}

async fn create_missing<K>(api: &Api<K>, object: Value) -> Result<(), kube::Error>
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    if api.get_opt(&object.name_any()).await?.is_some() {
        return Ok(());
    }
    match api.create(&PostParams::default(), &object).await {
        Err(error) if coracle_client::is_conflict(&error) => Ok(()),
        result => result.map(drop),
    }
}
