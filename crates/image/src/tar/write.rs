//! The writer: ustar headers, pax records only where ustar has no room.

use std::io::{self, Read, Write};

use super::{BLOCK, Kind, Member, XATTR_PREFIX};

const OCTAL_7_MAX: u64 = 0o7_777_777;
const OCTAL_11_MAX: u64 = 0o77_777_777_777;

/// Writes a tar stream; the same members give the same bytes.
pub struct TarWriter<W> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes a member without content.
    ///
    /// # Errors
    ///
    /// Fails when writing fails.
    pub fn member(&mut self, member: &Member) -> io::Result<()> {
        self.header(member)
    }

    /// Writes a file, whose content must have `member.size` bytes.
    ///
    /// # Errors
    ///
    /// Fails when writing fails, or when the content has another length.
    pub fn file(&mut self, member: &Member, content: &mut dyn Read) -> io::Result<()> {
        self.header(member)?;
        let mut buffer = vec![0; (member.size.clamp(1, 256 << 10)) as usize];
        let mut left = member.size;
        while left > 0 {
            let limit = buffer.len().min(left.min(usize::MAX as u64) as usize);
            match content.read(&mut buffer[..limit])? {
                0 => return Err(changed(member, "shorter")),
                count => {
                    self.inner.write_all(&buffer[..count])?;
                    left -= count as u64;
                }
            }
        }
        if content.read(&mut [0])? != 0 {
            return Err(changed(member, "longer"));
        }
        self.pad(member.size)
    }

    /// Ends the archive and returns the writer below.
    ///
    /// # Errors
    ///
    /// Fails when writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn header(&mut self, member: &Member) -> io::Result<()> {
        let records = pax_records(member);
        if !records.is_empty() {
            let mut extended = Member::new(&b"PaxHeaders"[..], Kind::File, 0o644);
            extended.size = records.len() as u64;
            self.inner.write_all(&block(&extended, b'x'))?;
            self.inner.write_all(&records)?;
            self.pad(extended.size)?;
        }
        self.inner.write_all(&block(member, type_flag(member.kind)))
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.inner.write_all(&[0; BLOCK][..padding])
    }
}

fn changed(member: &Member, how: &str) -> io::Error {
    let path = String::from_utf8_lossy(&member.path);
    io::Error::other(format!("{path} became {how} while it was read"))
}

fn type_flag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

fn pax_records(member: &Member) -> Vec<u8> {
    let mut records = Vec::new();
    let number = |value: u64, max: u64| (value > max).then(|| value.to_string().into_bytes());
    if let Some(gid) = number(u64::from(member.gid), OCTAL_7_MAX) {
        record(&mut records, b"gid", &gid);
    }
    if member.link.len() > 100 {
        record(&mut records, b"linkpath", &member.link);
    }
    if member.path.len() > 100 {
        record(&mut records, b"path", &member.path);
    }
    if let Some(size) = number(member.size, OCTAL_11_MAX) {
        record(&mut records, b"size", &size);
    }
    if let Some(uid) = number(u64::from(member.uid), OCTAL_7_MAX) {
        record(&mut records, b"uid", &uid);
    }
    for (name, value) in &member.xattrs {
        record(&mut records, &[XATTR_PREFIX, name].concat(), value);
    }
    records
}

fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn block(member: &Member, flag: u8) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    put_text(&mut header[..100], &member.path);
    put_octal(&mut header[100..108], u64::from(member.mode & 0o7777));
    put_octal(
        &mut header[108..116],
        u64::from(member.uid).min(OCTAL_7_MAX),
    );
    put_octal(
        &mut header[116..124],
        u64::from(member.gid).min(OCTAL_7_MAX),
    );
    put_octal(&mut header[124..136], member.size.min(OCTAL_11_MAX));
    put_octal(&mut header[136..148], member.mtime.max(0).unsigned_abs());
    header[156] = flag;
    put_text(&mut header[157..257], &member.link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    header[148..156].copy_from_slice(text.as_bytes());
    header
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

fn put_octal(field: &mut [u8], number: u64) {
    let text = format!("{number:0width$o}", width = field.len() - 1);
    field[..text.len()].copy_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::TarReader;
    use super::*;

    fn round_trip(members: &[(Member, &[u8])]) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        for (member, mut content) in members.iter().cloned() {
            match member.kind {
                Kind::File => writer.file(&member, &mut content).expect("writes"),
                _ => writer.member(&member).expect("writes"),
            }
        }
        let bytes = writer.finish().expect("finishes");
        let mut reader = TarReader::new(bytes.as_slice());
        for (member, content) in members {
            let read = reader.next_member().expect("reads").expect("present");
            assert_eq!(&read, member);
            let mut got = Vec::new();
            reader.read_to_end(&mut got).expect("content");
            assert_eq!(&got, content);
        }
        assert_eq!(reader.next_member().expect("reads"), None);
        bytes
    }

    fn file(path: &str, size: usize) -> Member {
        let mut member = Member::new(path, Kind::File, 0o4755);
        member.size = size as u64;
        member
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "d/".repeat(120) + "name";
        let mut big_owner = file("owner", 3);
        (big_owner.uid, big_owner.gid) = (3_000_000, 4_000_000_000);
        let mut labelled = file("labelled", 0);
        labelled
            .xattrs
            .insert(b"user.a".to_vec(), vec![0, b'=', b'\n', 255]);
        let mut link = Member::new("link", Kind::Symlink, 0o777);
        link.link = long.clone().into_bytes();
        let mut hard = Member::new("hard", Kind::HardLink, 0o644);
        hard.link = b"a".to_vec();
        round_trip(&[
            (Member::new("d", Kind::Directory, 0o755), b""),
            (file("a", 5), b"hello"),
            (file(&long, 513), &[7; 513]),
            (big_owner, b"abc"),
            (labelled, b""),
            (link, b""),
            (hard, b""),
            (Member::new("p", Kind::Fifo, 0o600), b""),
        ]);
    }

    #[test]
    fn bytes_never_change_between_versions() {
        let bytes = round_trip(&[
            (Member::new("app", Kind::Directory, 0o755), b""),
            (file("app/run", 2), b"hi"),
        ]);
        assert_eq!(
            crate::digest::Digest::of(&bytes).to_string(),
            "sha256:5c7f86f3dc6ae04ad67f26bc799a0e372069344b61caa65dda7628009bc3ff3f"
        );
    }

    #[test]
    fn content_of_another_length_is_refused() {
        for content in [&b"ab"[..], &b"abcd"[..]] {
            let mut writer = TarWriter::new(Vec::new());
            let error = writer
                .file(&file("f", 3), &mut &content[..])
                .expect_err("length");
            assert!(error.to_string().contains("while it was read"), "{error}");
        }
    }

    #[test]
    fn broken_streams_end_in_errors_not_panics() {
        let good = round_trip(&[(file("a", 600), &[1; 600]), (file("b", 1), b"x")]);
        for length in 0..good.len() - 1024 {
            let mut reader = TarReader::new(&good[..length]);
            while let Ok(Some(_)) = reader.next_member() {}
        }
        for index in (0..good.len()).step_by(7) {
            let mut bytes = good.clone();
            bytes[index] ^= 0x81;
            let mut reader = TarReader::new(bytes.as_slice());
            while let Ok(Some(_)) = reader.next_member() {}
        }
        let mut reader = TarReader::new(&b"no tar at all"[..]);
        assert!(reader.next_member().is_err());
    }
}
