//! Sprig's hashes, passwords and AES, after its `crypto.go`.

use super::{Answer, Functions, S, U, s, text};
use crate::error::Error;
use crate::exec::Executor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

pub(super) fn register(table: &mut Functions) {
    table.add("sha1sum", &[S], |_, args| {
        Ok(hex(&Sha1::digest(s(&args[0]))).into())
    });
    table.add("sha256sum", &[S], |_, args| {
        Ok(hex(&Sha256::digest(s(&args[0]))).into())
    });
    table.add("sha512sum", &[S], |_, args| {
        Ok(hex(&Sha512::digest(s(&args[0]))).into())
    });
    table.add("adler32sum", &[S], |_, args| {
        Ok(adler32(s(&args[0])).to_string().into())
    });
    table.add("bcrypt", &[S], |exec, args| {
        Ok(bcrypt_hash(exec, s(&args[0])).into())
    });
    table.add("htpasswd", &[S, S], |exec, args| {
        let user = text(&args[0]).into_owned();
        if user.contains(':') {
            return Ok(format!("invalid username: {user}").into());
        }
        let hash = bcrypt_hash(exec, s(&args[1]));
        Ok(format!("{user}:{hash}").into())
    });
    table.add("encryptAES", &[S, S], |exec, args| {
        encrypt_aes(exec, s(&args[0]), s(&args[1]))
    });
    table.add("decryptAES", &[S, S], |_, args| {
        decrypt_aes(s(&args[0]), s(&args[1]))
    });
    table.add("derivePassword", &[U, S, S, S, S], |_, args| {
        let [kind, password, user, site] = [1, 2, 3, 4].map(|at| text(&args[at]).into_owned());
        Ok(derive_password(super::int(&args[0]) as u32, &kind, &password, &user, &site).into())
    });
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    b << 16 | a
}

fn bcrypt_hash(exec: &mut Executor<'_>, password: &[u8]) -> String {
    if password.len() > 72 {
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
            .into();
    }
    let mut salt = [0u8; 16];
    rand::RngCore::fill_bytes(super::random::source(exec), &mut salt);
    match bcrypt::hash_with_salt(password, 10, salt) {
        Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
        Err(error) => format!("failed to encrypt string with bcrypt: {error}"),
    }
}

/// The key is cut or filled with zeros to 32 bytes.
fn aes_key(password: &[u8]) -> [u8; 32] {
    let mut key = [0u8; 32];
    let len = password.len().min(32);
    key[..len].copy_from_slice(&password[..len]);
    key
}

fn encrypt_aes(exec: &mut Executor<'_>, password: &[u8], plain: &[u8]) -> Answer {
    use cbc::cipher::{BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
    if plain.is_empty() {
        return Ok("".into());
    }
    let mut iv = [0u8; 16];
    rand::RngCore::fill_bytes(super::random::source(exec), &mut iv);
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&aes_key(password).into(), &iv.into());
    let sealed = cipher.encrypt_padded_vec_mut::<Pkcs7>(plain);
    Ok(STANDARD.encode([iv.as_slice(), &sealed].concat()).into())
}

fn decrypt_aes(password: &[u8], sealed: &[u8]) -> Answer {
    use cbc::cipher::{BlockDecryptMut, KeyIvInit, block_padding::NoPadding};
    if sealed.is_empty() {
        return Ok("".into());
    }
    let bytes = super::encoding::base64_decode(sealed)
        .map_err(|at| Error::message(format!("illegal base64 data at input byte {at}")))?;
    if bytes.len() < 16 || !bytes.len().is_multiple_of(16) {
        return Err("crypto/cipher: input not full blocks".into());
    }
    let (iv, body) = bytes.split_at(16);
    let iv: [u8; 16] = iv.try_into().unwrap_or_default();
    let cipher = cbc::Decryptor::<aes::Aes256>::new(&aes_key(password).into(), &iv.into());
    let mut plain = cipher
        .decrypt_padded_vec_mut::<NoPadding>(body)
        .map_err(|error| Error::message(error.to_string()))?;
    let padding = plain.last().map_or(0, |byte| usize::from(*byte));
    let Some(len) = plain.len().checked_sub(padding) else {
        return Err(format!("runtime error: slice bounds out of range [:-{padding}]").into());
    };
    plain.truncate(len);
    Ok(plain.into())
}

/// The templates of the Master Password algorithm, version 2 and later.
/// <https://gitlab.com/spectre.app/spectre> documents the letters.
fn password_templates(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

fn template_letters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

fn derive_password(counter: u32, kind: &str, password: &str, user: &str, site: &str) -> String {
    use hmac::Mac;
    const SEED: &[u8] = b"com.lyndir.masterpassword";
    let Some(templates) = password_templates(kind) else {
        return format!("cannot find password template {kind}");
    };
    let salt = [SEED, &(user.len() as u32).to_be_bytes(), user.as_bytes()].concat();
    let mut key = [0u8; 64];
    let Ok(params) = scrypt::Params::new(15, 8, 2, 64) else {
        return "failed to derive password".into();
    };
    if let Err(error) = scrypt::scrypt(password.as_bytes(), &salt, &params, &mut key) {
        return format!("failed to derive password: {error}");
    }
    let Ok(mut mac) = hmac::Hmac::<Sha256>::new_from_slice(&key) else {
        return "failed to derive password".into();
    };
    mac.update(SEED);
    mac.update(&(site.len() as u32).to_be_bytes());
    mac.update(site.as_bytes());
    mac.update(&counter.to_be_bytes());
    let seed = mac.finalize().into_bytes();
    let template = templates[usize::from(seed[0]) % templates.len()];
    template
        .bytes()
        .zip(&seed[1..])
        .map(|(class, byte)| {
            let letters = template_letters(class);
            letters[usize::from(*byte) % letters.len()] as char
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes() {
        assert_eq!(adler32(b"a"), 6_422_626);
        assert_eq!(
            hex(&Sha1::digest(b"")),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        );
    }

    #[test]
    #[ignore = "scrypt takes half a minute without optimisation"]
    fn passwords_are_derived_as_upstream_does() {
        let derived = derive_password(1, "long", "password", "user", "example.com");
        assert_eq!(derived, "ZedaFaxcZaso9*");
    }
}
