//! The host's answers, kept for as long as they say.
//!
//! Main type: [`Cache`]. Time comes in as an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

/// Answers kept at once.
const ENTRIES_MAX: usize = 2048;
/// As long as kubeadm's CoreDNS keeps them.
const TTL_MAX: u32 = 30;

/// What was asked: name, type, and the flags that change an answer.
pub(super) type Key = (String, RecordType, bool, bool);

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    since: Instant,
    until: Instant,
}

impl Cache {
    /// Returns a kept answer with its times to live counted down.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Message> {
        let entry = self.entries.get(key).filter(|entry| entry.until > now)?;
        let age = (now - entry.since).as_secs() as u32;
        let mut message = entry.message.clone();
        for section in [
            &mut message.answers,
            &mut message.authorities,
            &mut message.additionals,
        ] {
            for record in section {
                record.decrement_ttl(age);
            }
        }
        Some(message)
    }

    /// Keeps an answer, unless it says not to.
    pub(super) fn put(&mut self, key: Key, message: &Message, now: Instant) {
        let Some(ttl) = lifetime(message) else {
            return;
        };
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, entry| entry.until > now);
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
        }
        let entry = Entry {
            message: message.clone(),
            since: now,
            until: now + Duration::from_secs(u64::from(ttl)),
        };
        self.entries.insert(key, entry);
    }
}

/// The least time to live; for a negative answer that of the authority, which
/// must be there (RFC 2308, 5).
fn lifetime(message: &Message) -> Option<u32> {
    let metadata = &message.metadata;
    if metadata.truncation {
        return None;
    }
    let ttl = match metadata.response_code {
        ResponseCode::NoError if !message.answers.is_empty() => {
            message.answers.iter().map(|record| record.ttl).min()
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            message
                .authorities
                .iter()
                .find_map(|record| match &record.data {
                    RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                    _ => None,
                })
        }
        _ => None,
    }?;
    (ttl > 0).then_some(ttl.min(TTL_MAX))
}
