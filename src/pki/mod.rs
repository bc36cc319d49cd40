//! What keys and certificates a control plane needs: what to issue, what is there, when it is renewed.
//!
//! Annotations of live Secrets and a point in time -> [`Issue`]s.
//!
//! **Invariant:** no key bytes. This room says *what* to issue; the bytes are made where they are written. Time is a
//! parameter.

mod issue;

pub use issue::{CertificateUse, Issue, Issuer, KeyPurpose, SubjectAltName};
