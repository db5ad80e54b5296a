//! Sprig's private keys, after `parsePrivateKeyPEM` and `generatePrivateKey` of
//! its `crypto.go`: RSA (PKCS #1), EC (RFC 5915), DSA, and the rest (PKCS #8).
//!
//! Main type: [`Key`]. Not here: certificates (`certs`).

use super::random::source;
use super::{Answer, pem};
use crate::error::Error;
use crate::exec::Executor;
use rcgen::KeyPair;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};

/// A private key, and its PEM text as upstream writes it.
pub(super) struct Key {
    /// What signs; a DSA key does not.
    pub(super) pair: Option<KeyPair>,
    /// The text.
    pub(super) pem: String,
}

impl Key {
    /// Reads the first block of a PEM text.
    ///
    /// # Errors
    ///
    /// In sprig's words; what the bytes lack is said in ours.
    pub(super) fn parse(text: &[u8]) -> Result<Key, String> {
        let block = pem::decode(text).ok_or("no PEM data in input")?;
        let label = &*block.label;
        if label == "PRIVATE KEY" {
            return from_pkcs8(&block.bytes)
                .map_err(|error| format!("decoding PEM as PKCS#8: {error}"));
        }
        let kind = label
            .strip_suffix(" PRIVATE KEY")
            .ok_or_else(|| format!("no private key data in PEM block of type {label}"))?;
        let wrap = |error: String| format!("parsing {kind} private key from PEM: {error}");
        match kind {
            "RSA" => {
                let key = RsaPrivateKey::from_pkcs1_der(&block.bytes);
                rsa_key(&key.map_err(|error| wrap(error.to_string()))?).map_err(wrap)
            }
            "EC" => ec_key(&block.bytes).map_err(wrap),
            "DSA" => match block.bytes.as_slice() {
                // A sequence; nobody looks further, as it signs nothing.
                [0x30, _, ..] => Ok(Key {
                    pair: None,
                    pem: pem::encode(label, &block.bytes),
                }),
                [] | [_] => Err(wrap("asn1: syntax error: truncated tag or length".into())),
                _ => Err(wrap("asn1: structure error: tags don't match".into())),
            },
            _ => Err(format!("invalid private key type {label}")),
        }
    }

    /// Returns what signs.
    ///
    /// # Errors
    ///
    /// In the words of `crypto/x509`.
    pub(super) fn signer(&self) -> Result<&KeyPair, Error> {
        self.pair.as_ref().ok_or_else(|| {
            "error creating certificate: x509: certificate private key does not implement crypto.Signer".into()
        })
    }
}

fn from_pkcs8(der: &[u8]) -> Result<Key, String> {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_der(der) {
        return rsa_key(&key);
    }
    if let Some(ec) = sec1(der) {
        return ec_key(&ec);
    }
    let pair = KeyPair::try_from(der).map_err(|error| error.to_string())?;
    let pem = pem::encode("PRIVATE KEY", der);
    Ok(Key {
        pair: Some(pair),
        pem,
    })
}

fn rsa_key(key: &RsaPrivateKey) -> Result<Key, String> {
    let pkcs8 = key.to_pkcs8_der().map_err(|error| error.to_string())?;
    let pair = KeyPair::try_from(pkcs8.as_bytes()).map_err(|error| error.to_string())?;
    let pkcs1 = key.to_pkcs1_der().map_err(|error| error.to_string())?;
    Ok(Key {
        pair: Some(pair),
        pem: pem::encode("RSA PRIVATE KEY", pkcs1.as_bytes()),
    })
}

/// A curve: its identifier (RFC 5480, section 2.1.1.1), and how many bytes a
/// scalar has.
struct Curve {
    oid: &'static [u8],
    bytes: usize,
}

/// The curves that a certificate can be signed with here.
const CURVES: [Curve; 2] = [
    // secp256r1
    Curve {
        oid: &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        bytes: 32,
    },
    // secp384r1
    Curve {
        oid: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
        bytes: 48,
    },
];

/// `id-ecPublicKey` (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// Scalar and public point of an elliptic curve's key.
struct EcKey<'d> {
    curve: &'static Curve,
    scalar: &'d [u8],
    point: &'d [u8],
}

impl<'d> EcKey<'d> {
    /// Finds the parts in any DER that holds an `ECPrivateKey` (RFC 5915): the
    /// scalar follows the version, the point is a bit string.
    fn find(der: &'d [u8]) -> Option<EcKey<'d>> {
        let curve = CURVES
            .iter()
            .find(|curve| memchr::memmem::find(der, curve.oid).is_some())?;
        let size = curve.bytes as u8;
        let after = |tag: &[u8], length: usize| {
            let at = memchr::memmem::find(der, tag)? + tag.len();
            der.get(at..at + length)
        };
        let scalar = after(&[0x02, 0x01, 0x01, 0x04, size], curve.bytes)?;
        let point = after(&[0x03, 2 * size + 2, 0x00], 2 * curve.bytes + 1)?;
        Some(EcKey {
            curve,
            scalar,
            point,
        })
    }

    /// `ECPrivateKey`; the older file names its curve, PKCS #8 does so outside.
    fn der(&self, with_curve: bool) -> Vec<u8> {
        let mut parts = vec![0x02, 0x01, 0x01];
        parts.extend(tagged(0x04, self.scalar));
        if with_curve {
            parts.extend(tagged(0xa0, self.curve.oid));
        }
        let point = [&[0x00], self.point].concat();
        parts.extend(tagged(0xa1, &tagged(0x03, &point)));
        tagged(0x30, &parts)
    }

    /// `PrivateKeyInfo` (RFC 5208, section 5).
    fn pkcs8(&self) -> Vec<u8> {
        let algorithm = [EC_PUBLIC_KEY, self.curve.oid].concat();
        let mut parts = vec![0x02, 0x01, 0x00];
        parts.extend(tagged(0x30, &algorithm));
        parts.extend(tagged(0x04, &self.der(false)));
        tagged(0x30, &parts)
    }
}

/// A DER value: tag, length, contents (X.690, section 8.1).
fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(contents);
    out
}

fn ec_key(der: &[u8]) -> Result<Key, String> {
    let key = EcKey::find(der).ok_or("x509: unknown elliptic curve")?;
    let pair = KeyPair::try_from(key.pkcs8()).map_err(|error| error.to_string())?;
    Ok(Key {
        pair: Some(pair),
        pem: pem::encode("EC PRIVATE KEY", &key.der(true)),
    })
}

/// The older form of an elliptic curve's key in PKCS #8.
fn sec1(pkcs8: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(pkcs8, EC_PUBLIC_KEY)?;
    Some(EcKey::find(pkcs8)?.der(true))
}

/// Gives `rsa` the random numbers of this rendering.
struct Bridge<'r>(&'r mut rand::rngs::StdRng);

impl rsa::rand_core::RngCore for Bridge<'_> {
    fn next_u32(&mut self) -> u32 {
        rand::RngCore::next_u32(self.0)
    }
    fn next_u64(&mut self) -> u64 {
        rand::RngCore::next_u64(self.0)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(self.0, bytes);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

// `StdRng` is a cryptographic generator.
impl rsa::rand_core::CryptoRng for Bridge<'_> {}

/// Makes an RSA key.
///
/// # Errors
///
/// In sprig's words.
pub(super) fn new_rsa(exec: &mut Executor<'_>, bits: usize) -> Result<Key, Error> {
    RsaPrivateKey::new(&mut Bridge(source(exec)), bits)
        .map_err(|error| error.to_string())
        .and_then(|key| rsa_key(&key))
        .map_err(|error| Error::message(format!("error generating rsa key: {error}")))
}

/// `genPrivateKey`.
pub(super) fn generate(exec: &mut Executor<'_>, kind: &str) -> Answer {
    let failed = |error: String| Error::message(format!("failed to generate private key: {error}"));
    let pair = |algorithm| {
        KeyPair::generate_for(algorithm).map_err(|error: rcgen::Error| failed(error.to_string()))
    };
    let key = match kind {
        "" | "rsa" => new_rsa(exec, 4096)?,
        "dsa" => Key {
            pair: None,
            pem: new_dsa(exec),
        },
        "ecdsa" => {
            from_pkcs8(&pair(&rcgen::PKCS_ECDSA_P256_SHA256)?.serialize_der()).map_err(failed)?
        }
        "ed25519" => Key {
            // Upstream's PKCS #8 is the first version: without the public key.
            pem: pem::encode("PRIVATE KEY", &pkcs8_seed(&pair(&rcgen::PKCS_ED25519)?)),
            pair: None,
        },
        other => return Ok(format!("Unknown type {other}").into()),
    };
    Ok(key.pem.into())
}

/// A key of 2048 bits, its subgroup of 256, as upstream's `DSA PRIVATE KEY`.
fn new_dsa(exec: &mut Executor<'_>) -> String {
    let mut random = Bridge(source(exec));
    let components = dsa::Components::generate(&mut random, dsa::KeySize::DSA_2048_256);
    let key = dsa::SigningKey::generate(&mut random, components);
    let public = key.verifying_key();
    let components = public.components();
    let mut parts = vec![0x02, 0x01, 0x00];
    for number in [
        components.p(),
        components.q(),
        components.g(),
        public.y(),
        key.x(),
    ] {
        let mut bytes = number.to_bytes_be();
        if bytes.first().is_some_and(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        parts.extend(tagged(0x02, &bytes));
    }
    pem::encode("DSA PRIVATE KEY", &tagged(0x30, &parts))
}

/// `PrivateKeyInfo` of an Ed25519 key (RFC 8410, section 7), version 1.
fn pkcs8_seed(pair: &KeyPair) -> Vec<u8> {
    let der = pair.serialize_der();
    let seed = memchr::memmem::find(&der, &[0x04, 0x20])
        .and_then(|at| der.get(at + 2..at + 34))
        .unwrap_or_default();
    let mut parts = vec![0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    parts.extend(tagged(0x04, &tagged(0x04, seed)));
    tagged(0x30, &parts)
}
