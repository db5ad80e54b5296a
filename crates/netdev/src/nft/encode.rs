//! Writes edits as nf_tables messages.
//!
//! Attribute numbers are those of `linux/netfilter/nf_tables.h`; numbers travel
//! in network byte order. Values that rules compare with (verdict of `fib`,
//! connection state, random numbers) stay in the machine's.

use super::diff::{Elements, Op};
use super::expr::{Cmp, Expr, Reg, Reject, Rule, Verdict};
use super::fragment::{Base, ChainType, Data, Key, Set, SetKind, Type};
use crate::wire::{self, Builder};

/// `NFNL_SUBSYS_NFTABLES`, the high byte of the message type.
const SUBSYSTEM: u16 = 10;
/// `NFPROTO_IPV4`: the family of our table.
pub(super) const FAMILY: u8 = 2;

pub(super) const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
pub(super) const NEWCHAIN: u16 = 3;
pub(super) const GETCHAIN: u16 = 4;
const DELCHAIN: u16 = 5;
pub(super) const NEWRULE: u16 = 6;
pub(super) const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
pub(super) const NEWSET: u16 = 9;
pub(super) const GETSET: u16 = 10;
const DELSET: u16 = 11;
pub(super) const NEWSETELEM: u16 = 12;
pub(super) const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;

/// Elements per message: attribute lengths are 16 bits wide.
const ELEMENTS_PER_MESSAGE: usize = 400;

const NFT_DATA_VERDICT: u32 = 0xffff_ff00;
/// Where register 0 of sixteen lies: `NFT_REG32_00`.
const FIRST_REGISTER: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

const SET_INTERVAL: u32 = 0x4;
const SET_MAP: u32 = 0x8;
const SET_TIMEOUT: u32 = 0x10;
const SET_EVAL: u32 = 0x20;
const ELEMENT_INTERVAL_END: u32 = 1;

/// Returns the message type of an nf_tables message.
pub(super) fn kind(message: u16) -> u16 {
    (SUBSYSTEM << 8) | message
}

/// `struct nfgenmsg`.
pub(super) fn generic(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// Returns the message that begins or ends a transaction.
pub(super) fn boundary(begin: bool) -> Builder {
    // NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END.
    let mut builder = Builder::new(if begin { 16 } else { 17 }, 0);
    builder.fixed(&generic(0, SUBSYSTEM));
    builder
}

/// Returns what an edit is about, for errors.
pub fn subject(table: &str, op: &Op) -> String {
    match op {
        Op::AddTable | Op::DeleteTable => format!("table {table}"),
        Op::AddChain(name, _) | Op::DeleteChain(name) | Op::FlushChain(name) => {
            format!("chain {table} {name}")
        }
        Op::AddRule(chain, rule) => format!("rule in chain {table} {chain}: {rule:?}"),
        Op::AddSet(name, _) | Op::DeleteSet(name) | Op::FlushSet(name) => {
            format!("set {table} {name}")
        }
        Op::AddElements(name, _) | Op::DeleteElements(name, _) => {
            format!("elements of set {table} {name}")
        }
    }
}

/// Returns the messages of an edit; `set_id` numbers new sets in a transaction.
pub fn messages(table: &str, op: &Op, set_id: u32) -> Vec<Builder> {
    match op {
        Op::AddTable => vec![add_table(table)],
        Op::DeleteTable => vec![named(DELTABLE, table, None)],
        Op::AddChain(name, base) => vec![add_chain(table, name, base.as_ref())],
        Op::DeleteChain(name) => vec![named(DELCHAIN, table, Some(name))],
        Op::FlushChain(name) => vec![flush_chain(table, name)],
        Op::AddRule(chain, rule) => vec![add_rule(table, chain, rule)],
        Op::AddSet(name, set) => vec![add_set(table, name, set, set_id)],
        Op::DeleteSet(name) => vec![named(DELSET, table, Some(name))],
        Op::FlushSet(name) => vec![elements(DELSETELEM, table, name, &[])],
        Op::AddElements(name, list) => in_chunks(NEWSETELEM, table, name, list),
        Op::DeleteElements(name, list) => in_chunks(DELSETELEM, table, name, list),
    }
}

fn start(message: u16, flags: u16) -> Builder {
    let mut builder = Builder::new(kind(message), flags);
    builder.fixed(&generic(FAMILY, 0));
    builder
}

fn add_table(table: &str) -> Builder {
    let mut builder = start(NEWTABLE, wire::CREATE);
    builder.put_str(1, table).put_be32(2, 0);
    builder
}

/// Tables, chains and sets have table and name at attributes 1 and 2, save
/// that a chain's name is attribute 3.
fn named(message: u16, table: &str, name: Option<&str>) -> Builder {
    let mut builder = start(message, 0);
    builder.put_str(1, table);
    if let Some(name) = name {
        builder.put_str(if message == DELCHAIN { 3 } else { 2 }, name);
    }
    builder
}

fn add_chain(table: &str, name: &str, base: Option<&Base>) -> Builder {
    let mut builder = start(NEWCHAIN, wire::CREATE);
    builder.put_str(1, table).put_str(3, name);
    if let Some(base) = base {
        builder.nest(4, |hook| {
            hook.put_be32(1, base.hook as u32)
                .put_be32(2, base.priority as u32);
        });
        // Policy accept.
        builder.put_be32(5, 1);
        builder.put_str(
            7,
            match base.kind {
                ChainType::Filter => "filter",
                ChainType::Nat => "nat",
                ChainType::Route => "route",
            },
        );
    }
    builder
}

fn flush_chain(table: &str, name: &str) -> Builder {
    let mut builder = start(DELRULE, 0);
    builder.put_str(1, table).put_str(2, name);
    builder
}

fn add_rule(table: &str, chain: &str, rule: &Rule) -> Builder {
    let mut builder = start(NEWRULE, wire::CREATE | wire::APPEND);
    builder.put_str(1, table).put_str(2, chain);
    builder.nest(4, |list| rule_expressions(list, rule));
    let mark = fingerprint(rule);
    // A comment as nft prints it: type 0, length, text with its zero.
    let mut comment = vec![0, mark.len() as u8 + 1];
    comment.extend_from_slice(mark.as_bytes());
    comment.push(0);
    builder.put(7, &comment);
    builder
}

fn rule_expressions(list: &mut Builder, rule: &Rule) {
    for expr in &rule.exprs {
        list.nest(1, |inner| expression(inner, expr));
    }
}

/// Returns a short mark of a rule's encoding (FNV-1a, 64 bits).
///
/// It is kept with the rule in the kernel, so that a restarted process can tell
/// whether a chain is still the wanted one without decoding it.
pub fn fingerprint(rule: &Rule) -> String {
    let mut list = Builder::new(0, 0);
    rule_expressions(&mut list, rule);
    hex(list.finish(0).unwrap_or_default())
}

/// Returns the same short mark of a set's form.
pub fn set_fingerprint(set: &Set) -> String {
    hex(format!("{set:?}").into_bytes())
}

fn hex(bytes: Vec<u8>) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn add_set(table: &str, name: &str, set: &Set, set_id: u32) -> Builder {
    let mut builder = start(NEWSET, wire::CREATE);
    let flags = match set.kind {
        SetKind::Plain => 0,
        SetKind::Intervals => SET_INTERVAL,
        SetKind::Expiring(_) => SET_TIMEOUT | SET_EVAL,
        SetKind::Map(_) | SetKind::VerdictMap => SET_MAP,
    };
    builder
        .put_str(1, table)
        .put_str(2, name)
        .put_be32(3, flags)
        .put_be32(4, type_number(&set.key))
        .put_be32(5, set.key.len() as u32 * 4)
        .put_be32(10, set_id);
    match &set.kind {
        SetKind::Map(value) => {
            builder
                .put_be32(6, type_number(value))
                .put_be32(7, value.len() as u32 * 4);
        }
        SetKind::VerdictMap => {
            builder.put_be32(6, NFT_DATA_VERDICT).put_be32(7, 0);
        }
        SetKind::Expiring(timeout) => {
            builder.put_be64(11, timeout.as_millis() as u64);
        }
        SetKind::Plain | SetKind::Intervals => {}
    }
    builder.put(13, set_fingerprint(set).as_bytes());
    builder
}

/// Userspace type numbers, six bits a field; they only guide printing.
fn type_number(fields: &[Type]) -> u32 {
    fields.iter().fold(0, |number, field| {
        (number << 6)
            | match field {
                Type::Address => 7,
                Type::Protocol => 12,
                Type::Port => 13,
                Type::Number => 4,
            }
    })
}

fn in_chunks(message: u16, table: &str, name: &str, list: &Elements) -> Vec<Builder> {
    list.chunks(ELEMENTS_PER_MESSAGE)
        .map(|chunk| elements(message, table, name, chunk))
        .collect()
}

fn elements(message: u16, table: &str, set: &str, list: &[(Key, Data)]) -> Builder {
    let flags = if message == NEWSETELEM {
        wire::CREATE
    } else {
        0
    };
    let mut builder = start(message, flags);
    builder.put_str(1, table).put_str(2, set);
    if list.is_empty() {
        return builder;
    }
    builder.nest(3, |all| {
        for (key, data) in list {
            all.nest(1, |element| {
                element.nest(1, |value| {
                    value.put(1, &key.0);
                });
                match data {
                    Data::None | Data::To(_) => {}
                    Data::Value(value) => {
                        element.nest(2, |data| {
                            data.put(1, &value.0);
                        });
                    }
                    Data::Verdict(verdict) => {
                        element.nest(2, |data| put_verdict(data, verdict));
                    }
                }
            });
            if let Data::To(last) = data {
                interval_end(all, last.to_bits());
            }
        }
    });
    builder
}

/// A range is two elements: its first key, and the first key behind it with a
/// flag. A range up to the last address has no end.
fn interval_end(all: &mut Builder, last: u32) {
    let Some(behind) = last.checked_add(1) else {
        return;
    };
    all.nest(1, |element| {
        element.nest(1, |value| {
            value.put(1, &behind.to_be_bytes());
        });
        element.put_be32(3, ELEMENT_INTERVAL_END);
    });
}

fn put_verdict(data: &mut Builder, verdict: &Verdict) {
    let (code, chain): (i32, Option<&str>) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    data.nest(2, |verdict| {
        verdict.put_be32(1, code as u32);
        if let Some(chain) = chain {
            verdict.put_str(2, chain);
        }
    });
}

fn register(reg: Reg) -> u32 {
    FIRST_REGISTER + u32::from(reg.0)
}

/// Appends one expression: its name and its attributes.
fn expression(builder: &mut Builder, expr: &Expr) {
    let mut with = |name: &str, fill: &dyn Fn(&mut Builder)| {
        builder.put_str(1, name);
        builder.nest(2, fill);
    };
    match expr {
        Expr::Network(offset, length, reg) => with("payload", &|data| {
            payload(data, 1, *offset, *length, *reg);
        }),
        Expr::Transport(offset, length, reg) => with("payload", &|data| {
            payload(data, 2, *offset, *length, *reg);
        }),
        Expr::Meta(key, reg) => with("meta", &|data| {
            data.put_be32(1, register(*reg)).put_be32(2, *key as u32);
        }),
        Expr::SetMark(reg) => with("meta", &|data| {
            data.put_be32(2, super::expr::Meta::Mark as u32)
                .put_be32(3, register(*reg));
        }),
        Expr::Ct(key, reg) => with("ct", &|data| {
            data.put_be32(1, register(*reg)).put_be32(2, *key as u32);
        }),
        Expr::FibDestinationType(reg) => with("fib", &|data| {
            // Result: address type; by: destination address.
            data.put_be32(1, register(*reg))
                .put_be32(2, 3)
                .put_be32(3, 2);
        }),
        Expr::Random(modulus, reg) => with("numgen", &|data| {
            data.put_be32(1, register(*reg))
                .put_be32(2, *modulus)
                .put_be32(3, 1)
                .put_be32(4, 0);
        }),
        Expr::Immediate(value, reg) => with("immediate", &|data| {
            data.put_be32(1, register(*reg));
            data.nest(2, |inner| {
                inner.put(1, value);
            });
        }),
        Expr::Mask(reg, mask) => with("bitwise", &|data| mask_register(data, *reg, mask)),
        Expr::Cmp(reg, op, value) => with("cmp", &|data| compare(data, *reg, *op, value)),
        Expr::InSet(set, reg, inverted) => with("lookup", &|data| {
            data.put_str(1, set).put_be32(2, register(*reg));
            if *inverted {
                data.put_be32(5, 1);
            }
        }),
        Expr::Map(map, key, value) => with("lookup", &|data| {
            data.put_str(1, map)
                .put_be32(2, register(*key))
                .put_be32(3, register(*value));
        }),
        Expr::VerdictMap(map, key) => with("lookup", &|data| {
            data.put_str(1, map)
                .put_be32(2, register(*key))
                .put_be32(3, VERDICT_REGISTER);
        }),
        Expr::Refresh(set, reg) => with("dynset", &|data| {
            data.put_str(1, set)
                .put_be32(3, 1)
                .put_be32(4, register(*reg));
        }),
        Expr::Dnat(address, port) => with("nat", &|data| nat(data, 1, *address, *port)),
        Expr::Snat(address) => with("nat", &|data| nat(data, 0, *address, None)),
        Expr::Masquerade => with("masq", &|_| {}),
        Expr::Redirect(port) => with("redir", &|data| {
            data.put_be32(1, register(*port));
        }),
        Expr::Tproxy(address, port) => with("tproxy", &|data| {
            data.put_be32(1, u32::from(FAMILY))
                .put_be32(2, register(*address))
                .put_be32(3, register(*port));
        }),
        Expr::Reject(reject) => with("reject", &|data| refuse(data, *reject)),
        Expr::Counter => with("counter", &|_| {}),
        Expr::Verdict(verdict) => with("immediate", &|data| {
            data.put_be32(1, VERDICT_REGISTER);
            data.nest(2, |inner| put_verdict(inner, verdict));
        }),
    }
}

fn payload(data: &mut Builder, base: u32, offset: u32, length: u32, reg: Reg) {
    data.put_be32(1, register(reg))
        .put_be32(2, base)
        .put_be32(3, offset)
        .put_be32(4, length);
}

fn mask_register(data: &mut Builder, reg: Reg, mask: &[u8]) {
    data.put_be32(1, register(reg))
        .put_be32(2, register(reg))
        .put_be32(3, mask.len() as u32);
    data.nest(4, |inner| {
        inner.put(1, mask);
    });
    data.nest(5, |inner| {
        inner.put(1, &vec![0; mask.len()]);
    });
}

fn compare(data: &mut Builder, reg: Reg, op: Cmp, value: &[u8]) {
    data.put_be32(1, register(reg)).put_be32(2, op as u32);
    data.nest(3, |inner| {
        inner.put(1, value);
    });
}

fn nat(data: &mut Builder, kind: u32, address: Reg, port: Option<Reg>) {
    data.put_be32(1, kind)
        .put_be32(2, u32::from(FAMILY))
        .put_be32(3, register(address));
    if let Some(port) = port {
        data.put_be32(5, register(port));
    }
}

fn refuse(data: &mut Builder, reject: Reject) {
    match reject {
        Reject::Icmp(code) => data.put_be32(1, 0).put_u8(2, code),
        Reject::TcpReset => data.put_be32(1, 1),
    };
}
