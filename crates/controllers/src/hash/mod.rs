//! Short names from contents, in the alphabet of generated names.

pub mod template;

/// The letters of generated names: no vowels, nothing that looks like another
/// (upstream: apimachinery util/rand).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Returns the FNV-1a hash (32 bits) of `bytes`.
pub fn fnv32a(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Returns the FNV-1 hash (32 bits) of `bytes`.
pub fn fnv32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash: u32, byte| {
        hash.wrapping_mul(0x0100_0193) ^ u32::from(byte)
    })
}

/// Writes the decimal digits of `hash` in the alphabet of generated names.
pub fn safe_encode(hash: u32) -> String {
    hash.to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_equal_their_published_vectors() {
        // http://www.isthe.com/chongo/tech/comp/fnv/, test vectors
        assert_eq!(fnv32a([]), 0x811c_9dc5);
        assert_eq!(fnv32a(*b"a"), 0xe40c_292c);
        assert_eq!(fnv32a(*b"foobar"), 0xbf9c_f968);
        assert_eq!(fnv32(*b"a"), 0x050c_5d7e);
        assert_eq!(fnv32(*b"foobar"), 0x31f0_b262);
    }
}
