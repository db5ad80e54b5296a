//! Hands edits to the kernel as transactions.
//!
//! [`Sink`] is what a [`super::Table`] writes to: the [`Kernel`], or a double
//! that records. A transaction takes effect whole or not at all.

use super::diff::{Group, Op};
use super::encode;
use crate::error::{Error, Result};
use crate::socket::{self, Netlink};
use crate::wire::{self, Builder};

/// Takes the edits of a table.
pub trait Sink {
    /// Makes all edits, or none and returns why.
    ///
    /// Groups may take effect one after the other where they do not fit into
    /// one transaction; the error then says so by `partly`.
    fn commit(&mut self, table: &str, groups: &[Group]) -> Result<(), Failure>;
}

/// A refused transaction.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// Whether earlier groups have taken effect.
    pub partly: bool,
}

/// The kernel's nf_tables in the namespace the socket was opened in.
#[derive(Debug)]
pub struct Kernel {
    netlink: Netlink,
    /// Largest transaction in bytes; the socket's limit unless lowered.
    bytes_max: usize,
}

impl Kernel {
    /// Opens nf_tables in the calling thread's namespace.
    pub fn open() -> Result<Self> {
        let netlink = Netlink::netfilter()?;
        let bytes_max = netlink.send_bytes_max();
        Ok(Kernel { netlink, bytes_max })
    }

    /// Lowers the size of a transaction, for tests of the cutting.
    pub fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max.min(self.netlink.send_bytes_max());
    }

    pub(super) fn netlink(&mut self) -> &mut Netlink {
        &mut self.netlink
    }

    fn transact(&mut self, table: &str, mut transaction: Transaction<'_>) -> Result<()> {
        let object = subject(table, None);
        // One message must carry the acknowledgement flag: kernels before 6.10
        // do not acknowledge the end of a transaction. The last one does.
        let last = transaction.seal(table, &mut self.netlink)?;
        self.netlink.send(&transaction.bytes, &object)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = self.netlink.receive(&mut buffer, &object)?;
            for received in wire::messages(&buffer[..length]) {
                let about = transaction.find(received.sequence);
                // What is not ours is left over from an earlier, failed one.
                let (wire::KIND_ERROR, Some(op)) = (received.kind, about) else {
                    continue;
                };
                if !matches!(received.acknowledgement(), Some((0, _))) {
                    return socket::acknowledged(&received, &subject(table, op));
                }
                if received.sequence == last {
                    return Ok(());
                }
            }
        }
    }
}

impl Sink for Kernel {
    fn commit(&mut self, table: &str, groups: &[Group]) -> Result<(), Failure> {
        let mut partly = false;
        let mut waiting = Transaction::default();
        for group in groups {
            let fail = |error, partly| Err(Failure { error, partly });
            let mut next = match Transaction::of(table, group, &mut self.netlink) {
                Ok(next) => next,
                Err(error) => return fail(error, partly),
            };
            if !waiting.is_empty() && waiting.len() + next.len() > self.bytes_max {
                if let Err(error) = self.transact(table, std::mem::take(&mut waiting)) {
                    return fail(error, partly);
                }
                partly = true;
            }
            waiting.append(&mut next);
        }
        if waiting.is_empty() {
            return Ok(());
        }
        self.transact(table, waiting)
            .map_err(|error| Failure { error, partly })
    }
}

/// Messages with the edit each belongs to.
#[derive(Debug, Default)]
struct Transaction<'a> {
    bytes: Vec<u8>,
    /// Sequence numbers, rising, and what they are about; `None` for the frame.
    subjects: Vec<(u32, Option<&'a Op>)>,
}

/// Begin and end messages, and some.
const FRAME: usize = 64;

impl<'a> Transaction<'a> {
    fn of(table: &str, group: &'a [Op], netlink: &mut Netlink) -> Result<Self> {
        let mut transaction = Transaction::default();
        for op in group {
            let set_id = netlink.next_sequence();
            for message in encode::messages(table, op, set_id) {
                transaction.push(table, message, Some(op), netlink)?;
            }
        }
        Ok(transaction)
    }

    fn push(
        &mut self,
        table: &str,
        message: Builder,
        op: Option<&'a Op>,
        netlink: &mut Netlink,
    ) -> Result<()> {
        let sequence = netlink.next_sequence();
        let bytes = message
            .finish(sequence)
            .ok_or_else(|| Error::TooLong(subject(table, op)))?;
        self.bytes.extend_from_slice(&bytes);
        self.subjects.push((sequence, op));
        Ok(())
    }

    /// Puts begin and end around the messages; returns the last one's number.
    fn seal(&mut self, table: &str, netlink: &mut Netlink) -> Result<u32> {
        let last = self
            .subjects
            .last()
            .map(|(sequence, _)| *sequence)
            .ok_or(Error::Malformed("empty transaction"))?;
        self.acknowledge_last();
        let mut whole = Transaction::default();
        whole.push(table, encode::boundary(true), None, netlink)?;
        whole.append(self);
        whole.push(table, encode::boundary(false), None, netlink)?;
        *self = whole;
        Ok(last)
    }

    fn acknowledge_last(&mut self) {
        let mut at = 0;
        while let Some(length) = self.bytes.get(at..at + 4).and_then(wire::ne_u32) {
            let next = at + (length as usize).next_multiple_of(4);
            if next >= self.bytes.len() {
                self.bytes[at + 6] |= wire::ACK as u8;
                return;
            }
            at = next;
        }
    }

    fn append(&mut self, other: &mut Transaction<'a>) {
        self.bytes.append(&mut other.bytes);
        self.subjects.append(&mut other.subjects);
    }

    fn find(&self, sequence: u32) -> Option<Option<&'a Op>> {
        self.subjects
            .iter()
            .find(|(found, _)| *found == sequence)
            .map(|(_, op)| *op)
    }

    fn len(&self) -> usize {
        self.bytes.len() + FRAME
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn subject(table: &str, op: Option<&Op>) -> String {
    op.map_or_else(
        || format!("transaction of table {table}"),
        |op| encode::subject(table, op),
    )
}
