//! Seals records at the disk edge: ChaCha20-Poly1305 (RFC 8439) with the key
//! path and the revision authenticated, so that a record can neither be read
//! nor moved to another key or age. It does not keep the sealing key.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Which keys are sealed, and with what.
pub struct Seal {
    key: LessSafeKey,
    prefixes: Vec<String>,
    random: SystemRandom,
}

impl Seal {
    /// Returns a seal over every key that starts with one of `prefixes`.
    #[must_use]
    pub fn new(key: &[u8; 32], prefixes: Vec<String>) -> Seal {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)
            .expect("the key of this algorithm has 32 bytes");
        Seal {
            key: LessSafeKey::new(key),
            prefixes,
            random: SystemRandom::new(),
        }
    }

    /// Tells whether records under `key` are sealed.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        self.prefixes
            .iter()
            .any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Returns `nonce ‖ ciphertext ‖ tag`, or `None` if the system gives no randomness.
    pub(crate) fn close(&self, key: &str, header: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(plain);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated(key, header)),
                &mut sealed,
            )
            .ok()?;
        sealed.splice(0..0, nonce);
        Some(sealed)
    }

    /// Opens what [`Seal::close`] wrote; `None` if it was changed, moved or sealed with another key.
    pub(crate) fn open(&self, key: &str, header: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(associated(key, header)), &mut body)
            .ok()?
            .len();
        body.truncate(plain);
        Some(body)
    }
}

/// The header holds flags, revision and expiry at fixed widths, so the
/// concatenation is unambiguous.
fn associated(key: &str, header: &[u8]) -> Vec<u8> {
    [header, key.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_under_the_same_key_and_header() {
        let seal = Seal::new(&[7; 32], vec!["/secrets/".into()]);
        let sealed = seal.close("/secrets/a", &[1, 2], b"hidden").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"hidden"));
        assert_eq!(
            seal.open("/secrets/a", &[1, 2], &sealed).unwrap(),
            b"hidden"
        );
        assert!(seal.open("/secrets/b", &[1, 2], &sealed).is_none());
        assert!(seal.open("/secrets/a", &[1, 3], &sealed).is_none());
        assert!(
            Seal::new(&[8; 32], vec![])
                .open("/secrets/a", &[1, 2], &sealed)
                .is_none()
        );
        assert!(seal.open("/secrets/a", &[1, 2], &sealed[..5]).is_none());
    }
}
