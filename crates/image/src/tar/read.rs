//! The reader: [`TarReader`] yields headers; between two headers it reads as
//! the member's content.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::{BLOCK, Kind, Member, XATTR_PREFIX};

/// Longest path or link target; PATH_MAX of Linux.
const PATH_LENGTH_MAX: u64 = 4096;
/// Longest pax header: room for a path, a link and extended attributes.
const PAX_LENGTH_MAX: u64 = 1 << 20;

/// A stream that is no tar archive, or one this reader does not accept.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// Reading failed.
    #[error("cannot read the archive")]
    Io(#[from] io::Error),
    /// The stream ends inside a member.
    #[error("the archive ends in the middle of {member}")]
    Truncated {
        /// Which member.
        member: String,
    },
    /// A header is broken.
    #[error("broken tar header after {after}: {reason}")]
    Header {
        /// The last good member.
        after: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Reads a tar stream member by member.
pub struct TarReader<R> {
    inner: R,
    /// Content bytes of the current member not yet read.
    remaining: u64,
    /// Zero bytes after the content, up to the block's end.
    padding: u64,
    /// Path of the last member, for messages.
    last: String,
    finished: bool,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse: bool,
}

impl<R: Read> TarReader<R> {
    /// Starts at the beginning of a stream.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            remaining: 0,
            padding: 0,
            last: "the start".to_owned(),
            finished: false,
        }
    }

    /// Returns the next member, skipping what is left of the current one;
    /// `None` at the end of the archive.
    ///
    /// # Errors
    ///
    /// Fails on a broken or truncated stream; the reader is then of no use.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        let mut extensions = Extensions::default();
        while !self.finished {
            self.skip_rest()?;
            let mut header = [0; BLOCK];
            if !self.read_header(&mut header)? {
                self.finished = true;
                break;
            }
            let size = self.number(&header[124..136], "size")?;
            match header[156] {
                b'L' => extensions.path = Some(self.long_text(size)?),
                b'K' => extensions.link = Some(self.long_text(size)?),
                b'x' => self.pax(size, &mut extensions)?,
                // A global header sets defaults; nothing it may set (a comment,
                // usually) is used here.
                b'g' | b'V' => self.start_content(size),
                b'S' => return Err(self.fail("sparse members are not supported")),
                _ => return self.member(&header, size, extensions).map(Some),
            }
        }
        Ok(None)
    }

    /// Returns the stream below.
    pub(crate) fn inner_ref(&self) -> &R {
        &self.inner
    }

    fn read_header(&mut self, header: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let count = read_full(&mut self.inner, header)?;
        if count == 0 {
            return Ok(false);
        }
        if count < BLOCK {
            return Err(self.truncated());
        }
        // Two zero blocks end an archive; one is enough for every other reader.
        if header.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        self.check_sum(header)?;
        Ok(true)
    }

    // The sum is taken with the checksum field as spaces; old writers added
    // signed bytes.
    fn check_sum(&self, header: &[u8; BLOCK]) -> Result<(), TarError> {
        let stated = self.number(&header[148..156], "checksum")?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in header.iter().enumerate() {
            let byte = match index {
                148..156 => b' ',
                _ => *byte,
            };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        match i64::try_from(stated) {
            Ok(stated) if stated == unsigned || stated == signed => Ok(()),
            _ => Err(self.fail("the checksum is wrong")),
        }
    }

    fn member(
        &mut self,
        header: &[u8; BLOCK],
        size: u64,
        extensions: Extensions,
    ) -> Result<Member, TarError> {
        if extensions.sparse {
            return Err(self.fail("sparse members are not supported"));
        }
        let path = match extensions.path {
            Some(path) => path,
            None => header_path(header),
        };
        if path.is_empty() {
            return Err(self.fail("a member has no name"));
        }
        if path.contains(&0) {
            return Err(self.fail("a name holds a NUL"));
        }
        self.last = String::from_utf8_lossy(&path).into_owned();
        let kind = match header[156] {
            // Before ustar a directory was a file with a slash at its end.
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(self.fail("a member is of an unknown type")),
        };
        let size = extensions.size.unwrap_or(size);
        // Only files have content; some writers put a size on links.
        let content = match kind {
            Kind::File => size,
            _ => 0,
        };
        self.start_content(content);
        Ok(Member {
            kind,
            link: extensions
                .link
                .unwrap_or_else(|| until_nul(&header[157..257])),
            mode: (self.number(&header[100..108], "mode")? & 0o7777) as u32,
            uid: self.id(extensions.uid, &header[108..116])?,
            gid: self.id(extensions.gid, &header[116..124])?,
            size: content,
            mtime: match extensions.mtime {
                Some(mtime) => mtime,
                None => self.time(&header[136..148])?,
            },
            xattrs: extensions.xattrs,
            path,
        })
    }

    fn id(&self, extension: Option<u64>, field: &[u8]) -> Result<u32, TarError> {
        let number = match extension {
            Some(number) => number,
            None => self.number(field, "owner")?,
        };
        u32::try_from(number).map_err(|_| self.fail("an owner is out of range"))
    }

    // A time before 1970 is written in base 256 with the sign bit; it becomes
    // 1970.
    fn time(&self, field: &[u8]) -> Result<i64, TarError> {
        if field[0] == 0xff {
            return Ok(0);
        }
        let seconds = self.number(field, "time")?;
        i64::try_from(seconds).map_err(|_| self.fail("a time is out of range"))
    }

    // Octal text, or base 256 behind a set top bit (GNU).
    fn number(&self, field: &[u8], what: &'static str) -> Result<u64, TarError> {
        if field[0] & 0x80 != 0 {
            return base_256(field).ok_or_else(|| self.fail("a number is out of range"));
        }
        octal(field).ok_or(TarError::Header {
            after: self.last.clone(),
            reason: match what {
                "size" => "the size is no number",
                "checksum" => "this is no tar archive",
                "mode" => "the mode is no number",
                "time" => "the time is no number",
                _ => "the owner is no number",
            },
        })
    }

    fn long_text(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        // One more for the NUL at the end.
        let mut text = self.extension(size, PATH_LENGTH_MAX + 1)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    fn pax(&mut self, size: u64, extensions: &mut Extensions) -> Result<(), TarError> {
        let records = self.extension(size, PAX_LENGTH_MAX)?;
        let mut rest = records.as_slice();
        while !rest.is_empty() {
            let (key, value, next) =
                pax_record(rest).ok_or_else(|| self.fail("a pax record is broken"))?;
            self.pax_record(key, value, extensions)?;
            rest = next;
        }
        Ok(())
    }

    fn pax_record(
        &self,
        key: &[u8],
        value: &[u8],
        extensions: &mut Extensions,
    ) -> Result<(), TarError> {
        let whole = || {
            let text = std::str::from_utf8(value).ok();
            let whole = text.and_then(|text| text.split('.').next());
            whole
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| self.fail("a pax number is broken"))
        };
        let positive =
            || u64::try_from(whole()?).map_err(|_| self.fail("a pax number is negative"));
        match key {
            b"path" | b"linkpath" if value.len() as u64 > PATH_LENGTH_MAX => {
                return Err(self.fail("a name is longer than 4096 bytes"));
            }
            b"path" => extensions.path = Some(value.to_vec()),
            b"linkpath" => extensions.link = Some(value.to_vec()),
            b"size" => extensions.size = Some(positive()?),
            b"uid" => extensions.uid = Some(positive()?),
            b"gid" => extensions.gid = Some(positive()?),
            b"mtime" => extensions.mtime = Some(whole()?.max(0)),
            _ if key.starts_with(b"GNU.sparse.") => extensions.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    extensions.xattrs.insert(name.to_vec(), value.to_vec());
                }
            }
        }
        Ok(())
    }

    fn extension(&mut self, size: u64, size_max: u64) -> Result<Vec<u8>, TarError> {
        if size > size_max {
            return Err(self.fail("an extended header is too long"));
        }
        self.start_content(size);
        let mut content = vec![0; size as usize];
        let count = read_full(&mut self.inner, &mut content)?;
        self.remaining -= count as u64;
        match self.remaining {
            0 => Ok(content),
            _ => Err(self.truncated()),
        }
    }

    fn start_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let mut scratch = [0; 16 << 10];
        while self.remaining > 0 {
            if self.read(&mut scratch)? == 0 {
                return Err(self.truncated());
            }
        }
        let padding = std::mem::take(&mut self.padding) as usize;
        match read_full(&mut self.inner, &mut scratch[..padding])? {
            count if count == padding => Ok(()),
            _ => Err(self.truncated()),
        }
    }

    fn truncated(&self) -> TarError {
        TarError::Truncated {
            member: self.last.clone(),
        }
    }

    fn fail(&self, reason: &'static str) -> TarError {
        TarError::Header {
            after: self.last.clone(),
            reason,
        }
    }
}

/// Reads the content of the current member.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer
            .len()
            .min(self.remaining.min(usize::MAX as u64) as usize);
        if limit == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..limit])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the archive ends in the middle of {}", self.last),
            ));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn header_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // GNU's own format (magic "ustar  ") uses the prefix field for times.
    let posix = &header[257..263] == b"ustar\0";
    if !posix || prefix.is_empty() {
        return name;
    }
    let mut path = prefix;
    path.push(b'/');
    path.extend_from_slice(&name);
    path
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    let end = field.iter().position(|byte| *byte == 0);
    field[..end.unwrap_or(field.len())].to_vec()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(['\0', ' ']);
    match text {
        "" => Some(0),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => u64::from_str_radix(text, 8).ok(),
        _ => None,
    }
}

fn base_256(field: &[u8]) -> Option<u64> {
    let mut number = u64::from(field[0] & 0x7f);
    for byte in &field[1..] {
        number = number.checked_mul(256)?.checked_add(u64::from(*byte))?;
    }
    Some(number)
}

// "<length> <key>=<value>\n", the length counting itself.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
