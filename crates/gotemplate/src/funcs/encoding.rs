//! Base64 and base32.

use super::{Functions, S, s};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) fn register(table: &mut Functions) {
    table.add("b64enc", &[S], |_, args| {
        Ok(STANDARD.encode(s(&args[0])).into())
    });
    table.add("b64dec", &[S], |_, args| {
        Ok(match base64_decode(s(&args[0])) {
            Ok(bytes) => bytes.into(),
            Err(at) => format!("illegal base64 data at input byte {at}").into(),
        })
    });
    table.add("b32enc", &[S], |_, args| {
        Ok(base32_encode(s(&args[0])).into())
    });
    table.add("b32dec", &[S], |_, args| {
        Ok(match base32_decode(s(&args[0])) {
            Ok(bytes) => bytes.into(),
            Err(at) => format!("illegal base32 data at input byte {at}").into(),
        })
    });
}

/// Go's decoder: line ends are skipped, padding is asked for. An error is the
/// offset that Go reports.
pub(crate) fn base64_decode(input: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(input.len() / 4 * 3);
    let mut at = 0;
    let skip = |at: &mut usize| {
        while matches!(input.get(*at), Some(b'\r' | b'\n')) {
            *at += 1;
        }
    };
    loop {
        let mut quantum = [0u8; 4];
        let mut filled = 0;
        while filled < 4 {
            skip(&mut at);
            let Some(&byte) = input.get(at) else {
                return if filled == 0 {
                    Ok(out)
                } else {
                    Err(at - filled)
                };
            };
            at += 1;
            match base64_digit(byte) {
                Some(digit) => {
                    quantum[filled] = digit;
                    filled += 1;
                }
                None if byte != b'=' => return Err(at - 1),
                None if filled < 2 => return Err(at - 1),
                None => {
                    if filled == 2 {
                        skip(&mut at);
                        if at == input.len() {
                            return Err(input.len());
                        }
                        if input[at] != b'=' {
                            return Err(at - 1);
                        }
                        at += 1;
                    }
                    skip(&mut at);
                    if at < input.len() {
                        return Err(at);
                    }
                    push_quantum(&mut out, quantum, filled);
                    return Ok(out);
                }
            }
        }
        push_quantum(&mut out, quantum, 4);
    }
}

fn push_quantum(out: &mut Vec<u8>, quantum: [u8; 4], filled: usize) {
    let number = quantum
        .iter()
        .fold(0u32, |number, digit| number << 6 | u32::from(*digit));
    out.extend(&number.to_be_bytes()[1..filled]);
}

fn base64_digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 5];
        block[..chunk.len()].copy_from_slice(chunk);
        let number = block
            .iter()
            .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let digits = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let digit = (number >> (35 - 5 * at)) & 31;
            out.push(if at < digits {
                BASE32[digit as usize]
            } else {
                b'='
            });
        }
    }
    out
}

fn base32_decode(input: &[u8]) -> Result<Vec<u8>, usize> {
    let clean: Vec<u8> = input
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let digits = clean.iter().take_while(|byte| **byte != b'=').count();
    let padding = clean.len() - digits;
    if !clean.len().is_multiple_of(8) || padding > 6 {
        return Err(digits);
    }
    let mut out = Vec::new();
    let (mut buffer, mut bits) = (0u64, 0);
    for (at, byte) in clean[..digits].iter().enumerate() {
        let Some(digit) = BASE32.iter().position(|known| known == byte) else {
            return Err(at);
        };
        buffer = buffer << 5 | digit as u64;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((buffer >> bits) as u8);
        }
    }
    if clean[digits..].iter().any(|byte| *byte != b'=') {
        return Err(digits);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_errors_name_the_byte() {
        assert_eq!(base64_decode(b"aGk="), Ok(b"hi".to_vec()));
        assert_eq!(base64_decode(b"aG\nk="), Ok(b"hi".to_vec()));
        assert_eq!(base64_decode(b"aGk"), Err(0));
        assert_eq!(base64_decode(b"a*k="), Err(1));
        assert_eq!(base64_decode(b""), Ok(vec![]));
    }

    #[test]
    fn base32_round_trip() {
        for text in ["", "a", "ab", "abc", "abcd", "abcde", "hello world"] {
            assert_eq!(
                base32_decode(&base32_encode(text.as_bytes())),
                Ok(text.into())
            );
        }
    }
}
