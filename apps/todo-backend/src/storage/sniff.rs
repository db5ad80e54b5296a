//! What a file is, by its content; its name and declared type count nothing.

/// A kind of file that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Ending of its name.
    pub ending: &'static str,
    /// Type it is served with.
    pub content_type: &'static str,
    /// Whether it is a picture.
    pub picture: bool,
}

/// All kinds.
pub const KINDS: [Kind; 5] = [
    Kind {
        ending: "png",
        content_type: "image/png",
        picture: true,
    },
    Kind {
        ending: "jpg",
        content_type: "image/jpeg",
        picture: true,
    },
    Kind {
        ending: "webp",
        content_type: "image/webp",
        picture: true,
    },
    Kind {
        ending: "pdf",
        content_type: "application/pdf",
        picture: false,
    },
    Kind {
        ending: "txt",
        content_type: "text/plain; charset=utf-8",
        picture: false,
    },
];

/// Returns the kind of a file, or `None` for what is not accepted.
pub fn sniff(bytes: &[u8]) -> Option<Kind> {
    let [png, jpg, webp, pdf, txt] = KINDS;
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some(png);
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Some(jpg);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some(webp);
    }
    if bytes.starts_with(b"%PDF-") {
        return Some(pdf);
    }
    is_text(bytes).then_some(txt)
}

fn is_text(bytes: &[u8]) -> bool {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    !bytes.is_empty() && std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            assert_eq!(sniff(bytes).map(|kind| kind.ending), expected, "{bytes:?}");
        };
        check(b"\x89PNG\r\n\x1a\nrest", Some("png"));
        check(b"\xff\xd8\xff\xe0", Some("jpg"));
        check(b"RIFF\0\0\0\0WEBPVP8 ", Some("webp"));
        check(b"%PDF-1.7", Some("pdf"));
        check("plain, é\n".as_bytes(), Some("txt"));
        check(b"\x7fELF\x02", None);
        check(b"MZ\x90\0", None);
        check(b"", None);
        check(b"\xff\xfe", None);
    }
}
