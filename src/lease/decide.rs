//! When to claim, renew, wait and give up: a function of a clock and of what was seen.

use std::time::Duration;

/// A point on this process's own monotonic clock, as time since some start.
pub type Moment = Duration;

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// How long a claim holds that is not renewed. Whole seconds.
    pub duration: Duration,
    /// How often the lease of somebody else is looked at.
    pub look_every: Duration,
}

impl Default for Params {
    /// 15 s and 1.5 s: a crash costs at most 17 s, a clean end under 2 s.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            look_every: Duration::from_millis(1500),
        }
    }
}

impl Params {
    /// A holder renews after a third, so that two renewals may fail.
    fn renew_after(&self) -> Duration {
        self.duration / 3
    }

    /// A holder that could not renew stops here. The last third is for clocks that run at different speeds.
    fn give_up_after(&self) -> Duration {
        self.duration * 2 / 3
    }
}

/// The lease as this process last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Identity of the holder; `None` when there is no lease or it was given back.
    pub holder: Option<String>,
    /// How long the holder's claim holds.
    pub duration: Duration,
    /// When this version of the lease was first seen.
    pub seen: Moment,
    /// When the request of our last successful claim or renewal was *sent*; `None` while we do not lead.
    pub held_since: Option<Moment>,
}

/// What to do about the lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write our name into it, if it is still the version that was seen.
    Acquire,
    /// We lead: write the time into it, if it is still the version that was seen.
    Renew,
    /// Nothing to write before this moment. Whoever does not lead reads the lease again by then.
    Wait(Moment),
    /// We led and cannot be sure any more. The process must end.
    Lost,
}

/// Decides what the process called `me` does at `now`.
pub fn decide(now: Moment, lease: &View, me: &str, params: &Params) -> Decision {
    let is_mine = lease.holder.as_deref() == Some(me);
    if let Some(held_since) = lease.held_since {
        return if !is_mine || now >= held_since + params.give_up_after() {
            Decision::Lost
        } else if now >= held_since + params.renew_after() {
            Decision::Renew
        } else {
            Decision::Wait(held_since + params.renew_after())
        };
    }
    // Our name without our knowing: the answer to our claim was lost. Nobody else has this name.
    let expires = lease.seen + lease.duration;
    if lease.holder.is_none() || is_mine || now >= expires {
        Decision::Acquire
    } else {
        Decision::Wait(expires.min(now + params.look_every))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARAMS: Params = Params {
        duration: Duration::from_secs(15),
        look_every: Duration::from_millis(1500),
    };

    fn seconds(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn view(holder: Option<&str>, seen: u64, held_since: Option<u64>) -> View {
        View {
            holder: holder.map(str::to_owned),
            duration: PARAMS.duration,
            seen: seconds(seen),
            held_since: held_since.map(seconds),
        }
    }

    #[test]
    fn a_lease_that_nobody_holds_is_acquired() {
        let decision = decide(seconds(0), &view(None, 0, None), "north", &PARAMS);
        assert_eq!(decision, Decision::Acquire);
    }

    #[test]
    fn the_lease_of_another_is_awaited_until_it_was_seen_unchanged_for_its_duration() {
        let lease = view(Some("south"), 100, None);
        let decide = |now| decide(now, &lease, "north", &PARAMS);
        assert_eq!(
            decide(seconds(100)),
            Decision::Wait(Duration::from_millis(101_500))
        );
        assert_eq!(decide(seconds(114)), Decision::Wait(seconds(115)));
        assert_eq!(decide(seconds(115)), Decision::Acquire);
    }

    #[test]
    fn a_holder_renews_after_a_third_and_gives_up_after_two() {
        let lease = view(Some("north"), 100, Some(100));
        let decide = |now| decide(seconds(now), &lease, "north", &PARAMS);
        assert_eq!(decide(104), Decision::Wait(seconds(105)));
        assert_eq!(decide(105), Decision::Renew);
        assert_eq!(decide(109), Decision::Renew);
        assert_eq!(decide(110), Decision::Lost);
    }

    #[test]
    fn a_holder_whose_lease_names_another_has_lost_it() {
        for holder in [None, Some("south")] {
            let decision = decide(seconds(101), &view(holder, 101, Some(100)), "north", &PARAMS);
            assert_eq!(decision, Decision::Lost);
        }
    }

    #[test]
    fn a_claim_whose_answer_was_lost_is_made_again() {
        let decision = decide(seconds(101), &view(Some("north"), 101, None), "north", &PARAMS);
        assert_eq!(decision, Decision::Acquire);
    }

    /// The stored lease, and one process with a clock of its own speed.
    #[derive(Clone, Debug, Default)]
    struct Stored {
        holder: Option<String>,
        version: u64,
    }

    #[derive(Debug)]
    struct Process {
        name: &'static str,
        /// Own milliseconds for a thousand of the world's, and where its clock stands at the start.
        speed: u64,
        offset: u64,
        view: View,
        version: u64,
        ended: bool,
    }

    impl Process {
        fn new(name: &'static str, speed: u64, offset: u64) -> Self {
            let view = View {
                holder: None,
                duration: PARAMS.duration,
                seen: Duration::ZERO,
                held_since: None,
            };
            Self {
                name,
                speed,
                offset,
                view,
                version: 0,
                ended: false,
            }
        }

        fn clock(&self, world: u64) -> Moment {
            Duration::from_millis(self.offset + world * self.speed / 1000)
        }

        fn leads(&self, world: u64) -> bool {
            let decision = decide(self.clock(world), &self.view, self.name, &PARAMS);
            !self.ended && self.view.held_since.is_some() && decision != Decision::Lost
        }

        /// One turn: decide, and act on the stored lease unless the network is down.
        fn turn(&mut self, world: u64, stored: &mut Stored, is_reachable: bool) {
            let now = self.clock(world);
            if self.ended {
                return;
            }
            match decide(now, &self.view, self.name, &PARAMS) {
                Decision::Lost => self.ended = true,
                _ if !is_reachable => {}
                Decision::Wait(_) if self.view.held_since.is_some() => {}
                Decision::Wait(_) => self.look(now, stored),
                Decision::Acquire | Decision::Renew => {
                    if stored.version == self.version {
                        stored.holder = Some(self.name.to_owned());
                        stored.version += 1;
                        self.version = stored.version;
                        self.view.holder = Some(self.name.to_owned());
                        self.view.seen = now;
                        self.view.held_since = Some(now);
                    } else {
                        self.look(now, stored);
                    }
                }
            }
        }

        fn look(&mut self, now: Moment, stored: &Stored) {
            if stored.version != self.version {
                self.version = stored.version;
                self.view.holder.clone_from(&stored.holder);
                self.view.seen = now;
            }
        }
    }

    proptest! {
        /// Clocks that differ by any amount and run up to a fifth too fast or slow, and networks that fail at will.
        #[test]
        fn two_claimants_never_lead_at_once(
            speeds in (820u64..1200, 820u64..1200),
            offsets in (0u64..1_000_000_000, 0u64..1_000_000_000),
            turns in prop::collection::vec((0u64..4_000, any::<bool>(), prop::bool::weighted(0.7)), 1..200),
        ) {
            let mut stored = Stored::default();
            let mut one = Process::new("north", speeds.0, offsets.0);
            let mut other = Process::new("south", speeds.1, offsets.1);
            let mut world = 0;
            for (passed, is_one, is_reachable) in turns {
                world += passed;
                let process = if is_one { &mut one } else { &mut other };
                process.turn(world, &mut stored, is_reachable);
                prop_assert!(!(one.leads(world) && other.leads(world)), "both lead at {world}: {one:?} {other:?}");
            }
        }

        /// A holder that stops is followed within the duration and one look, by the follower's own clock.
        #[test]
        fn a_holder_that_stops_is_followed(offset in 0u64..1_000_000, stop in 0u64..60_000) {
            let mut stored = Stored::default();
            let mut one = Process::new("north", 1000, 0);
            let mut other = Process::new("south", 1000, offset);
            let mut world = 0;
            while world < stop {
                one.turn(world, &mut stored, true);
                other.turn(world, &mut stored, true);
                world += 500;
            }
            let stopped = world;
            while !other.leads(world) {
                prop_assert!(world - stopped <= 17_000);
                other.turn(world, &mut stored, true);
                world += 500;
            }
        }
    }
}
