//! The daemon between its edges: fed by hand, with a controller that only counts.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::app::daemon::{Daemon, End, Feeds, Signal, now, settings};
use crate::app::notes::Notes;
use crate::app::slots::{Fed, Slots};
use crate::app::systemd::{Dialogue, Word};
use crate::config::{self, Config};
use crate::metrics::ControllerMetrics;
use crate::model::{NodeFacts, Note, Snapshot};
use crate::proxy::Input;
use crate::reconcile::{
    Controller, Ended, HealthBoard, HealthLimits, ObserveError, Report, Scope, Slot, Supervision,
    spawn,
};
use crate::watch::Lost;

const LIMIT: Duration = Duration::from_secs(20);

/// Applies the number of the snapshot.
#[derive(Default)]
struct Counting {
    plan: Option<Input>,
    applied: Option<mpsc::UnboundedSender<Input>>,
    observed: Option<mpsc::UnboundedSender<()>>,
    panics: bool,
}

#[derive(Debug)]
struct Set(u64);

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {}", self.0)
    }
}

impl Controller for Counting {
    type Input = Input;
    type Observed = ();
    type Change = Set;
    const NAME: &'static str = "counting";

    fn plan(&mut self, input: &Input) {
        assert!(!self.panics, "a bug");
        self.plan = Some(input.clone());
    }

    fn observe(&mut self) -> Result<(), ObserveError> {
        if let Some(observed) = &self.observed {
            let _ = observed.send(());
        }
        Ok(())
    }

    fn changes(&self, (): &(), _: Scope) -> Vec<Set> {
        self.plan
            .iter()
            .map(|plan| Set(plan.snapshot.generation))
            .collect()
    }

    fn apply(&mut self, changes: Vec<Set>, (): &mut (), _: &dyn Fn()) -> Report<Set> {
        if let (Some(applied), Some(plan)) = (&self.applied, &self.plan) {
            let _ = applied.send(plan.clone());
        }
        Report {
            applied: changes.len(),
            failures: Vec::new(),
        }
    }

    fn summary(&self) -> String {
        "1 number".into()
    }
}

/// A running daemon and all its edges.
struct Lab {
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    facts: watch::Sender<Option<Arc<NodeFacts>>>,
    cluster_fault: watch::Sender<Option<String>>,
    _node_fault: watch::Sender<Option<String>>,
    lost: mpsc::Sender<Lost>,
    _made_up: watch::Sender<Vec<Note>>,
    signals: mpsc::Sender<Signal>,
    said: mpsc::UnboundedReceiver<Word>,
    applied: mpsc::UnboundedReceiver<Input>,
    observed: mpsc::UnboundedReceiver<()>,
    board: Arc<HealthBoard>,
    /// What the next reload reads.
    next: Arc<Mutex<Result<Config, String>>>,
    daemon: JoinHandle<End>,
}

fn config(text: &str) -> Config {
    let sources = config::Sources {
        environment: vec![("KUBE_ROUTER_CLUSTER__MANIFESTS".into(), "/nowhere".into())],
        file: None,
        overrides: text
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| config::Override {
                flag: "--test",
                key: leak(key),
                value: value.into(),
            })
            .collect(),
    };
    config::load(&sources).unwrap().config
}

fn leak(key: &str) -> &'static str {
    Box::leak(key.to_owned().into_boxed_str())
}

fn only_proxy(slot: Slot<Input>, config: &Config) -> Slots {
    let settings = Arc::new(settings(config));
    Slots {
        proxy: Some(Fed { slot, settings }),
        netpol: None,
        routing: None,
        bgp: Slots::new(config).bgp,
    }
}

fn lab(panics: bool) -> Lab {
    let (snapshot, snapshots) = watch::channel(None);
    let (facts, facts_seen) = watch::channel(None);
    let (cluster_fault, cluster_faults) = watch::channel(Some("Services: no list yet".to_owned()));
    let (node_fault, node_faults) = watch::channel(None);
    let (signals, signals_seen) = mpsc::channel(1);
    let (say, said) = mpsc::unbounded_channel();
    let (apply, applied) = mpsc::unbounded_channel();
    let (observe, observed) = mpsc::unbounded_channel();
    let (ended, all_ended) = mpsc::channel(1);
    let (lost, losses) = mpsc::channel(8);
    let (made_up, node_notes) = watch::channel(Vec::new());
    let board = Arc::new(HealthBoard::new(HealthLimits {
        stalled: LIMIT,
        failing: LIMIT,
    }));
    let slot = Slot::new();
    let shared = Supervision {
        health: board.part("counting", now()),
        metrics: Arc::new(ControllerMetrics::new("counting")),
    };
    let inboxes = slot.clone();
    let make = move || {
        Ok(Counting {
            applied: Some(apply.clone()),
            observed: Some(observe.clone()),
            panics,
            ..Counting::default()
        })
    };
    let tell = move |end: Ended| drop(ended.blocking_send(end));
    let period = |input: &Input| input.settings.proxy.sync_period;
    spawn(make, move || inboxes.inbox(), period, shared, tell).unwrap();
    let (running, next) = (config(""), Arc::new(Mutex::new(Ok(config("")))));
    let slots = only_proxy(slot, &running);
    let load = Arc::clone(&next);
    let daemon = Daemon {
        config: running,
        load: move || load.lock().unwrap().clone(),
        set_level: |_| {},
        say: move |words: &[Word]| words.iter().for_each(|word| drop(say.send(word.clone()))),
        board: Arc::clone(&board),
        slots,
        speaker: None,
        feeds: Feeds {
            snapshot: snapshots,
            facts: facts_seen,
            cluster_fault: cluster_faults,
            node_notes,
            node_fault: node_faults,
            lost: losses,
            learned: None,
        },
        signals: signals_seen,
        ended: all_ended,
        dialogue: Dialogue::new(None),
        notes: Notes::default(),
        began: now(),
        late: false,
        healthy: true,
    };
    let daemon = tokio::spawn(daemon.run());
    Lab {
        snapshot,
        facts,
        cluster_fault,
        _node_fault: node_fault,
        lost,
        _made_up: made_up,
        signals,
        said,
        applied,
        observed,
        board,
        next,
        daemon,
    }
}

impl Lab {
    async fn hears(&mut self, wanted: impl Fn(&Word) -> bool) -> Vec<Word> {
        let mut heard = Vec::new();
        loop {
            let word = tokio::time::timeout(LIMIT, self.said.recv()).await;
            let word = word
                .unwrap_or_else(|_| panic!("not said; heard {heard:?}"))
                .unwrap();
            heard.push(word);
            if heard.last().is_some_and(&wanted) {
                return heard;
            }
        }
    }

    fn know(&self, generation: u64) {
        let snapshot = Snapshot {
            generation,
            ..Snapshot::default()
        };
        self.snapshot.send_replace(Some(Arc::new(snapshot)));
    }

    async fn started() -> Self {
        let mut lab = lab(false);
        lab.know(1);
        lab.facts.send_replace(Some(Arc::default()));
        lab.cluster_fault.send_replace(None);
        lab.hears(|word| *word == Word::Ready).await;
        lab
    }

    fn fault(&self, name: &str) -> Option<String> {
        let report = self.board.report(now());
        report
            .conditions
            .into_iter()
            .find(|condition| condition.name == name)
            .and_then(|found| found.fault)
    }

    async fn reload(&mut self, next: Result<Config, String>) {
        *self.next.lock().unwrap() = next;
        self.signals.send(Signal::Reload).await.unwrap();
        let heard = self.hears(|word| *word == Word::Ready).await;
        assert!(heard.contains(&Word::Reloading), "{heard:?}");
    }
}

#[tokio::test]
async fn ready_comes_after_the_first_pass_and_that_after_all_inputs() {
    let mut lab = lab(false);
    lab.hears(|word| {
        *word
            == Word::Status(
                "not ready: cluster: Services: no list yet; counting: no complete pass yet".into(),
            )
    })
    .await;
    lab.know(7);
    lab.cluster_fault.send_replace(None);
    lab.hears(|word| *word == Word::Status("not ready: counting: no complete pass yet".into()))
        .await;
    lab.facts.send_replace(Some(Arc::default()));
    lab.hears(|word| *word == Word::Ready).await;
    assert_eq!(lab.applied.recv().await.unwrap().snapshot.generation, 7);
}

#[tokio::test]
async fn stop_ends_the_controller_and_says_so() {
    let mut lab = Lab::started().await;
    lab.signals.send(Signal::Stop).await.unwrap();
    lab.hears(|word| *word == Word::Stopping).await;
    assert!(matches!(lab.daemon.await.unwrap(), End::Stopped));
}

#[tokio::test]
async fn stop_before_the_first_input_is_as_quick() {
    let lab = lab(false);
    lab.signals.send(Signal::Stop).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), lab.daemon)
        .await
        .unwrap();
    assert!(matches!(end.unwrap(), End::Stopped));
}

#[tokio::test]
async fn a_changed_configuration_is_a_changed_input() {
    let mut lab = Lab::started().await;
    assert!(
        !lab.applied
            .recv()
            .await
            .unwrap()
            .settings
            .proxy
            .masquerade_all
    );
    lab.reload(Ok(config("proxy.masquerade_all=true"))).await;
    assert!(
        lab.applied
            .recv()
            .await
            .unwrap()
            .settings
            .proxy
            .masquerade_all
    );
    assert_eq!(lab.fault("config"), None);
}

#[tokio::test]
async fn a_refused_configuration_keeps_the_running_one_and_says_why() {
    let mut lab = Lab::started().await;
    let restart = "new configuration refused: node.name can only change with a restart";
    let cases = [
        (
            Err("config.toml:3:1: proxy.x: unknown key".to_owned()),
            "new configuration refused: config.toml:3:1: proxy.x: unknown key",
        ),
        (
            Ok(config("node.name=other proxy.masquerade_all=true")),
            restart,
        ),
    ];
    for (next, fault) in cases {
        lab.reload(next).await;
        assert_eq!(lab.fault("config").as_deref(), Some(fault));
        assert!(
            lab.board.report(now()).unready().is_empty(),
            "the running one is still good"
        );
        let status = lab.hears(|word| matches!(word, Word::Status(_))).await;
        assert!(
            matches!(status.last(), Some(Word::Status(text)) if text.ends_with(&format!("; config: {fault}"))),
            "{status:?}"
        );
    }
    lab.know(2);
    let first = lab.applied.recv().await.unwrap();
    assert_eq!(
        (
            first.snapshot.generation,
            first.settings.proxy.masquerade_all
        ),
        (1, false)
    );
    let second = lab.applied.recv().await.unwrap();
    assert_eq!(
        (
            second.snapshot.generation,
            second.settings.proxy.masquerade_all
        ),
        (2, false)
    );
    lab.reload(Ok(config(""))).await;
    assert_eq!(lab.fault("config"), None);
}

#[tokio::test]
async fn a_controller_with_a_bug_ends_the_process_after_three_panics() {
    let lab = lab(true);
    lab.facts.send_replace(Some(Arc::default()));
    lab.know(1);
    let end = tokio::time::timeout(LIMIT, lab.daemon)
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(&end, End::Controller(Ended::Panicked(message)) if message == "a bug"),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_watch_that_ends_is_told_by_name() {
    let lab = Lab::started().await;
    drop(lab.facts);
    let end = tokio::time::timeout(LIMIT, lab.daemon)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(end, End::Lost("the node's watch")), "{end:?}");
}

#[tokio::test]
async fn what_a_service_still_wants_is_looked_for_and_nothing_else() {
    let mut lab = Lab::started().await;
    assert_eq!(lab.observed.recv().await, Some(()), "at the start");
    let unwanted = Lost::Address("10.96.0.1".parse().unwrap());
    lab.lost.send(unwanted).await.unwrap();
    lab.lost.send(Lost::Link).await.unwrap();
    let again = tokio::time::timeout(LIMIT, lab.observed.recv()).await;
    assert_eq!(again, Ok(Some(())), "for the link");
    assert!(lab.observed.try_recv().is_err(), "not for the address");
}
