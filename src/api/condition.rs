//! Condition types and reasons. kstatus and every dashboard read these words, so they are listed once.

pub const READY: &str = "Ready";
pub const AVAILABLE: &str = "Available";
pub const UP_TO_DATE: &str = "UpToDate";
pub const EXPOSED: &str = "Exposed";
pub const CERTIFICATES_VALID: &str = "CertificatesValid";
pub const KUBECONFIG_READY: &str = "KubeconfigReady";
pub const RECONCILING: &str = "Reconciling";
pub const STALLED: &str = "Stalled";

/// Reason of a cluster that has no pods on purpose.
pub const HIBERNATED: &str = "Hibernated";
