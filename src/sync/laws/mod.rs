//! Laws of the fleet engine that hold whoever calls it and whatever goes wrong: two syncs and a command line take turns,
//! request by request, at a hub in memory; answers get lost, processes are killed or stand still.

mod callers;
mod hub;
mod play;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use self::callers::{Ending, Kind, prepare, save};
use self::hub::{Hub, Written, content, is_settled, set_of};
use self::play::{FAULTS, Fate, Stage};
use self::world::{Drawn, Files, Found, Guards, Wish, World, guards, ids, worlds};
use crate::api::labels;
use crate::diagnostic::SourceTree;
use crate::object::{Object, ObjectId, kinds};
use crate::plan::{ActionResult, Budget, Operation, Plan, Prune, is_member};

/// Fewer cases than usual, for each is some hundred requests; as many as `PROPTEST_CASES` says.
fn cases(number: u32) -> ProptestConfig {
    /// Where that says nothing.
    const USUAL: u32 = 256;
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: if config.cases == USUAL {
            number
        } else {
            config.cases
        },
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..config
    }
}

/// Runs in a time that goes by only when everybody waits.
fn in_time<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn everything() -> Drawn {
    Drawn {
        guards: guards(),
        found: vec![
            Found::AsApplied,
            Found::Protected,
            Found::Foreign,
            Found::Argo,
            Found::OtherFleet,
        ],
        revisions: 2,
        broken: 1,
        absent: 3,
        fates: FAULTS.to_vec(),
    }
}

/// Plays a world to its end.
async fn played(world: &World) -> (Stage, Vec<Arc<Files>>, Hub) {
    let files = world.files();
    let mut stage = world.stage(&files[0]).await;
    let before = stage.hub.clone();
    stage.play(&world.callers(&files), &world.turns).await;
    (stage, files, before)
}

fn is_deletion(written: &Written) -> bool {
    let is_going = |object: &Object| object.text("/metadata/deletionTimestamp").is_some();
    written.after.as_ref().is_none_or(is_going) && !written.before.as_ref().is_some_and(is_going)
}

/// Says whether a cluster was made to leave the fleet and runs on.
fn is_let_go(written: &Written) -> bool {
    let is_ours = |object: &Option<Object>| {
        let object = object.as_ref();
        object.is_some_and(|object| is_member(&written.id, object, world::FLEET))
    };
    is_ours(&written.before) && written.after.is_some() && !is_ours(&written.after)
}

fn members(clusters: &BTreeMap<ObjectId, Object>) -> usize {
    clusters
        .iter()
        .filter(|(id, live)| is_member(id, live, world::FLEET))
        .count()
}

proptest! {
    #![proptest_config(cases(10))]

    #[test]
    fn with_an_error_in_any_file_nothing_is_deleted_or_let_go(
        world in worlds(Drawn { broken: 2, guards: loose(), ..everything() })
    ) {
        in_time(async {
            let (stage, _, _) = played(&world).await;
            for written in &stage.hub.written {
                let files = &stage.runs[written.run].files;
                let is_loss = is_deletion(written) || is_let_go(written);
                prop_assert!(!files.has_errors() || !is_loss, "{}", written.id);
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_more_is_deleted_for_what_the_files_say_than_their_budget_whoever_deletes(
        world in worlds(Drawn { broken: 0, absent: 5, found: vec![Found::AsApplied], guards: tight(), ..everything() })
    ) {
        in_time(async {
            let (stage, _, before) = played(&world).await;
            let budget = Budget { count: world.guards.count, percent: world.guards.percent };
            let mut most = members(&before.of_kind(kinds::K0SMOTRON_CLUSTER));
            let mut deleted: BTreeMap<&str, BTreeSet<&ObjectId>> = BTreeMap::new();
            for written in &stage.hub.written {
                most = most.max(members(&written.clusters));
                if is_deletion(written) {
                    deleted.entry(&stage.runs[written.run].files.content).or_default().insert(&written.id);
                }
            }
            for (content, deleted) in deleted {
                let limit = budget.limit(most);
                prop_assert!(deleted.len() <= limit, "{deleted:?} for {content}, and {limit} may be");
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_protected_is_never_deleted_and_what_is_others_is_never_even_asked_for(world in worlds(everything())) {
        in_time(async {
            let (stage, _, before) = played(&world).await;
            for written in &stage.hub.written {
                let was = written.before.as_ref();
                let is_protected = was.is_some_and(|live| live.annotation(labels::PROTECT) == Some("true"));
                prop_assert!(!is_protected || !is_deletion(written), "{}", written.id);
            }
            for (number, (id, found)) in ids().zip(&world.found).enumerate() {
                let is_others = matches!(found, Found::Foreign | Found::Argo | Found::OtherFleet);
                let mut of_it = stage.hub.written.iter().filter(|written| written.id == id);
                let first = of_it.next().filter(|_| is_others);
                let by_record = first.is_none_or(|first| stage.runs[first.run].files.takes_over(&id));
                prop_assert!(by_record, "{id} {found:?} without a record");
                let is_asked = stage.hub.asked.iter().any(|(_, asked)| *asked == id);
                let is_left_alone = is_others && !world.is_taken_over(number);
                prop_assert!(!(is_left_alone && is_asked), "{id} {found:?}");
                if is_left_alone {
                    let (was, is) = (before.contents().remove(&id), stage.hub.contents().remove(&id));
                    prop_assert_eq!(was, is, "{}", id);
                }
            }
            for written in stage.hub.written.iter().filter(|written| is_let_go(written)) {
                let files = &stage.runs[written.run].files;
                prop_assert!(files.lets_go(&written.id), "{} is let go without a record", written.id);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_cluster_is_changed_if_and_only_if_the_plan_shows_a_difference_and_then_the_exit_code_is_two(
        world in worlds(everything()), prune in prunes()
    ) {
        in_time(async {
            let (mut stage, files, _) = played(&world).await;
            stage.hub.settle();
            let wanted = Arc::clone(&files[1]);
            let prepared = stage.alone(move |client| async move { prepare(&client, &wanted, prune).await }).await;
            let prepared = prepared.expect("nobody is in the way");
            for action in prepared.plan.actions() {
                let is_change = matches!(action.operation, Operation::Apply { .. });
                prop_assert!(!is_change || !action.changes.is_empty(), "{action:?}");
            }
            let before = stage.hub.contents();
            stage.play(&[(Kind::Command(prune), vec![Arc::clone(&files[1])])], &[]).await;
            let changed = changed(&before, &stage.hub.contents());
            prop_assert_eq!(&changed, &planned(&prepared.plan));
            prop_assert_eq!(prepared.writes(), !changed.is_empty() || !prepared.loosened.is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn once_applied_nothing_is_left_to_do_however_often_the_operator_works(
        world in worlds(Drawn { guards: loose(), ..everything() }), prune in prunes()
    ) {
        in_time(async {
            let (mut stage, files, _) = played(&world).await;
            let times = stage.finish(&files[1], prune).await;
            prop_assert!(times <= 1, "{times} runs were needed");
            for _ in 0..10 {
                stage.hub.settle();
            }
            let wanted = Arc::clone(&files[1]);
            let prepared = stage.alone(move |client| async move { prepare(&client, &wanted, prune).await }).await;
            let prepared = prepared.expect("nobody is in the way");
            prop_assert!(!prepared.writes(), "{:#?}", prepared.plan);
            Ok(())
        })?;
    }

    #[test]
    fn a_saved_plan_is_done_as_it_is_or_not_at_all(
        world in worlds(Drawn { fates: Vec::new(), ..everything() }),
        edited in prop::option::of(0..world::CLUSTERS),
        prune in prunes(),
    ) {
        in_time(async {
            let files = world.files();
            let mut stage = world.stage(&files[0]).await;
            let wanted = Arc::clone(&files[1]);
            let saved = stage.alone(move |client| async move { save(&client, &wanted, prune).await }).await;
            let saved = Arc::new(saved.expect("nobody is in the way"));
            if let Some(number) = edited {
                stage.hub.edit(&world::id(number), |cluster| cluster["spec"]["version"] = "v1.35.9+k0s.0".into());
            }
            let mut callers = world.callers(&files);
            callers.truncate(1);
            callers.push((Kind::Saved(Arc::clone(&saved)), vec![Arc::clone(&files[1])]));
            stage.play(&callers, &world.turns).await;
            for (number, run) in stage.runs.iter().enumerate() {
                if !matches!(run.kind, Kind::Saved(_)) {
                    continue;
                }
                let asked = stage.hub.asked.iter().filter(|(by, _)| *by == number);
                let asked: BTreeSet<ObjectId> = asked.map(|(_, id)| id.clone()).collect();
                match &run.ending {
                    Some(Ending::Ran { plan, outcome }) => {
                        let entries = planned(plan);
                        prop_assert!(asked.is_subset(&entries), "{asked:?}");
                        // What another run had done before is as the plan says.
                        let others = stage.hub.written.iter().filter(|written| written.run != number);
                        let done: BTreeSet<ObjectId> = others.map(|written| written.id.clone()).collect();
                        prop_assert!(entries.is_subset(&(&asked | &done)), "{asked:?} of {entries:?}");
                        let mut results = outcome.results.iter().map(|(_, result)| result);
                        let is_tried = |result: &ActionResult| !matches!(result, ActionResult::Skipped { .. });
                        prop_assert!(results.all(is_tried), "{outcome:?}");
                    }
                    Some(Ending::Refused(_)) => prop_assert!(asked.is_empty(), "{asked:?}"),
                    None => prop_assert!(false, "it was not killed"),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_order_and_names_of_files_and_the_order_of_rows_change_no_composed_object(
        world in worlds(everything()),
        names in Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(),
        rows in Just(vec![0usize, 1, 2]).prop_shuffle(),
    ) {
        let texts = world::texts(&world.guards, &world.revisions[1]);
        let mut turned = texts.clone();
        for (place, (path, text)) in turned.iter_mut().enumerate() {
            if path.starts_with("clusters/") {
                *path = format!("clusters/{}.yaml", names[place]);
            }
            if path.ends_with(".csv") {
                let lines: Vec<&str> = text.lines().skip(1).collect();
                let shuffled = rows.iter().filter_map(|row| lines.get(*row));
                let head = text.lines().next().into_iter();
                *text = head.chain(shuffled.copied()).collect::<Vec<_>>().join("\n");
            }
        }
        turned.sort_by_key(|(path, _)| names[path.len() % names.len()]);
        let [one, other] = [texts, turned].map(|texts| Files::of(SourceTree::from_texts(texts)));
        let objects = |files: &Files| -> Vec<Arc<Object>> {
            files.reading.clusters.iter().map(|cluster| cluster.object.clone()).collect()
        };
        prop_assert_eq!(objects(&one), objects(&other));
        prop_assert_eq!(&one.content, &other.content);
        prop_assert_eq!(one.reading.rejected.clone(), other.reading.rejected.clone());
    }

    #[test]
    fn no_wave_begins_before_the_one_before_it_runs_what_was_written(
        world in worlds(Drawn {
            guards: in_waves(), revisions: 1, broken: 0, found: vec![Found::AsApplied],
            fates: vec![Fate::RequestLost, Fate::AnswerLost, Fate::KilledBefore, Fate::KilledAfter, Fate::Frozen],
            ..everything()
        })
    ) {
        in_time(async {
            let (stage, files, begin) = played(&world).await;
            for written in &stage.hub.written {
                let (Some(before), Some(after)) = (&written.before, &written.after) else { continue };
                if before.0["spec"] == after.0["spec"] {
                    continue;
                }
                // Clusters that are made wait for nothing, and nothing waits for them.
                let were_there = ids().enumerate().filter(|(_, id)| begin.objects.contains_key(id));
                for (number, id) in were_there {
                    let is_earlier = wave(after) > wave_of(number);
                    let (Some(earlier), Some(wish)) = (written.clusters.get(&id), files[1].reading.cluster(&id)) else {
                        continue;
                    };
                    let is_as_written = earlier.0["spec"]["version"] == wish.object.0["spec"]["version"];
                    let is_done = is_as_written && is_settled(earlier, written.sets.get(&set_of(&id)));
                    prop_assert!(!is_earlier || is_done, "{} before {id}: {:#}", written.id, earlier.0);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn one_invalid_file_or_row_neither_deletes_nor_changes_another_cluster(
        world in worlds(Drawn { broken: 0, fates: Vec::new(), ..everything() }),
        broken in 0..world::CLUSTERS,
        sort in 0..4u8,
        kind in prop_oneof![Just(Kind::Sync), Just(Kind::Command(Prune::Yes))],
    ) {
        in_time(async {
            let mut world = world;
            let (mut sound, mut invalid) = (world.revisions[1].clone(), world.revisions[1].clone());
            sound[broken] = world.revisions[0][broken];
            invalid[broken] = Wish::Broken(sort);
            world.revisions = vec![world.revisions[0].clone(), sound, invalid];
            let files = world.files();
            let stage = world.stage(&files[0]).await;
            let before = stage.hub.contents();
            let mut after = Vec::new();
            for files in &files[1..] {
                let mut stage = Stage::new(stage.hub.clone());
                stage.play(&[(kind.clone(), vec![Arc::clone(files)])], &[]).await;
                after.push(stage.hub.contents());
            }
            let id = world::id(broken);
            prop_assert_eq!(after[1].get(&id), before.get(&id), "the one with the error stays as it is");
            for id in ids().filter(|other| *other != id) {
                let (sound, invalid) = (after[0].get(&id), after[1].get(&id));
                // What leaves the fleet, deleted or let go, stays while anything is wrong.
                let leaves = sound.is_none_or(|content| content["labels"][labels::FLEET_ID].is_null());
                let is_kept = leaves && invalid == before.get(&id);
                prop_assert!(is_kept || sound == invalid, "{id}: {sound:?} {invalid:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn killed_at_any_request_and_run_again_it_comes_to_the_same_end_and_does_nothing_twice(
        world in worlds(Drawn { revisions: 1, guards: any_guards(), absent: 2, ..everything() })
    ) {
        in_time(async {
            let files = world.files();
            let stage = world.stage(&files[0]).await;
            let mut undisturbed = Stage::new(stage.hub.clone());
            undisturbed.finish(&files[1], Prune::No).await;
            let mut disturbed = stage;
            let mut callers = world.callers(&files);
            callers[2].0 = Kind::Command(Prune::No);
            disturbed.play(&callers, &world.turns).await;
            disturbed.finish(&files[1], Prune::No).await;
            prop_assert_eq!(disturbed.hub.contents(), undisturbed.hub.contents());
            let mut changed: BTreeSet<&ObjectId> = BTreeSet::new();
            for written in &disturbed.hub.written {
                let contents = [&written.before, &written.after].map(|object| object.as_ref().map(content));
                let is_change = contents[0] != contents[1] || is_deletion(written);
                prop_assert!(!is_change || changed.insert(&written.id), "{} twice", written.id);
            }
            Ok(())
        })?;
    }
}

fn prunes() -> impl Strategy<Value = Prune> {
    prop::sample::select(vec![Prune::Yes, Prune::No])
}

fn planned(plan: &Plan) -> BTreeSet<ObjectId> {
    plan.actions().map(|action| action.id.clone()).collect()
}

/// Returns what is there only before or only after, or differs.
fn changed<T: PartialEq>(
    before: &BTreeMap<ObjectId, T>,
    after: &BTreeMap<ObjectId, T>,
) -> BTreeSet<ObjectId> {
    let all = before.keys().chain(after.keys());
    all.filter(|id| before.get(id) != after.get(id))
        .cloned()
        .collect()
}

fn wave_of(number: usize) -> usize {
    number % 3
}

fn wave(cluster: &Object) -> usize {
    let tier = cluster.label("tier");
    (0..3)
        .find(|number| tier == Some(world::tier(*number)))
        .unwrap_or(3)
}

/// Deletes whatever the files let go.
fn loose() -> BoxedStrategy<Guards> {
    Just(Guards {
        deletions: "Omission",
        count: 100,
        percent: 100,
        has_waves: false,
    })
    .boxed()
}

fn tight() -> BoxedStrategy<Guards> {
    (1..3u32, prop::sample::select(vec![20, 50, 100u32]), any::<bool>())
        .prop_map(|(count, percent, has_waves)| Guards {
            deletions: "Omission",
            count,
            percent,
            has_waves,
        })
        .boxed()
}

fn in_waves() -> BoxedStrategy<Guards> {
    Just(Guards {
        deletions: "Omission",
        count: 100,
        percent: 100,
        has_waves: true,
    })
    .boxed()
}

fn any_guards() -> BoxedStrategy<Guards> {
    prop_oneof![tight(), guards(), in_waves()].boxed()
}
