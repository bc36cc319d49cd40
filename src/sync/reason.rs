//! The words that conditions of a FleetSync give as reasons. Dashboards and scripts compare them, so they are listed once.

pub const APPLIED: &str = "Applied";
pub const SUSPENDED: &str = "Suspended";
/// The source could not be read; what was applied last stays.
pub const SOURCE_FAILED: &str = "SourceFailed";
/// Some files have errors; what has none was applied.
pub const INVALID_FILES: &str = "InvalidFiles";
/// Changes with more impact than allowed wait.
pub const PENDING: &str = "Pending";
/// Some clusters are left alone for another reason than their impact.
pub const HELD: &str = "Held";
/// The account may not read or write what the files say.
pub const FORBIDDEN: &str = "Forbidden";
/// Another run writes the fleet; the next look comes soon.
pub const LOCKED: &str = "Locked";
/// Changes wait for the wave before them.
pub const ROLLING: &str = "Rolling";
/// The rollout is paused, halted or aborted.
pub const ROLLOUT_STOPPED: &str = "RolloutStopped";
pub const PLAN_FAILED: &str = "PlanFailed";
pub const APPLY_FAILED: &str = "ApplyFailed";

// Somebody must change something.
pub const NOT_SUPPORTED: &str = "NotSupported";
pub const INVALID_SPEC: &str = "InvalidSpec";
pub const INVALID_SOURCE: &str = "InvalidSource";
pub const HISTORY_REWRITTEN: &str = "HistoryRewritten";
pub const NO_FLEET_ID: &str = "NoFleetId";
/// The files name another fleet than `limits.fleetId`.
pub const OTHER_FLEET: &str = "OtherFleet";
/// Another sync writes this fleet.
pub const FLEET_TAKEN: &str = "FleetTaken";
/// What the fleet itself demands does not hold here: another hub, a broken Fleet.
pub const REFUSED: &str = "Refused";
