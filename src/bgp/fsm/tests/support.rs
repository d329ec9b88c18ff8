//! A peer on a bench: simulated time, connections that are only numbers.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bgp::fsm::{
    Action, ConnectionId, Direction, Event, Fate, GracefulConfig, LongLivedConfig, Peer, PeerAs,
    PeerConfig, Restart, State, Terms,
};
use crate::bgp::wire::{Message, Notification, Open, ParsedUpdate};
use crate::net::Family;

pub(super) const OUR_AS: u32 = 64512;
pub(super) const THEIR_AS: u32 = 4_200_000_001;
pub(super) const OUR_ID: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
pub(super) const THEIR_ID: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

#[expect(clippy::disallowed_methods, reason = "where simulated time begins")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn our_config() -> PeerConfig {
    PeerConfig::new(OUR_AS, OUR_ID, PeerAs::Exactly(THEIR_AS))
}

/// The other side's view of `our_config`.
pub(super) fn their_config() -> PeerConfig {
    PeerConfig::new(THEIR_AS, THEIR_ID, PeerAs::Exactly(OUR_AS))
}

pub(super) fn graceful() -> GracefulConfig {
    GracefulConfig {
        restart_time: secs(120),
        stale_time: secs(360),
        notification: false,
        long_lived: None,
    }
}

pub(super) fn long_lived() -> GracefulConfig {
    GracefulConfig {
        long_lived: Some(LongLivedConfig {
            stale_time: secs(3600),
            helper_limit: None,
        }),
        ..graceful()
    }
}

pub(super) fn both_graceful(graceful: &GracefulConfig) -> (PeerConfig, PeerConfig) {
    let (mut ours, mut theirs) = (our_config(), their_config());
    ours.graceful = Some(graceful.clone());
    theirs.graceful = Some(graceful.clone());
    (ours, theirs)
}

pub(super) fn notification(code: u8, subcode: u8) -> Notification {
    Notification {
        code,
        subcode,
        data: Bytes::new(),
    }
}

pub(super) fn update() -> Message {
    Message::Update(ParsedUpdate::default())
}

/// A peer with its clock.
pub(super) struct Bench {
    pub(super) peer: Peer,
    pub(super) now: Instant,
    pub(super) theirs: PeerConfig,
    next_incoming: u32,
}

impl Bench {
    pub(super) fn new(ours: PeerConfig, theirs: PeerConfig) -> Self {
        let now = epoch();
        Self {
            peer: Peer::new(now, ours, Restart::NONE, 1),
            now,
            theirs,
            next_incoming: 0,
        }
    }

    pub(super) fn plain() -> Self {
        Self::new(our_config(), their_config())
    }

    pub(super) fn handle(&mut self, event: Event) -> Vec<Action> {
        self.peer.handle(self.now, event)
    }

    pub(super) fn message(&mut self, id: ConnectionId, message: Message) -> Vec<Action> {
        self.handle(Event::Message(id, message))
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(due) = self.peer.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            actions.extend(self.peer.handle_timeout(self.now));
            let next = self.peer.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a timer that is never done"
            );
        }
        self.now = end;
        actions
    }

    /// Lets time pass up to just this deadline, whatever else is due before.
    pub(super) fn jump(&mut self, to: Instant) -> Vec<Action> {
        self.now = to;
        self.peer.handle_timeout(to)
    }

    pub(super) fn their_open(&self) -> Open {
        self.theirs.open(&Restart::NONE)
    }

    pub(super) fn accept(&mut self) -> (ConnectionId, Vec<Action>) {
        let id = ConnectionId::incoming(self.next_incoming);
        self.next_incoming += 1;
        let actions = self.handle(Event::Accepted(id));
        (id, actions)
    }

    /// From Idle to Connect.
    pub(super) fn connect(&mut self) -> ConnectionId {
        let actions = self.handle(Event::Start);
        match actions[..] {
            [Action::Connect(id)] => id,
            _ => panic!("no attempt to connect but {actions:?}"),
        }
    }

    pub(super) fn open_sent(&mut self) -> ConnectionId {
        let id = self.connect();
        self.handle(Event::Connected(id));
        assert_eq!(self.peer.state(), State::OpenSent);
        id
    }

    pub(super) fn open_confirm(&mut self) -> ConnectionId {
        let id = self.open_sent();
        let open = self.their_open();
        self.message(id, Message::Open(open));
        assert_eq!(self.peer.state(), State::OpenConfirm);
        id
    }

    pub(super) fn establish(&mut self) -> ConnectionId {
        let id = self.open_confirm();
        self.message(id, Message::Keepalive);
        assert_eq!(self.peer.state(), State::Established);
        id
    }

    /// The peer comes back by itself and is heard: what that brought.
    pub(super) fn come_back(&mut self, open: Open) -> Vec<Action> {
        let time = self.peer.status().timers.idle_hold;
        if let Some(time) = time {
            self.jump(time);
        }
        let (id, _) = self.accept();
        let mut actions = self.message(id, Message::Open(open));
        actions.extend(self.message(id, Message::Keepalive));
        assert_eq!(self.peer.state(), State::Established);
        actions
    }
}

/// The terms that both configurations come to, with the peer's OPEN as given.
pub(super) fn terms(config: &GracefulConfig, restart: &Restart) -> Terms {
    let (ours, theirs) = both_graceful(config);
    let mut bench = Bench::new(ours, theirs);
    let id = bench.open_sent();
    let open = bench.theirs.open(restart);
    bench.message(id, Message::Open(open));
    bench.peer.terms(id).unwrap().clone()
}

/// One action in few words.
pub(super) fn words(action: &Action) -> String {
    match action {
        Action::Connect(_) => "connect".into(),
        Action::Send(_, Message::Open(_)) => "open".into(),
        Action::Send(_, Message::Keepalive) => "keepalive".into(),
        Action::Send(_, Message::Notification(it)) => format!("{}/{}", it.code, it.subcode),
        Action::Send(_, Message::RouteRefresh(_)) => "ask".into(),
        Action::Send(_, Message::Update(_)) => "update".into(),
        Action::Close(id) if id.direction == Direction::Incoming => "close-in".into(),
        Action::Close(_) => "close".into(),
        Action::Up(..) => "up".into(),
        Action::Down(down) if down.graceful => "down-gracefully".into(),
        Action::Down(_) => "down".into(),
        Action::Routes(family, fate) => format!("{}-{}", family_word(*family), fate_word(*fate)),
        Action::Deliver(_) => "deliver".into(),
        Action::Refresh(_) => "refresh".into(),
        Action::ManyPrefixes { .. } => "many".into(),
        Action::Failed(failure) => format!("failed: {failure}"),
    }
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

fn fate_word(fate: Fate) -> &'static str {
    match fate {
        Fate::Drop => "drop",
        Fate::Stale => "stale",
        Fate::LongLived => "long-lived",
        Fate::Flush => "flush",
    }
}

/// All of them, without what happens to routes and what is only to be logged.
pub(super) fn said(actions: &[Action]) -> String {
    let told = actions
        .iter()
        .filter(|action| !matches!(action, Action::Routes(..) | Action::Failed(_)));
    told.map(words).collect::<Vec<_>>().join(" ")
}

/// Only what happens to routes.
pub(super) fn fates(actions: &[Action]) -> String {
    let told = actions
        .iter()
        .filter(|action| matches!(action, Action::Routes(..)));
    told.map(words).collect::<Vec<_>>().join(" ")
}
