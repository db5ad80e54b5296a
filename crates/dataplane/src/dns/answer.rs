//! From a question to its answer.
//!
//! [`Answerer::begin`] reads a message and answers what is ours at once;
//! [`Answerer::finish`] asks the host for the rest. Nothing here owns a socket.

use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use parking_lot::Mutex;
use rand::seq::SliceRandom;

use super::Names;
use super::cache::Cache;
use super::zone::{self, Found, Zones};
use crate::host::HostPorts;

/// Aliases followed for one question.
const ALIASES_MAX: usize = 8;
/// Answers by datagram stay below this, whatever the asker could take: the
/// Ethernet frame of a pod's interface less its headers.
const DATAGRAM_BYTES_MAX: u16 = 1472;
/// What an asker without EDNS can take (RFC 1035, 4.2.1).
const DATAGRAM_BYTES_PLAIN: u16 = 512;
const HEADER: usize = 12;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As a datagram: a long answer must be cut.
    Udp,
    /// Over a connection.
    Tcp,
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Outcome {
    /// It is no question; silence is best.
    Nothing,
    /// The answer.
    Done(Vec<u8>),
    /// The host must be asked.
    Ask(Box<Question>),
}

/// A question that waits for the host.
#[derive(Debug)]
pub struct Question {
    query: Message,
    bytes: Vec<u8>,
    transport: Transport,
    /// Where our own aliases led; empty when the question itself is asked.
    chain: Vec<Record>,
    target: Option<String>,
}

/// Answers questions.
pub struct Answerer {
    pub(super) names: Names,
    host: Arc<dyn HostPorts>,
    cache: Mutex<Cache>,
}

impl Answerer {
    /// Returns an answerer that knows no names yet.
    pub fn new(host: Arc<dyn HostPorts>) -> Self {
        Answerer {
            names: Names::default(),
            host,
            cache: Mutex::default(),
        }
    }

    /// Reads a message and answers it if nobody needs to be asked.
    pub fn begin(&self, bytes: &[u8], transport: Transport) -> Outcome {
        let query = match Message::from_vec(bytes) {
            Ok(query) => query,
            Err(_) => return malformed(bytes),
        };
        if query.metadata.message_type != MessageType::Query {
            return Outcome::Nothing;
        }
        if query.metadata.op_code != OpCode::Query {
            return Outcome::Done(refusal(&query, ResponseCode::NotImp));
        }
        if query.queries.len() != 1 || query.queries[0].query_class != DNSClass::IN {
            return Outcome::Done(refusal(&query, ResponseCode::FormErr));
        }
        self.look_up(query, bytes, transport)
    }

    /// Asks the host and returns the answer.
    pub async fn finish(&self, question: Question) -> Vec<u8> {
        let mut reply = reply_to(&question.query);
        match self.ask(&question).await {
            Some(upstream) => {
                reply.metadata.response_code = upstream.metadata.response_code;
                reply.answers = question.chain;
                reply.answers.extend(upstream.answers);
                reply.authorities = upstream.authorities;
                reply.additionals = upstream.additionals;
                reply.metadata.authentic_data = upstream.metadata.authentic_data;
            }
            None => reply.metadata.response_code = ResponseCode::ServFail,
        }
        encode(&question.query, reply, question.transport)
    }

    fn look_up(&self, query: Message, bytes: &[u8], transport: Transport) -> Outcome {
        let zones = self.names.get();
        let kind = query.queries[0].query_type;
        let mut reply = reply_to(&query);
        let mut owner = query.queries[0].name.clone();
        let mut name = zone::plain(&owner.to_ascii());
        for step in 0..ALIASES_MAX {
            match zones.find(&name, kind) {
                Found::Records(data) => {
                    add_records(&mut reply, &zones, &owner, data);
                    reply.metadata.authoritative = true;
                    return Outcome::Done(encode(&query, reply, transport));
                }
                Found::Alias(data, target) => {
                    add_records(&mut reply, &zones, &owner, vec![data]);
                    let Ok(next) = Name::from_ascii(format!("{target}.")) else {
                        break;
                    };
                    (owner, name) = (next, target);
                }
                negative @ (Found::NoData | Found::NoName) => {
                    if negative == Found::NoName {
                        reply.metadata.response_code = ResponseCode::NXDomain;
                    }
                    reply.metadata.authoritative = true;
                    add_authority(&mut reply, &zones, &name);
                    return Outcome::Done(encode(&query, reply, transport));
                }
                Found::Elsewhere => {
                    return Outcome::Ask(Box::new(Question {
                        query,
                        bytes: bytes.to_vec(),
                        transport,
                        chain: reply.answers,
                        target: (step > 0).then_some(name),
                    }));
                }
            }
        }
        Outcome::Done(refusal(&query, ResponseCode::ServFail))
    }

    async fn ask(&self, question: &Question) -> Option<Message> {
        let key = question.key();
        if let Some(message) = self.cache.lock().get(&key, Instant::now()) {
            return Some(message);
        }
        let bytes = question.upstream_bytes()?;
        let answer = match self.host.resolve(&bytes).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(name = key.0, %error, "the host's name servers did not answer");
                return None;
            }
        };
        let message = Message::from_vec(&answer).ok()?;
        self.cache.lock().put(key, &message, Instant::now());
        Some(message)
    }
}

impl Question {
    /// Returns the answer that something went wrong.
    pub fn failure(&self) -> Vec<u8> {
        refusal(&self.query, ResponseCode::ServFail)
    }

    fn key(&self) -> super::cache::Key {
        let asked = &self.query.queries[0];
        let name = self
            .target
            .clone()
            .unwrap_or_else(|| zone::plain(&asked.name.to_ascii()));
        let dnssec = self
            .query
            .edns
            .as_ref()
            .is_some_and(|edns| edns.flags().dnssec_ok);
        let unchecked = self.query.metadata.checking_disabled;
        (name, asked.query_type, dnssec, unchecked)
    }

    /// The question as it came, or about the name our aliases led to.
    fn upstream_bytes(&self) -> Option<Vec<u8>> {
        let Some(target) = &self.target else {
            return Some(self.bytes.clone());
        };
        let mut query = self.query.clone();
        query.queries[0].name = Name::from_ascii(format!("{target}.")).ok()?;
        query.to_vec().ok()
    }
}

/// Answers a message that cannot be read, if there is anything to answer to.
fn malformed(bytes: &[u8]) -> Outcome {
    if bytes.len() < HEADER || bytes[2] & 0x80 != 0 {
        return Outcome::Nothing;
    }
    let id = u16::from_be_bytes([bytes[0], bytes[1]]);
    let reply = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    reply.to_vec().map_or(Outcome::Nothing, Outcome::Done)
}

fn refusal(query: &Message, code: ResponseCode) -> Vec<u8> {
    let mut reply = reply_to(query);
    reply.metadata.response_code = code;
    encode(query, reply, Transport::Tcp)
}

fn reply_to(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.checking_disabled = query.metadata.checking_disabled;
    reply.metadata.recursion_available = true;
    reply.queries = query.queries.clone();
    // RFC 6891, 6.1.1: answered with OPT if and only if asked with it.
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_BYTES_MAX);
        reply.edns = Some(edns);
    }
    reply
}

fn add_records(reply: &mut Message, zones: &Zones, owner: &Name, mut data: Vec<RData>) {
    // Askers take the first address: shuffling spreads them.
    data.shuffle(&mut rand::rng());
    for data in data {
        if let RData::SRV(srv) = &data {
            add_target(reply, zones, &srv.target);
        }
        reply
            .answers
            .push(Record::from_rdata(owner.clone(), zones.ttl(), data));
    }
}

/// The addresses of a service's target go along (RFC 2782).
fn add_target(reply: &mut Message, zones: &Zones, target: &Name) {
    let known = reply.additionals.iter().any(|r| r.name == *target);
    if known {
        return;
    }
    if let Found::Records(data) = zones.find(&zone::plain(&target.to_ascii()), RecordType::A) {
        let record = |data| Record::from_rdata(target.clone(), zones.ttl(), data);
        reply.additionals.extend(data.into_iter().map(record));
    }
}

fn add_authority(reply: &mut Message, zones: &Zones, name: &str) {
    if let Some((origin, soa)) = zones.authority(name) {
        let record = Record::from_rdata(origin, zones.ttl(), soa);
        reply.authorities.push(record);
    }
}

/// Encodes an answer, cut when it does not fit the asker's datagrams.
fn encode(query: &Message, reply: Message, transport: Transport) -> Vec<u8> {
    let bytes = reply.to_vec().unwrap_or_default();
    let room = match (&query.edns, transport) {
        (_, Transport::Tcp) => u16::MAX,
        (Some(edns), _) => edns
            .max_payload()
            .clamp(DATAGRAM_BYTES_PLAIN, DATAGRAM_BYTES_MAX),
        (None, _) => DATAGRAM_BYTES_PLAIN,
    };
    if bytes.len() <= usize::from(room) {
        return bytes;
    }
    reply.truncate().to_vec().unwrap_or_default()
}
