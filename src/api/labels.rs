//! Every label, annotation, finalizer and field manager this product writes. Keys that are in a selector or on a
//! retained object can never change.

/// Field manager of the fleet half (command line and sync).
pub const FLEET_MANAGER: &str = "k0smotron-fleet";
/// Field manager that holds only the `protect` annotation, so that a file cannot take it away.
pub const PROTECT_MANAGER: &str = "k0smotron-fleet-protect";
/// Field manager of the operator half.
pub const OPERATOR_MANAGER: &str = "k0smotron-fleet-operator";

pub const FINALIZER: &str = "k0smotron.io/finalizer";

// Selectors of generated pods. Fixed for ever: a StatefulSet's selector is immutable.
pub const APP: &str = "app";
pub const APP_VALUE: &str = "k0smotron";
pub const CLUSTER: &str = "cluster";
pub const COMPONENT: &str = "component";
/// Value of [`COMPONENT`] for control-plane pods.
pub const COMPONENT_CLUSTER: &str = "cluster";
/// Value of [`COMPONENT`] for etcd pods.
pub const COMPONENT_ETCD: &str = "etcd";
/// Value of [`COMPONENT`] for pods that defragment etcd: no selector takes them in.
pub const COMPONENT_DEFRAG: &str = "defrag";

pub const APP_NAME: &str = "app.kubernetes.io/name";
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`APP_MANAGED_BY`]; the operator's watches of children select by it.
pub const APP_MANAGED_BY_VALUE: &str = "k0smotron-fleet";

/// Uid of the K0smotronCluster an object was made for; on objects without an owner reference it is the owner.
pub const CLUSTER_UID: &str = "k0smotron.io/cluster-uid";
/// On keys and volumes left behind by `deletionPolicy: Retain`. Value `true`.
pub const RETAINED: &str = "k0smotron.io/retained";

/// JSON of [`super::Pins`], on the Secret `<n>-ca`.
pub const PINS: &str = "k0smotron.io/pins";
/// SHA-256 of the certificate (or public key) in a Secret, hex.
pub const FINGERPRINT: &str = "k0smotron.io/fingerprint";
/// RFC 3339 end of the certificate in a Secret.
pub const NOT_AFTER: &str = "k0smotron.io/not-after";
/// Fingerprint of the certificate that signed the one in a Secret.
pub const ISSUER: &str = "k0smotron.io/issuer";
/// Digest of subject, SANs and usage that the certificate in a Secret was made for.
pub const CONTENT_DIGEST: &str = "k0smotron.io/content-digest";
/// On a configuration that was filled with a value of another Secret: which version of it.
pub const SOURCE_VERSION: &str = "k0smotron.io/source-version";
/// Salted digest of that value: another one when the value is another.
pub const SOURCE_DIGEST: &str = "k0smotron.io/source-digest";
/// Renderer revision an object was made with.
pub const RENDERER_REVISION: &str = "k0smotron.io/renderer-revision";
/// Pod template annotation: digest of the configuration that k0s reads only at start.
pub const CONFIG_DIGEST: &str = "k0smotron.io/config-digest";

// The fleet.
pub const FLEET_ID: &str = "fleet.k0smotron.io/id";
/// `<id>/<namespace>/<name>`; must name the object it sits on.
pub const TRACKING: &str = "fleet.k0smotron.io/tracking";
/// Path of the file an object came from. A path only: a commit there would rewrite every object on every commit.
pub const SOURCE: &str = "fleet.k0smotron.io/source";
pub const PROTECT: &str = "fleet.k0smotron.io/protect";
/// On a namespace, and on the definition of clusters, that hold a protected cluster. Value `true`.
pub const HOLDS_PROTECTED: &str = "fleet.k0smotron.io/holds-protected";
pub const HOLD: &str = "fleet.k0smotron.io/hold";
/// On the ConfigMap that is the parent of a fleet.
pub const FLEET_PARENT: &str = "fleet.k0smotron.io/parent";
/// On a FleetSync: asks for a fetch now. The value is only compared.
pub const REQUESTED_AT: &str = "fleet.k0smotron.io/requested-at";
