//! Renderer revisions: what may differ between two releases in what is rendered for the same cluster.
//!
//! A cluster keeps the revision it was made with until its pods roll for another reason (or `updatePolicy` says
//! otherwise), so a newer operator restarts nothing by itself. Every difference that reaches a pod template is a branch
//! `if cluster.revision >= N`, with its reason here. What a released revision renders never changes again: the golden
//! files of `tests/golden/render` are frozen with the release.

/// One renderer revision and why it exists.
pub struct Revision {
    pub number: u32,
    pub why: &'static str,
}

/// The reason with which a newer revision is held back, as `updatePolicy` says.
pub const HELD: &str = "RendererRevision";

/// All revisions, oldest first.
pub const REVISIONS: &[Revision] = &[Revision {
    number: 1,
    why: "the first",
}];

/// The first of the numbers that only tests use. They render as the newest revision, with the number as an annotation
/// of the control-plane template, so that taking one up rolls pods and holding it back is seen to roll none.
pub const FIRST_FOR_TESTS: u32 = 1_000_000;

/// Returns the newest revision.
pub fn newest() -> u32 {
    REVISIONS.last().map_or(1, |revision| revision.number)
}

/// Says whether this program knows how to render a revision.
pub fn is_known(number: u32) -> bool {
    number >= FIRST_FOR_TESTS || REVISIONS.iter().any(|revision| revision.number == number)
}
