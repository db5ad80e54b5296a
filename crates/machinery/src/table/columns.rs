//! The columns of every kind, as Kubernetes 1.36 answers them.

use super::{About, Column};

/// Returns the columns of a kind.
pub fn of(group: &str, kind: &str) -> &'static [Column] {
    match (group, kind) {
        ("", "ConfigMap") => CONFIG_MAP,
        ("", "Endpoints") => ENDPOINTS,
        ("", "Event") => EVENT,
        ("", "Namespace") => NAMESPACE,
        ("", "Node") => NODE,
        ("", "PersistentVolume") => PERSISTENT_VOLUME,
        ("", "PersistentVolumeClaim") => PERSISTENT_VOLUME_CLAIM,
        ("", "Pod") => POD,
        ("", "PodTemplate") => POD_TEMPLATE,
        ("", "ReplicationController") => REPLICATION_CONTROLLER,
        ("", "ResourceQuota") => RESOURCE_QUOTA,
        ("", "Secret") => SECRET,
        ("", "Service") => SERVICE,
        ("", "ServiceAccount") => SERVICE_ACCOUNT,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy") => MUTATING_ADMISSION_POLICY,
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding") => {
            MUTATING_ADMISSION_POLICY_BINDING
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            MUTATING_WEBHOOK_CONFIGURATION
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            VALIDATING_ADMISSION_POLICY
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            MUTATING_ADMISSION_POLICY_BINDING
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            MUTATING_WEBHOOK_CONFIGURATION
        }
        ("apps", "ControllerRevision") => CONTROLLER_REVISION,
        ("apps", "DaemonSet") => DAEMON_SET,
        ("apps", "Deployment") => DEPLOYMENT,
        ("apps", "ReplicaSet") => REPLICATION_CONTROLLER,
        ("apps", "StatefulSet") => STATEFUL_SET,
        ("autoscaling", "HorizontalPodAutoscaler") => HORIZONTAL_POD_AUTOSCALER,
        ("batch", "CronJob") => CRON_JOB,
        ("batch", "Job") => JOB,
        ("coordination.k8s.io", "Lease") => LEASE,
        ("discovery.k8s.io", "EndpointSlice") => ENDPOINT_SLICE,
        ("networking.k8s.io", "IPAddress") => IPADDRESS,
        ("networking.k8s.io", "Ingress") => INGRESS,
        ("networking.k8s.io", "IngressClass") => INGRESS_CLASS,
        ("networking.k8s.io", "NetworkPolicy") => NETWORK_POLICY,
        ("networking.k8s.io", "ServiceCIDR") => SERVICE_CIDR,
        ("node.k8s.io", "RuntimeClass") => RUNTIME_CLASS,
        ("policy", "PodDisruptionBudget") => POD_DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => CLUSTER_ROLE_BINDING,
        ("rbac.authorization.k8s.io", "RoleBinding") => ROLE_BINDING,
        ("scheduling.k8s.io", "PriorityClass") => PRIORITY_CLASS,
        ("storage.k8s.io", "CSIDriver") => CSIDRIVER,
        ("storage.k8s.io", "CSINode") => CSINODE,
        ("storage.k8s.io", "StorageClass") => STORAGE_CLASS,
        ("storage.k8s.io", "VolumeAttachment") => VOLUME_ATTACHMENT,
        ("storage.k8s.io", "VolumeAttributesClass") => VOLUME_ATTRIBUTES_CLASS,
        ("events.k8s.io", "Event") => EVENT,
        ("", "ComponentStatus") => COMPONENT_STATUS,
        ("apiregistration.k8s.io", "APIService") => API_SERVICE,
        ("certificates.k8s.io", "CertificateSigningRequest") => SIGNING_REQUEST,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => PRIORITY_LEVEL,
        ("resource.k8s.io", "ResourceClaim") => RESOURCE_CLAIM,
        ("resource.k8s.io", "ResourceSlice") => RESOURCE_SLICE,
        ("resource.k8s.io", _) => &[NAME, AGE],
        _ => DEFAULT,
    }
}

const fn col(name: &'static str, kind: &'static str, about: About) -> Column {
    Column {
        name,
        kind,
        format: "",
        priority: 0,
        about,
    }
}

const fn wide(name: &'static str, kind: &'static str, about: About) -> Column {
    Column {
        name,
        kind,
        format: "",
        priority: 1,
        about,
    }
}

impl Column {
    const fn format(mut self, format: &'static str) -> Column {
        self.format = format;
        self
    }

    const fn shown(mut self) -> Column {
        self.priority = 0;
        self
    }
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const NAME: Column = col("Name", "string", About::Of(META, "name")).format("name");
const AGE: Column = col("Age", "string", About::Of(META, "creationTimestamp"));
const CREATED_AT: Column = col("Created At", "date", About::Of(META, "creationTimestamp"));
const CONTAINERS: Column = wide(
    "Containers",
    "string",
    About::Text("Names of each container in the template."),
);
const IMAGES: Column = wide(
    "Images",
    "string",
    About::Text("Images referenced by each container in the template."),
);

const CONFIG_MAP: &[Column] = &[NAME, col("Data", "string", About::Field("data")), AGE];

const ENDPOINTS: &[Column] = &[
    NAME,
    col("Endpoints", "string", About::Field("subsets")),
    AGE,
];

const EVENT: &[Column] = &[
    col("Last Seen", "string", About::Field("lastTimestamp")),
    col("Type", "string", About::Field("type")),
    col("Reason", "string", About::Field("reason")),
    col("Object", "string", About::Field("involvedObject")),
    wide("Subobject", "string", About::Field("related.fieldPath")),
    wide("Source", "string", About::Field("source")),
    col("Message", "string", About::Field("message")),
    wide("First Seen", "string", About::Field("firstTimestamp")),
    wide("Count", "string", About::Field("count")),
    wide("Name", "string", About::Field("metadata.name")).format("name"),
];

/// Columns of kinds without printer: name and creation time.
pub const DEFAULT: &[Column] = &[NAME, CREATED_AT];

const NAMESPACE: &[Column] = &[
    NAME,
    col(
        "Status",
        "string",
        About::Text("The status of the namespace"),
    ),
    AGE,
];

const NODE: &[Column] = &[
    NAME,
    col("Status", "string", About::Text("The status of the node")),
    col("Roles", "string", About::Text("The roles of the node")),
    AGE,
    col(
        "Version",
        "string",
        About::Field("status.nodeInfo.kubeletVersion"),
    ),
    wide("Internal-IP", "string", About::Field("status.addresses")),
    wide("External-IP", "string", About::Field("status.addresses")),
    wide(
        "OS-Image",
        "string",
        About::Field("status.nodeInfo.osImage"),
    ),
    wide(
        "Kernel-Version",
        "string",
        About::Field("status.nodeInfo.kernelVersion"),
    ),
    wide(
        "Container-Runtime",
        "string",
        About::Field("status.nodeInfo.containerRuntimeVersion"),
    ),
];

const PERSISTENT_VOLUME: &[Column] = &[
    NAME,
    col("Capacity", "string", About::Field("spec.capacity")),
    col("Access Modes", "string", About::Field("spec.accessModes")),
    col(
        "Reclaim Policy",
        "string",
        About::Field("spec.persistentVolumeReclaimPolicy"),
    ),
    col("Status", "string", About::Field("status.phase")),
    col("Claim", "string", About::Field("spec.claimRef")),
    col(
        "StorageClass",
        "string",
        About::Text("StorageClass of the pv"),
    ),
    col(
        "VolumeAttributesClass",
        "string",
        About::Text("VolumeAttributesClass of the pv"),
    ),
    col("Reason", "string", About::Field("status.reason")),
    AGE,
    wide("VolumeMode", "string", About::Field("spec.volumeMode")),
];

const PERSISTENT_VOLUME_CLAIM: &[Column] = &[
    NAME,
    col("Status", "string", About::Field("status.phase")),
    col("Volume", "string", About::Field("spec.volumeName")),
    col("Capacity", "string", About::Field("status.capacity")),
    col("Access Modes", "string", About::Field("status.accessModes")),
    col(
        "StorageClass",
        "string",
        About::Text("StorageClass of the pvc"),
    ),
    col(
        "VolumeAttributesClass",
        "string",
        About::Text("VolumeAttributesClass of the pvc"),
    ),
    AGE,
    wide("VolumeMode", "string", About::Field("spec.volumeMode")),
];

const POD: &[Column] = &[
    NAME,
    col(
        "Ready",
        "string",
        About::Text("The aggregate readiness state of this pod for accepting traffic."),
    ),
    col(
        "Status",
        "string",
        About::Text("The aggregate status of the containers in this pod."),
    ),
    col(
        "Restarts",
        "string",
        About::Text(
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
    ),
    AGE,
    wide("IP", "string", About::Field("status.podIP")),
    wide("Node", "string", About::Field("spec.nodeName")),
    wide(
        "Nominated Node",
        "string",
        About::Field("status.nominatedNodeName"),
    ),
    wide(
        "Readiness Gates",
        "string",
        About::Field("spec.readinessGates"),
    ),
];

const POD_TEMPLATE: &[Column] = &[
    NAME,
    CONTAINERS.shown(),
    IMAGES.shown(),
    col(
        "Pod Labels",
        "string",
        About::Text("The labels for the pod template."),
    ),
];

const REPLICATION_CONTROLLER: &[Column] = &[
    NAME,
    col("Desired", "integer", About::Field("spec.replicas")),
    col("Current", "integer", About::Field("status.replicas")),
    col("Ready", "integer", About::Field("status.readyReplicas")),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", "string", About::Field("spec.selector")),
];

const RESOURCE_QUOTA: &[Column] = &[
    NAME,
    col(
        "Request",
        "string",
        About::Text(
            "Request represents a minimum amount of cpu/memory that a container may consume.",
        ),
    ),
    col(
        "Limit",
        "string",
        About::Text(
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
    ),
    AGE,
];

const SECRET: &[Column] = &[
    NAME,
    col("Type", "string", About::Field("type")),
    col("Data", "string", About::Field("data")),
    AGE,
];

const SERVICE: &[Column] = &[
    NAME,
    col("Type", "string", About::Field("spec.type")),
    col("Cluster-IP", "string", About::Field("spec.clusterIP")),
    col("External-IP", "string", About::Field("spec.externalIPs")),
    col("Port(s)", "string", About::Field("spec.ports")),
    AGE,
    wide("Selector", "string", About::Field("spec.selector")),
];

const SERVICE_ACCOUNT: &[Column] = &[NAME, AGE];

const MUTATING_ADMISSION_POLICY: &[Column] = &[
    NAME,
    col(
        "Mutations",
        "integer",
        About::Text(
            "Mutation indicates the number of mutations rules defined in this configuration",
        ),
    ),
    col(
        "ParamKind",
        "string",
        About::Text("ParamKind specifies the kind of resources used to parameterize this policy"),
    ),
    AGE,
];

const MUTATING_ADMISSION_POLICY_BINDING: &[Column] = &[
    NAME,
    col(
        "PolicyName",
        "string",
        About::Text(
            "PolicyName indicates the policy definition which the policy binding binded to",
        ),
    ),
    col(
        "ParamRef",
        "string",
        About::Text("ParamRef indicates the param resource which sets the configuration param"),
    ),
    AGE,
];

const MUTATING_WEBHOOK_CONFIGURATION: &[Column] = &[
    NAME,
    col(
        "Webhooks",
        "integer",
        About::Text("Webhooks indicates the number of webhooks registered in this configuration"),
    ),
    AGE,
];

const VALIDATING_ADMISSION_POLICY: &[Column] = &[
    NAME,
    col(
        "Validations",
        "integer",
        About::Text(
            "Validations indicates the number of validation rules defined in this configuration",
        ),
    ),
    col(
        "ParamKind",
        "string",
        About::Text("ParamKind specifies the kind of resources used to parameterize this policy"),
    ),
    AGE,
];

const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    col(
        "Controller",
        "string",
        About::Text("Controller of the object"),
    ),
    col("Revision", "string", About::Field("revision")),
    AGE,
];

const DAEMON_SET: &[Column] = &[
    NAME,
    col(
        "Desired",
        "integer",
        About::Field("status.desiredNumberScheduled"),
    ),
    col(
        "Current",
        "integer",
        About::Field("status.currentNumberScheduled"),
    ),
    col("Ready", "integer", About::Field("status.numberReady")),
    col(
        "Up-to-date",
        "integer",
        About::Field("status.updatedNumberScheduled"),
    ),
    col(
        "Available",
        "integer",
        About::Field("status.numberAvailable"),
    ),
    col(
        "Node Selector",
        "string",
        About::Field("spec.template.spec.nodeSelector"),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", "string", About::Field("spec.selector")),
];

const DEPLOYMENT: &[Column] = &[
    NAME,
    col(
        "Ready",
        "string",
        About::Text("Number of the pod with ready state"),
    ),
    col(
        "Up-to-date",
        "string",
        About::Field("status.updatedReplicas"),
    ),
    col(
        "Available",
        "string",
        About::Field("status.availableReplicas"),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", "string", About::Field("spec.selector")),
];

const STATEFUL_SET: &[Column] = &[
    NAME,
    col(
        "Ready",
        "string",
        About::Text("Number of the pod with ready state"),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
];

const HORIZONTAL_POD_AUTOSCALER: &[Column] = &[
    NAME,
    col("Reference", "string", About::Field("spec.scaleTargetRef")),
    col("Targets", "string", About::Field("spec.metrics")),
    col("MinPods", "string", About::Field("spec.minReplicas")),
    col("MaxPods", "string", About::Field("spec.maxReplicas")),
    col("Replicas", "string", About::Field("status.currentReplicas")),
    AGE,
];

/// Columns of the `scale` subresource.
pub const SCALE: &[Column] = &[
    col("Name", "string", About::Field("metadata.name")),
    col("Desired", "integer", About::Field("spec.replicas")),
    col("Available", "integer", About::Field("status.replicas")),
    AGE,
];

const CRON_JOB: &[Column] = &[
    NAME,
    col("Schedule", "string", About::Field("spec.schedule")),
    col("Timezone", "string", About::Field("spec.timeZone")),
    col("Suspend", "boolean", About::Field("spec.suspend")),
    col("Active", "integer", About::Field("status.active")),
    col(
        "Last Schedule",
        "string",
        About::Field("status.lastScheduleTime"),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
    wide(
        "Selector",
        "string",
        About::Field("spec.jobTemplate.spec.selector"),
    ),
];

const JOB: &[Column] = &[
    NAME,
    col("Status", "string", About::Text("Status of the job.")),
    col("Completions", "string", About::Field("status.succeeded")),
    col(
        "Duration",
        "string",
        About::Text("Time required to complete the job."),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", "string", About::Field("spec.selector")),
];

const LEASE: &[Column] = &[
    NAME,
    col("Holder", "string", About::Field("spec.holderIdentity")),
    AGE,
];

const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    col("AddressType", "string", About::Field("addressType")),
    col("Ports", "string", About::Field("ports")),
    col("Endpoints", "string", About::Field("endpoints")),
    AGE,
];

const IPADDRESS: &[Column] = &[
    NAME,
    col("ParentRef", "string", About::Field("spec.parentRef")),
];

const INGRESS: &[Column] = &[
    NAME,
    col(
        "Class",
        "string",
        About::Text(
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
    ),
    col(
        "Hosts",
        "string",
        About::Text("Hosts that incoming requests are matched against before the ingress rule"),
    ),
    col(
        "Address",
        "string",
        About::Text("Address is a list containing ingress points for the load-balancer"),
    ),
    col(
        "Ports",
        "string",
        About::Text("Ports of TLS configurations that open"),
    ),
    AGE,
];

const INGRESS_CLASS: &[Column] = &[
    NAME,
    col(
        "Controller",
        "string",
        About::Text("Controller that is responsible for handling this class"),
    ),
    col(
        "Parameters",
        "string",
        About::Text("A reference to a resource with additional parameters"),
    ),
    AGE,
];

const NETWORK_POLICY: &[Column] = &[
    NAME,
    col("Pod-Selector", "string", About::Field("spec.podSelector")),
    AGE,
];

const SERVICE_CIDR: &[Column] = &[
    NAME,
    col("CIDRs", "string", About::Field("spec.cidrs")),
    AGE,
];

const RUNTIME_CLASS: &[Column] = &[NAME, col("Handler", "string", About::Text("")), AGE];

const POD_DISRUPTION_BUDGET: &[Column] = &[
    NAME,
    col(
        "Min Available",
        "string",
        About::Text("The minimum number of pods that must be available."),
    ),
    col(
        "Max Unavailable",
        "string",
        About::Text("The maximum number of pods that may be unavailable."),
    ),
    col(
        "Allowed Disruptions",
        "integer",
        About::Text("Calculated number of pods that may be disrupted at this time."),
    ),
    AGE,
];

const CLUSTER_ROLE_BINDING: &[Column] = &[
    NAME,
    col(
        "Role",
        "string",
        About::Text(
            "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
        ),
    ),
    AGE,
    wide(
        "Users",
        "string",
        About::Text("Users in the clusterRoleBinding"),
    ),
    wide(
        "Groups",
        "string",
        About::Text("Groups in the clusterRoleBinding"),
    ),
    wide(
        "ServiceAccounts",
        "string",
        About::Text("ServiceAccounts in the clusterRoleBinding"),
    ),
];

const ROLE_BINDING: &[Column] = &[
    NAME,
    col(
        "Role",
        "string",
        About::Text(
            "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
        ),
    ),
    AGE,
    wide("Users", "string", About::Text("Users in the roleBinding")),
    wide("Groups", "string", About::Text("Groups in the roleBinding")),
    wide(
        "ServiceAccounts",
        "string",
        About::Text("ServiceAccounts in the roleBinding"),
    ),
];

const PRIORITY_CLASS: &[Column] = &[
    NAME,
    col("Value", "integer", About::Field("value")),
    col("Global-Default", "boolean", About::Field("globalDefault")),
    AGE,
    col(
        "PreemptionPolicy",
        "string",
        About::Field("preemptionPolicy"),
    ),
];

const CSIDRIVER: &[Column] = &[
    NAME,
    col(
        "AttachRequired",
        "boolean",
        About::Field("spec.attachRequired"),
    ),
    col(
        "PodInfoOnMount",
        "boolean",
        About::Field("spec.podInfoOnMount"),
    ),
    col(
        "StorageCapacity",
        "boolean",
        About::Field("spec.storageCapacity"),
    ),
    col(
        "TokenRequests",
        "string",
        About::Field("spec.tokenRequests"),
    ),
    col(
        "RequiresRepublish",
        "boolean",
        About::Field("spec.requiresRepublish"),
    ),
    col("Modes", "string", About::Field("spec.volumeLifecycleModes")),
    AGE,
];

const CSINODE: &[Column] = &[
    NAME,
    col(
        "Drivers",
        "integer",
        About::Text("Drivers indicates the number of CSI drivers registered on the node"),
    ),
    AGE,
];

const STORAGE_CLASS: &[Column] = &[
    NAME,
    col("Provisioner", "string", About::Field("provisioner")),
    col("ReclaimPolicy", "string", About::Field("reclaimPolicy")),
    col(
        "VolumeBindingMode",
        "string",
        About::Field("volumeBindingMode"),
    ),
    col(
        "AllowVolumeExpansion",
        "string",
        About::Field("allowVolumeExpansion"),
    ),
    AGE,
];

const VOLUME_ATTACHMENT: &[Column] = &[
    NAME,
    col("Attacher", "string", About::Field("spec.attacher")).format("name"),
    col(
        "PV",
        "string",
        About::Field("spec.source.persistentVolumeName"),
    ),
    col("Node", "string", About::Field("spec.nodeName")),
    col("Attached", "boolean", About::Field("status.attached")),
    AGE,
];

const VOLUME_ATTRIBUTES_CLASS: &[Column] = &[
    NAME,
    col("DriverName", "string", About::Field("driverName")),
    AGE,
];

const COMPONENT_STATUS: &[Column] = &[
    NAME,
    col(
        "Status",
        "string",
        About::Text("Status of the component conditions"),
    ),
    col(
        "Message",
        "string",
        About::Text("Message of the component conditions"),
    ),
    col(
        "Error",
        "string",
        About::Text("Error of the component conditions"),
    ),
];

const API_SERVICE: &[Column] = &[
    NAME,
    col(
        "Service",
        "string",
        About::Text("The reference to the service that hosts this API endpoint."),
    ),
    col(
        "Available",
        "string",
        About::Text("Whether this service is available."),
    ),
    AGE,
];

const SIGNING_REQUEST: &[Column] = &[
    NAME,
    AGE,
    col("SignerName", "string", About::Field("spec.signerName")),
    col("Requestor", "string", About::Field("spec.request")),
    col(
        "RequestedDuration",
        "string",
        About::Field("spec.expirationSeconds"),
    ),
    col("Condition", "string", About::Field("status.conditions")),
];

const FLOW_SCHEMA: &[Column] = &[
    NAME,
    col(
        "PriorityLevel",
        "string",
        About::Field("spec.priorityLevelConfiguration"),
    ),
    col(
        "MatchingPrecedence",
        "string",
        About::Field("spec.matchingPrecedence"),
    ),
    col(
        "DistinguisherMethod",
        "string",
        About::Field("spec.distinguisherMethod"),
    ),
    AGE,
    col(
        "MissingPL",
        "string",
        About::Text("references a broken or non-existent PriorityLevelConfiguration"),
    ),
];

const PRIORITY_LEVEL: &[Column] = &[
    NAME,
    col("Type", "string", About::Field("spec.type")),
    col(
        "NominalConcurrencyShares",
        "string",
        About::Field("spec.limited.nominalConcurrencyShares"),
    ),
    col(
        "Queues",
        "string",
        About::Field("spec.limited.limitResponse.queuing.queues"),
    ),
    col(
        "HandSize",
        "string",
        About::Field("spec.limited.limitResponse.queuing.handSize"),
    ),
    col(
        "QueueLengthLimit",
        "string",
        About::Field("spec.limited.limitResponse.queuing.queueLengthLimit"),
    ),
    AGE,
];

const RESOURCE_CLAIM: &[Column] = &[
    NAME,
    col(
        "State",
        "string",
        About::Text("A summary of the current state (allocated, pending, reserved, etc.)."),
    ),
    AGE,
];

const RESOURCE_SLICE: &[Column] = &[
    NAME,
    col("Node", "string", About::Field("spec.nodeName")),
    col("Driver", "string", About::Field("spec.driver")),
    col("Pool", "string", About::Field("spec.pool")),
    AGE,
];
