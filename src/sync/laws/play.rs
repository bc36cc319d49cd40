//! Lets callers take turns: a turn is one request. Who has it, and what becomes of the request, is drawn beforehand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::callers::{self, Ending, Kind};
use super::hub::{Hub, conflict, is_constant};
use super::world::Files;
use crate::client::Client;
use crate::client::stub::{Asked, slow_server};
use crate::plan::{Fights, Prune};

/// More turns than any run needs: what goes on for longer never ends.
const TURNS: usize = 20_000;
/// For so many turns of others a process stands still: longer than a lock lives.
const FROZEN: usize = 60;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Served,
    /// The server says that somebody else was faster.
    Conflict,
    Busy,
    RequestLost,
    AnswerLost,
    /// The process is killed, and another one does what is left of its runs.
    KilledBefore,
    KilledAfter,
    /// The process stands still for a while.
    Frozen,
}

/// One turn as it was drawn.
#[derive(Clone, Copy)]
pub struct Turn {
    /// Chooses among those who wait, and the operator.
    pub who: u8,
    pub fate: Fate,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {:?}", self.who, self.fate)
    }
}

/// Which fates are drawn besides the ordinary one.
pub fn turns(fates: Vec<Fate>) -> impl Strategy<Value = Vec<Turn>> {
    let fate = match fates.is_empty() {
        true => Just(Fate::Served).boxed(),
        false => prop_oneof![8 => Just(Fate::Served), 1 => prop::sample::select(fates)].boxed(),
    };
    prop::collection::vec(
        (any::<u8>(), fate).prop_map(|(who, fate)| Turn { who, fate }),
        0..160,
    )
}

pub const FAULTS: [Fate; 7] = [
    Fate::Conflict,
    Fate::Busy,
    Fate::RequestLost,
    Fate::AnswerLost,
    Fate::KilledBefore,
    Fate::KilledAfter,
    Fate::Frozen,
];

/// One run, as it was begun.
#[derive(Clone, Debug)]
pub struct Run {
    pub kind: Kind,
    pub files: Arc<Files>,
    /// `None`: it was killed.
    pub ending: Option<Ending>,
}

/// A request that waits for its turn.
struct Pending {
    caller: usize,
    run: usize,
    asked: Asked,
    reply: oneshot::Sender<(u16, Value)>,
}

struct Caller {
    kind: Kind,
    left: VecDeque<Arc<Files>>,
    task: Option<(usize, JoinHandle<Ending>)>,
    fights: Arc<Mutex<Fights>>,
    frozen_until: usize,
}

/// A stage on which callers work at one hub.
pub struct Stage {
    pub hub: Hub,
    pub runs: Vec<Run>,
    turns: VecDeque<Turn>,
    /// Runs that were killed: what they have sent does not arrive.
    dead: Vec<usize>,
}

impl Stage {
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            runs: Vec::new(),
            turns: VecDeque::new(),
            dead: Vec::new(),
        }
    }

    /// Plays until every caller has done its runs; after the drawn turns nothing goes wrong any more.
    pub async fn play(&mut self, callers: &[(Kind, Vec<Arc<Files>>)], turns: &[Turn]) {
        self.turns = turns.iter().copied().collect();
        let (sender, mut requests) = mpsc::unbounded_channel();
        let of = |(kind, files): &(Kind, Vec<Arc<Files>>)| Caller {
            kind: kind.clone(),
            left: files.iter().cloned().collect(),
            task: None,
            fights: Arc::default(),
            frozen_until: 0,
        };
        let mut callers: Vec<Caller> = callers.iter().map(of).collect();
        let mut waiting: Vec<Pending> = Vec::new();
        for turn in 0.. {
            assert!(turn < TURNS, "the runs never end");
            self.go_on(&mut callers, &sender).await;
            // The time stands still but for this: afterwards everybody waits for an answer or for a later moment.
            tokio::time::sleep(Duration::from_millis(1)).await;
            while let Ok(request) = requests.try_recv() {
                waiting.push(request);
            }
            waiting.retain(|pending| !self.dead.contains(&pending.run));
            if callers
                .iter()
                .all(|caller| caller.left.is_empty() && caller.task.is_none())
            {
                return;
            }
            self.turn(turn, &mut callers, &mut waiting).await;
        }
    }

    /// Takes in runs that have ended, and begins the next.
    async fn go_on(&mut self, callers: &mut [Caller], sender: &mpsc::UnboundedSender<Pending>) {
        for (number, caller) in callers.iter_mut().enumerate() {
            if let Some((run, task)) = caller.task.take_if(|(_, task)| task.is_finished()) {
                self.runs[run].ending = Some(task.await.expect("no run panics"));
            }
            if caller.task.is_some() {
                continue;
            }
            let Some(files) = caller.left.pop_front() else {
                continue;
            };
            let run = self.runs.len();
            self.runs.push(Run {
                kind: caller.kind.clone(),
                files: Arc::clone(&files),
                ending: None,
            });
            let (client, who) = (client(number, run, sender.clone()), format!("run {run}"));
            let task = callers::run(
                caller.kind.clone(),
                client,
                who,
                files,
                Arc::clone(&caller.fights),
            );
            caller.task = Some((run, tokio::spawn(task)));
        }
    }

    async fn turn(&mut self, turn: usize, callers: &mut [Caller], waiting: &mut Vec<Pending>) {
        let drawn = self.turns.pop_front();
        let ready: Vec<usize> = (0..waiting.len())
            .filter(|index| drawn.is_none() || callers[waiting[*index].caller].frozen_until <= turn)
            .collect();
        let Some(Turn { who, fate }) = drawn else {
            // Nothing is drawn any more: whoever waits longest, and else the operator while time goes by.
            match ready.first() {
                Some(first) => self.serve(waiting.remove(*first)),
                None => self.pause().await,
            }
            return;
        };
        let chosen = usize::from(who) % (ready.len() + 1);
        let Some(index) = ready.get(chosen) else {
            match ready.is_empty() {
                true => self.pause().await,
                false => self.hub.operate(usize::from(who)),
            }
            return;
        };
        let pending = waiting.remove(*index);
        let caller = &mut callers[pending.caller];
        match fate {
            Fate::Served => self.serve(pending),
            Fate::Conflict if pending.asked.method != http::Method::GET => {
                drop(pending.reply.send(conflict()));
            }
            Fate::Conflict => self.serve(pending),
            Fate::Busy => drop(pending.reply.send(busy())),
            Fate::RequestLost => drop(pending),
            Fate::AnswerLost => {
                self.hub.answer(pending.run, &pending.asked);
            }
            Fate::Frozen => {
                caller.frozen_until = turn + FROZEN;
                waiting.push(pending);
            }
            Fate::KilledBefore => self.kill(caller),
            Fate::KilledAfter => {
                self.hub.answer(pending.run, &pending.asked);
                self.kill(caller);
            }
        }
    }

    fn serve(&mut self, pending: Pending) {
        let answer = self.hub.answer(pending.run, &pending.asked);
        // Whoever asked may have given up: the server has done it all the same.
        let _ = pending.reply.send(answer);
    }

    /// Time goes by until somebody looks again; the operator works meanwhile.
    async fn pause(&mut self) {
        for nth in 0..self.hub.objects.len() {
            self.hub.operate(nth);
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }

    fn kill(&mut self, caller: &mut Caller) {
        if let Some((run, task)) = caller.task.take() {
            task.abort();
            self.dead.push(run);
            caller.left.push_front(Arc::clone(&self.runs[run].files));
            caller.fights = Arc::default();
            caller.frozen_until = 0;
        }
    }

    /// Lets one command line apply these files undisturbed, again and again, until it plans nothing. Returns how often it
    /// had to.
    pub async fn finish(&mut self, files: &Arc<Files>, prune: Prune) -> usize {
        const MOST: usize = 12;
        for times in 0..MOST {
            self.hub.settle();
            let before = self.hub.contents();
            self.play(&[(Kind::Command(prune), vec![Arc::clone(files)])], &[])
                .await;
            self.hub.settle();
            let run = self.runs.last().expect("it was begun");
            match &run.ending {
                Some(Ending::Ran { plan, .. }) if plan.is_empty() => {
                    assert_eq!(before, self.hub.contents(), "an empty plan changes nothing");
                    return times;
                }
                Some(Ending::Ran { .. }) => {}
                Some(Ending::Refused(why)) => panic!("refused: {why}"),
                None => panic!("it was not killed"),
            }
        }
        let run = self.runs.last().expect("it was begun");
        panic!("there is always something left to do: {run:#?}");
    }

    /// Lets somebody ask the hub alone.
    pub async fn alone<T, F>(&mut self, work: impl FnOnce(Client) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (sender, mut requests) = mpsc::unbounded_channel();
        let run = self.runs.len();
        let mut task = tokio::spawn(work(client(0, run, sender)));
        loop {
            tokio::select! {
                biased;
                done = &mut task => return done.expect("it does not panic"),
                Some(pending) = requests.recv() => self.serve(pending),
            }
        }
    }
}

fn client(caller: usize, run: usize, sender: mpsc::UnboundedSender<Pending>) -> Client {
    slow_server(move |asked| {
        let (reply, answer) = oneshot::channel();
        let constant = is_constant(&asked).then(|| Hub::new(&super::world::NAMESPACES).answer(run, &asked));
        if constant.is_none() {
            // Nobody plays any more.
            let _ = sender.send(Pending {
                caller,
                run,
                asked,
                reply,
            });
        }
        async move {
            match constant {
                Some(constant) => Some(constant),
                None => answer.await.ok(),
            }
        }
    })
    .with_deadline(Duration::from_secs(30))
}

fn busy() -> (u16, Value) {
    (503, json!({"kind": "Status", "code": 503, "message": "not now"}))
}
