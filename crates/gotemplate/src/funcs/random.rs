//! Sprig's random functions. With a seed of the host they repeat.

use super::{Answer, Functions, I, int};
use crate::exec::Executor;
use crate::value::Value;
use base64::Engine;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Where random numbers come from.
pub(crate) type Source = StdRng;

/// Longer results than this are refused.
const LEN_MAX: i64 = 1 << 24;

pub(super) fn register(table: &mut Functions) {
    table.add("randAlphaNum", &[I], |exec, args| {
        letters(exec, int(&args[0]), |c| c.is_ascii_alphanumeric())
    });
    table.add("randAlpha", &[I], |exec, args| {
        letters(exec, int(&args[0]), |c| c.is_ascii_alphabetic())
    });
    table.add("randNumeric", &[I], |exec, args| {
        letters(exec, int(&args[0]), |c| c.is_ascii_digit())
    });
    table.add("randAscii", &[I], |exec, args| {
        letters(exec, int(&args[0]), |c| (32..127).contains(c))
    });
    table.add("randBytes", &[I], |exec, args| {
        let count = length(int(&args[0]))?;
        let mut bytes = vec![0; count];
        source(exec).fill_bytes(&mut bytes);
        Ok(base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into())
    });
    table.add("randInt", &[I, I], |exec, args| {
        let (low, high) = (int(&args[0]), int(&args[1]));
        if high <= low {
            return Err("invalid argument to Intn".into());
        }
        Ok(Value::Int(source(exec).random_range(low..high)))
    });
    table.add("shuffle", &[super::S], |exec, args| {
        let mut chars: Vec<char> = super::text(&args[0]).chars().collect();
        let random = source(exec);
        for at in (1..chars.len()).rev() {
            chars.swap(at, random.random_range(0..=at));
        }
        Ok(chars.into_iter().collect::<String>().into())
    });
    table.add("uuidv4", &[], |exec, _| {
        let mut bytes = [0u8; 16];
        source(exec).fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Ok(parts.join("-").into())
    });
}

/// The source of this rendering, made at first use.
pub(crate) fn source<'e>(exec: &'e mut Executor<'_>) -> &'e mut Source {
    let host = exec.host;
    exec.random.get_or_insert_with(|| match host.seed() {
        Some(seed) => StdRng::seed_from_u64(seed),
        None => StdRng::from_os_rng(),
    })
}

fn length(count: i64) -> Result<usize, crate::error::Error> {
    match count {
        count if count < 0 => Ok(0),
        count if count > LEN_MAX => Err(format!("{count} random characters are too many").into()),
        count => Ok(count as usize),
    }
}

fn letters(exec: &mut Executor<'_>, count: i64, wanted: fn(&u8) -> bool) -> Answer {
    let alphabet: Vec<u8> = (0..127).filter(wanted).collect();
    let count = length(count)?;
    let random = source(exec);
    let text: Vec<u8> = (0..count)
        .map(|_| alphabet[random.random_range(0..alphabet.len())])
        .collect();
    Ok(text.into())
}
