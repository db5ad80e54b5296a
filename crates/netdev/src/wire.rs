//! The netlink message format: building and reading.
//!
//! Header of 16 bytes (length, type, flags, sequence, port), a fixed part of
//! the family, then attributes of (u16 length, u16 type, value) padded to four
//! bytes. See `man 7 netlink`. Nothing here knows a family or opens a socket.

/// `NLM_F_REQUEST`: every request carries it.
pub const REQUEST: u16 = 0x01;
/// `NLM_F_ACK`: answer even when it went well.
pub const ACK: u16 = 0x04;
/// `NLM_F_DUMP`: return every object.
pub const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`: put it in place of an existing object.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: refuse when the object exists.
pub const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make it when it does not exist.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: put it at the end of its list.
pub const APPEND: u16 = 0x800;

/// `NLM_F_CAPPED`: an error answer carries only the header of its request.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: an error answer carries attributes.
const ACK_TLVS: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: the text among them.
const ERROR_TEXT: u16 = 1;

/// `NLMSG_ERROR`: an acknowledgement or an error.
pub const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const KIND_DONE: u16 = 3;

const HEADER: usize = 16;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// Masks `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` away.
const TYPE_MASK: u16 = 0x3fff;

/// One message under construction.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Builder {
    /// Starts a message of a type with flags; `REQUEST` is added.
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Builder {
            bytes,
            too_long: false,
        }
    }

    /// Appends the family's fixed part.
    pub fn fixed(&mut self, part: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(part);
        self.pad();
        self
    }

    /// Appends an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).unwrap_or_else(|_| {
            self.too_long = true;
            4
        });
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Appends a byte.
    pub fn put_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.put(kind, &[value])
    }

    /// Appends a number in the machine's byte order, as rtnetlink wants it.
    pub fn put_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order, as nf_tables wants it.
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a long number in network byte order.
    pub fn put_be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Appends a text with its closing zero.
    pub fn put_str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Appends an attribute whose value is attributes (or whatever `fill` adds).
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self.pad();
        self
    }

    /// Returns the bytes so far, header included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether nothing but the header is there.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= HEADER
    }

    /// Closes the message. `None` when an attribute outgrew its 16-bit length.
    pub fn finish(mut self, sequence: u32) -> Option<Vec<u8>> {
        let length = u32::try_from(self.bytes.len()).ok()?;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        (!self.too_long).then_some(self.bytes)
    }

    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

/// One message as received.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The message type.
    pub kind: u16,
    /// The header's flags.
    pub flags: u16,
    /// The sequence number of the request it answers.
    pub sequence: u32,
    /// All behind the header.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// Returns the attributes behind a fixed part of `fixed` bytes.
    pub fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes {
            rest: self.body.get(fixed.next_multiple_of(4)..).unwrap_or(&[]),
        }
    }

    /// Reads an acknowledgement: zero or an error number, and the kernel's text.
    pub fn acknowledgement(&self) -> Option<(i32, Option<String>)> {
        let code = i32::from_ne_bytes(self.body.get(..4)?.try_into().ok()?);
        if self.flags & ACK_TLVS == 0 {
            return Some((code.wrapping_neg(), None));
        }
        let quoted = if self.flags & CAPPED != 0 {
            HEADER
        } else {
            let length = self.body.get(4..8)?.try_into().ok()?;
            (u32::from_ne_bytes(length) as usize).max(HEADER)
        };
        let offset = 4usize.checked_add(quoted)?.next_multiple_of(4);
        let text = self
            .attributes(offset)
            .find(|(kind, _)| *kind == ERROR_TEXT)
            .map(|(_, value)| text(value));
        Some((code.wrapping_neg(), text))
    }
}

/// Walks the messages of one received datagram.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Returns the messages of a datagram; stops at the first malformed one.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        let header = self.rest.get(..HEADER)?;
        let length = u32::from_ne_bytes(header[0..4].try_into().ok()?) as usize;
        if length < HEADER {
            return None;
        }
        let received = Received {
            kind: u16::from_ne_bytes(header[4..6].try_into().ok()?),
            flags: u16::from_ne_bytes(header[6..8].try_into().ok()?),
            sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
            body: self.rest.get(HEADER..length)?,
        };
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(received)
    }
}

/// Walks attributes as (type without flags, value).
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

/// Returns the attributes in a nested value; stops at the first malformed one.
pub fn attributes(value: &[u8]) -> Attributes<'_> {
    Attributes { rest: value }
}

impl<'a> Attributes<'a> {
    /// Returns the value of the first attribute of a type.
    pub fn get(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.rest.get(..4)?;
        let length = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// Reads a text up to its closing zero.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Reads a number in the machine's byte order.
pub fn ne_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
}

/// Reads a number in network byte order.
pub fn be_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_reads_back() {
        let mut builder = Builder::new(7, ACK);
        builder.fixed(&[1, 2, 3]).put_u32(1, 9).nest(2, |inner| {
            inner.put_str(3, "lo").put_u8(4, 5);
        });
        let bytes = builder.finish(42).expect("short");
        let received: Vec<_> = messages(&bytes).collect();
        assert_eq!(received.len(), 1);
        assert_eq!((received[0].kind, received[0].sequence), (7, 42));
        let all = received[0].attributes(3);
        assert_eq!(all.get(1).and_then(ne_u32), Some(9));
        let inner = attributes(all.get(2).expect("nested"));
        assert_eq!(inner.get(3).map(text).as_deref(), Some("lo"));
        assert_eq!(inner.get(4), Some(&[5u8][..]));
    }

    #[test]
    fn an_overlong_attribute_is_refused() {
        let mut builder = Builder::new(7, 0);
        builder.put(1, &vec![0; 70_000]);
        assert!(builder.finish(1).is_none());
        let mut builder = Builder::new(7, 0);
        builder.nest(1, |inner| {
            inner.put(1, &[0; 40_000]).put(1, &[0; 40_000]);
        });
        assert!(builder.finish(1).is_none());
    }

    #[test]
    fn garbage_ends_the_walk() {
        for length in 0..40 {
            for byte in [0u8, 1, 3, 16, 255] {
                let garbage = vec![byte; length];
                for received in messages(&garbage) {
                    let _ = received.acknowledgement();
                    let _ = received.attributes(4).count();
                }
                let _ = attributes(&garbage).count();
            }
        }
    }
}
