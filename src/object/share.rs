//! Work on all processors.

use std::panic::resume_unwind;
use std::thread;

/// Fewest clusters that are worth a thread.
const SHARE_MIN: usize = 64;

/// Does work on shares of clusters, or what is as much work, one for each processor at most, and returns what they give in
/// the order of the items.
pub fn in_shares<T: Send, R: Send>(items: Vec<T>, work: impl Fn(Vec<T>) -> R + Sync) -> Vec<R> {
    in_shares_of(SHARE_MIN, items, work)
}

/// Does as [`in_shares`] with shares of at least so many items.
pub fn in_shares_of<T: Send, R: Send>(
    least: usize,
    items: Vec<T>,
    work: impl Fn(Vec<T>) -> R + Sync,
) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let length = items.len().div_ceil(processors).max(least);
    if items.len() <= length {
        return vec![work(items)];
    }
    let mut items = items.into_iter();
    let shares = std::iter::from_fn(|| {
        let share: Vec<T> = items.by_ref().take(length).collect();
        (!share.is_empty()).then_some(share)
    });
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
        let done = threads.into_iter().map(thread::ScopedJoinHandle::join);
        done.map(|share| share.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// Does as [`in_shares`], with neighbours in different shares: for work of which most is at a few places.
///
/// *Shape*: what the shares give is in no order of the items.
pub fn in_stripes<T: Send, R: Send>(items: Vec<T>, work: impl Fn(Vec<T>) -> R + Sync) -> Vec<R> {
    let stripes = thread::available_parallelism().map_or(1, usize::from);
    let mut striped: Vec<Vec<T>> = (0..stripes).map(|_| Vec::new()).collect();
    for (index, item) in items.into_iter().enumerate() {
        striped[index % stripes].push(item);
    }
    in_shares(striped.into_iter().flatten().collect(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_leave_nothing_out_and_part_neighbours() {
        let items: Vec<usize> = (0..100_000).collect();
        let stripes = in_stripes(items.clone(), |stripe| stripe);
        let mut all = stripes.concat();
        all.sort_unstable();
        assert_eq!(all, items);
        let is_alone = stripes.len() == 1;
        assert!(
            is_alone
                || stripes
                    .iter()
                    .all(|stripe| !stripe.contains(&0) || !stripe.contains(&1))
        );
    }

    #[test]
    fn shares_keep_the_order_and_leave_nothing_out() {
        for count in [0, 1, SHARE_MIN, SHARE_MIN + 1, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let shares = in_shares(items.clone(), |share| share);
            assert!(
                shares.len() <= 1 || shares.iter().all(|share| !share.is_empty()),
                "{count}"
            );
            assert_eq!(shares.concat(), items, "{count}");
        }
    }
}
