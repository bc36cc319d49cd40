//! What keys and certificates a control plane needs: what to issue, what is there, when it is renewed.
//!
//! Annotations of live Secrets and a point in time -> [`KeyDecision`]s with the [`Issue`]s to be made.
//!
//! **Invariant:** no key bytes. This room says *what* to issue; the bytes are made where they are written. Time is a
//! parameter. A root that exists is never made anew.

mod decide;
mod facts;
mod issue;
mod needs;

pub use decide::{KeyDecision, KeyRefusal, Ownership, Wanted, decide, ownership};
pub use facts::{Given, GivenKey, KeyFacts};
pub use issue::{CertificateUse, DELIVERY, Issue, Issuer, KeyPurpose, SubjectAltName, TOKEN};
pub use needs::{EtcdCertificates, content_digest, issuer, root};
