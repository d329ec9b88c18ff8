//! Events on their way to somebody who may be slow.
//!
//! - The thread never waits for whoever reads. What finds no place waits here, and of one session
//!   at most two transitions do: those between leave both ends of the tale as they were. Errors
//!   for which there is no place are dropped.

use std::collections::VecDeque;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::Event;
use crate::bfd::SessionKey;

/// Events that may wait for an error to join them.
const ERRORS: usize = 64;

#[derive(Debug)]
pub(super) struct Outbox {
    sender: Sender<Event>,
    waiting: VecDeque<Event>,
}

// === impl Outbox ===

impl Outbox {
    pub(super) fn new(sender: Sender<Event>) -> Self {
        Self {
            sender,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        if let Event::Changed { key, .. } = &event {
            let of_key = |(_, waiting): &(usize, &Event)| of_session(waiting, key);
            let mut places = self.waiting.iter().enumerate().filter(of_key);
            // Up and Down take turns: [Up, Down] and Up is Up, [Down, Up] and Down is Down.
            if let (Some((first, _)), Some((second, _))) = (places.next(), places.next()) {
                self.waiting.remove(second);
                if let Some(place) = self.waiting.get_mut(first) {
                    *place = event;
                }
                return;
            }
        }
        let is_error = matches!(event, Event::Failed(_));
        if !is_error || self.waiting.len() < ERRORS {
            self.waiting.push_back(event);
        }
    }

    /// Hands over what there is place for; whether something is left.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return true;
                }
                Err(TrySendError::Closed(_)) => {
                    self.waiting.clear();
                }
            }
        }
        false
    }
}

fn of_session(event: &Event, wanted: &SessionKey) -> bool {
    matches!(event, Event::Changed { key, .. } if key == wanted)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::bfd::{Diagnostic, Transition};

    fn event(host: u8, is_up: bool) -> Event {
        let key = SessionKey {
            remote: [192, 0, 2, host].into(),
            local: None,
            interface: None,
        };
        let to = if is_up {
            Transition::Up
        } else {
            Transition::Down {
                diagnostic: Diagnostic::DetectionTimeExpired,
                control_plane_independent: false,
            }
        };
        Event::Changed { key, to }
    }

    fn told(event: &Event) -> (u8, bool) {
        match event {
            Event::Changed { key, to } => {
                let std::net::IpAddr::V4(remote) = key.remote else {
                    panic!("{key:?}");
                };
                (remote.octets()[3], *to == Transition::Up)
            }
            Event::Failed(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_reader_that_sleeps_finds_what_matters_of_each_session() {
        // What comes of session 1 while its reader sleeps, and what it finds.
        let cases: &[(&[bool], &[bool])] = &[
            (&[true], &[true]),
            (&[true, false], &[true, false]),
            (&[true, false, true], &[true]),
            (&[false, true], &[false, true]),
            (&[false, true, false], &[false]),
            (&[false, true, false, true], &[false, true]),
            (&[false, true, false, true, false], &[false]),
        ];
        for (pushed, found) in cases {
            let (sender, mut receiver) = mpsc::channel(1);
            let mut outbox = Outbox::new(sender);
            outbox.push(event(9, true));
            assert!(!outbox.flush());
            for (i, is_up) in pushed.iter().enumerate() {
                outbox.push(event(1, *is_up));
                if i == 0 {
                    outbox.push(event(2, true));
                }
                assert!(outbox.flush(), "there is no place");
            }
            let mut read = Vec::new();
            while let Ok(event) = receiver.try_recv() {
                read.push(told(&event));
                outbox.flush();
            }
            let of = |host: u8| {
                let of_host = read.iter().filter(move |told| told.0 == host);
                of_host.map(|told| told.1).collect::<Vec<_>>()
            };
            assert_eq!(of(1), *found, "{pushed:?}");
            assert_eq!((of(2), of(9)), (vec![true], vec![true]));
        }
    }
}
