//! Which of several syncs may write a fleet.

use crate::object::ObjectId;

/// What is known of one sync that is not suspended and not going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub sync: ObjectId,
    /// RFC 3339.
    pub created: String,
    /// The fleet that it writes; `None` before it was told that it may.
    pub fleet_id: Option<String>,
    /// Its files were looked at in this life of the process, with whatever result.
    pub was_tried: bool,
}

/// Whether a sync may write a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    Mine,
    /// Another one writes it.
    Taken(ObjectId),
    /// An older one may turn out to write it, and is about to be looked at.
    Unsettled(ObjectId),
}

/// Decides whether `me` may write the fleet: whoever writes it already goes on, else the oldest begins.
///
/// Being older alone takes nothing away: files of one team could otherwise name the fleet of another and stop its sync.
pub fn decide(claims: &[Claim], me: &ObjectId, fleet_id: &str) -> Turn {
    let age = |claim: &&Claim| (claim.created.clone(), claim.sync.clone());
    let writers = claims
        .iter()
        .filter(|claim| claim.fleet_id.as_deref() == Some(fleet_id));
    if let Some(writer) = writers.min_by_key(age) {
        return if writer.sync == *me {
            Turn::Mine
        } else {
            Turn::Taken(writer.sync.clone())
        };
    }
    let newcomers = claims
        .iter()
        .filter(|claim| claim.sync == *me || (claim.fleet_id.is_none() && !claim.was_tried));
    match newcomers.min_by_key(age) {
        Some(older) if older.sync != *me => Turn::Unsettled(older.sync.clone()),
        Some(_) | None => Turn::Mine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kinds;

    fn sync(name: &str) -> ObjectId {
        ObjectId::new(kinds::FLEET_SYNC, "tenant-7", name)
    }

    fn claim(name: &str, created: u8, fleet_id: Option<&str>, was_tried: bool) -> Claim {
        Claim {
            sync: sync(name),
            created: format!("2026-11-0{created}T00:00:00Z"),
            fleet_id: fleet_id.map(str::to_owned),
            was_tried,
        }
    }

    #[test]
    fn who_writes_a_fleet_goes_on_however_old_another_is() {
        let claims = [
            claim("old", 1, Some("core"), true),
            claim("young", 2, Some("edge"), true),
        ];
        assert_eq!(decide(&claims, &sync("old"), "edge"), Turn::Taken(sync("young")));
        assert_eq!(decide(&claims, &sync("young"), "edge"), Turn::Mine);
    }

    #[test]
    fn of_two_that_begin_the_older_writes() {
        let mut claims = [claim("old", 1, None, false), claim("young", 2, None, true)];
        assert_eq!(
            decide(&claims, &sync("young"), "edge"),
            Turn::Unsettled(sync("old"))
        );
        assert_eq!(decide(&claims, &sync("old"), "edge"), Turn::Mine);
        claims[0].fleet_id = Some("edge".into());
        assert_eq!(decide(&claims, &sync("young"), "edge"), Turn::Taken(sync("old")));
    }

    #[test]
    fn one_that_could_not_read_its_files_holds_nobody_up() {
        let claims = [claim("old", 1, None, true), claim("young", 2, None, true)];
        assert_eq!(decide(&claims, &sync("young"), "edge"), Turn::Mine);
    }

    #[test]
    fn of_two_that_wrote_it_before_the_older_goes_on() {
        let claims = [
            claim("b", 1, Some("edge"), false),
            claim("a", 1, Some("edge"), false),
        ];
        assert_eq!(decide(&claims, &sync("a"), "edge"), Turn::Mine);
        assert_eq!(decide(&claims, &sync("b"), "edge"), Turn::Taken(sync("a")));
    }
}
