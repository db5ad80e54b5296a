//! Sprig's keys and certificates, after its `crypto.go`.
//!
//! Keys are RSA like upstream's and random like upstream's; only the shape of
//! the answers can be compared.

use super::random::source;
use super::{A, Answer, Functions, I, S, int, s, text};
use crate::error::Error;
use crate::exec::Executor;
use crate::value::{Struct, StructType, Type, Value};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use std::rc::Rc;

/// The struct that `genCA` and its sisters return.
pub static CERTIFICATE: StructType = StructType {
    name: "sprig.certificate",
    fields: &["Cert", "Key"],
    methods: &[],
    display: None,
    display_by_pointer: false,
    json: None,
};

const C: Type = Type::Certificate;

pub(super) fn register(table: &mut Functions) {
    table.add("genPrivateKey", &[S], |exec, args| {
        gen_private_key(exec, &text(&args[0]))
    });
    table.add("genCA", &[S, I], |exec, args| {
        let key = new_rsa(exec, 2048)?;
        self_signed(exec, &Wish::ca(args), &key)
    });
    table.add("genCAWithKey", &[S, I, S], |exec, args| {
        let key = parse_key(&text(&args[2]))?;
        self_signed(exec, &Wish::ca(args), &key)
    });
    table.add("genSelfSignedCert", &[S, A, A, I], |exec, args| {
        let wish = Wish::leaf(args)?;
        let key = new_rsa(exec, 2048)?;
        self_signed(exec, &wish, &key)
    });
    table.add(
        "genSelfSignedCertWithKey",
        &[S, A, A, I, S],
        |exec, args| {
            let key = parse_key(&text(&args[4]))?;
            self_signed(exec, &Wish::leaf(args)?, &key)
        },
    );
    table.add("genSignedCert", &[S, A, A, I, C], |exec, args| {
        let wish = Wish::leaf(args)?;
        let key = new_rsa(exec, 2048)?;
        signed(exec, &wish, &args[4], &key)
    });
    table.add("genSignedCertWithKey", &[S, A, A, I, C, S], |exec, args| {
        let key = parse_key(&text(&args[5]))?;
        signed(exec, &Wish::leaf(args)?, &args[4], &key)
    });
    table.add("buildCustomCert", &[S, S], |_, args| {
        build_custom(s(&args[0]), s(&args[1]))
    });
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

/// A key pair: for signing, and as the PEM text that upstream prints.
struct Key {
    pair: KeyPair,
    pem: String,
}

fn new_rsa(exec: &mut Executor<'_>, bits: usize) -> Result<Key, Error> {
    let key = RsaPrivateKey::new(&mut Bridge(source(exec)), bits)
        .map_err(|error| Error::message(format!("error generating rsa key: {error}")))?;
    rsa_key(&key)
}

fn rsa_key(key: &RsaPrivateKey) -> Result<Key, Error> {
    let failed = |error: String| Error::message(format!("error pem-encoding key: {error}"));
    let der = key
        .to_pkcs8_der()
        .map_err(|error| failed(error.to_string()))?;
    let pair = KeyPair::try_from(der.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let pem = key
        .to_pkcs1_pem(LineEnding::LF)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Key {
        pair,
        pem: pem.to_string(),
    })
}

fn parse_key(pem: &str) -> Result<Key, Error> {
    if !pem.contains("-----BEGIN ") {
        return Err("parsing private key: no PEM data in input".into());
    }
    let rsa = RsaPrivateKey::from_pkcs1_pem(pem)
        .ok()
        .or_else(|| RsaPrivateKey::from_pkcs8_pem(pem).ok());
    if let Some(key) = rsa {
        return rsa_key(&key);
    }
    let pair = KeyPair::from_pem(pem)
        .map_err(|error| Error::message(format!("parsing private key: {error}")))?;
    Ok(Key {
        pair,
        pem: pem.to_owned(),
    })
}

fn gen_private_key(exec: &mut Executor<'_>, kind: &str) -> Answer {
    let failed = |error: String| Error::message(format!("failed to generate private key: {error}"));
    match kind {
        "" | "rsa" => Ok(new_rsa(exec, 4096)?.pem.into()),
        "ecdsa" => {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                .map_err(|error| failed(error.to_string()))?;
            Ok(sec1_pem(&pair.serialize_der())
                .ok_or_else(|| failed("no key".into()))?
                .into())
        }
        "ed25519" => {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519)
                .map_err(|error| failed(error.to_string()))?;
            Ok(pair.serialize_pem().into())
        }
        other => Ok(format!("Unknown type {other}").into()),
    }
}

/// Rewraps a P-256 key from PKCS#8 to the older `EC PRIVATE KEY` of RFC 5915.
fn sec1_pem(pkcs8: &[u8]) -> Option<String> {
    use base64::Engine;
    // The private scalar is the octet string `04 20 …`, the public point the
    // bit string `03 42 00 04 …`.
    let scalar_at = memchr::memmem::find(pkcs8, &[0x02, 0x01, 0x01, 0x04, 0x20])? + 5;
    let scalar = pkcs8.get(scalar_at..scalar_at + 32)?;
    let point_at = memchr::memmem::find(pkcs8, &[0x03, 0x42, 0x00, 0x04])? + 3;
    let point = pkcs8.get(point_at..point_at + 65)?;
    let mut der = vec![0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend(scalar);
    der.extend([
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ]);
    der.extend([0xa1, 0x44, 0x03, 0x42, 0x00]);
    der.extend(point);
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    Some(format!(
        "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----\n",
        lines.join("\n")
    ))
}

/// What a certificate shall say.
struct Wish {
    name: String,
    ips: Vec<std::net::IpAddr>,
    dns: Vec<String>,
    days: i64,
    ca: bool,
}

impl Wish {
    fn ca(args: &[Value]) -> Wish {
        Wish {
            name: text(&args[0]).into_owned(),
            ips: Vec::new(),
            dns: Vec::new(),
            days: int(&args[1]),
            ca: true,
        }
    }

    fn leaf(args: &[Value]) -> Result<Wish, Error> {
        Ok(Wish {
            name: text(&args[0]).into_owned(),
            ips: ips(&args[1])?,
            dns: dns_names(&args[2])?,
            days: int(&args[3]),
            ca: false,
        })
    }
}

/// Upstream's parameter is `[]interface {}`; another list is refused.
fn plain_items(value: &Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) if list.ty.elem == crate::value::Elem::Any => Ok(list.borrow().clone()),
        other => Err(format!(
            "wrong type for value; expected []interface {{}}; got {}",
            other.type_name()
        )
        .into()),
    }
}

fn show(value: &Value) -> String {
    String::from_utf8_lossy(&crate::fmt::value_text(value)).into_owned()
}

fn ips(value: &Value) -> Result<Vec<std::net::IpAddr>, Error> {
    let mut ips = Vec::new();
    for item in plain_items(value)? {
        let Value::Str(text) = &item else {
            return Err(format!("error parsing ip: {} is not a string", show(&item)).into());
        };
        let ip = text.to_text().parse();
        ips.push(ip.map_err(|_| Error::message(format!("error parsing ip: {}", text.to_text())))?);
    }
    Ok(ips)
}

fn dns_names(value: &Value) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for item in plain_items(value)? {
        let Value::Str(text) = &item else {
            let shown = show(&item);
            return Err(
                format!("error processing alternate dns name: {shown} is not a string").into(),
            );
        };
        names.push(text.to_text().into_owned());
    }
    Ok(names)
}

fn params(exec: &mut Executor<'_>, wish: &Wish) -> Result<CertificateParams, Error> {
    let failed = |error: String| Error::message(format!("error creating certificate: {error}"));
    let mut params = CertificateParams::default();
    let mut serial = [0u8; 16];
    rand::RngCore::fill_bytes(source(exec), &mut serial);
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, wish.name.as_str());
    let now = exec.host.now().timestamp().as_second();
    let end = now.saturating_add(wish.days.saturating_mul(86_400));
    let stamp = |second: i64| {
        time::OffsetDateTime::from_unix_timestamp(second).map_err(|error| failed(error.to_string()))
    };
    params.not_before = stamp(now)?;
    params.not_after = stamp(end)?;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    if wish.ca {
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    for name in &wish.dns {
        let name = name
            .as_str()
            .try_into()
            .map_err(|error: rcgen::Error| failed(error.to_string()))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params
        .subject_alt_names
        .extend(wish.ips.iter().copied().map(SanType::IpAddress));
    Ok(params)
}

fn certificate(cert: String, key: String) -> Value {
    Value::Struct(Struct {
        ty: &CERTIFICATE,
        fields: Rc::new(vec![
            cert.replace("\r\n", "\n").into(),
            key.replace("\r\n", "\n").into(),
        ]),
    })
}

fn self_signed(exec: &mut Executor<'_>, wish: &Wish, key: &Key) -> Answer {
    let cert = params(exec, wish)?
        .self_signed(&key.pair)
        .map_err(|error| Error::message(format!("error creating certificate: {error}")))?;
    Ok(certificate(cert.pem(), key.pem.clone()))
}

fn signed(exec: &mut Executor<'_>, wish: &Wish, ca: &Value, key: &Key) -> Answer {
    let part = |at: usize| match ca {
        Value::Struct(object) => text(&object.fields[at]).into_owned(),
        _ => String::new(),
    };
    let (ca_cert, ca_key) = (part(0), part(1));
    if !ca_cert.contains("-----BEGIN ") {
        return Err("unable to decode certificate".into());
    }
    let ca_key =
        parse_key(&ca_key).map_err(|error| Error::message(format!("error {}", error.text)))?;
    let issuer = Issuer::from_ca_cert_pem(&ca_cert, ca_key.pair).map_err(|error| {
        Error::message(format!(
            "error parsing certificate: decodedSignerCert.Bytes: {error}"
        ))
    })?;
    let cert = params(exec, wish)?
        .signed_by(&key.pair, &issuer)
        .map_err(|error| Error::message(format!("error creating certificate: {error}")))?;
    Ok(certificate(cert.pem(), key.pem.clone()))
}

fn build_custom(cert: &[u8], key: &[u8]) -> Answer {
    let decode = |bytes: &[u8], what: &str| {
        super::encoding::base64_decode(bytes)
            .map_err(|_| Error::message(format!("unable to decode base64 {what}")))
    };
    let cert = decode(cert, "certificate")?;
    let key = decode(key, "private key")?;
    let cert = String::from_utf8_lossy(&cert).into_owned();
    let key = String::from_utf8_lossy(&key).into_owned();
    if !cert.contains("-----BEGIN ") {
        return Err("unable to decode certificate".into());
    }
    if !key.contains("-----BEGIN ") {
        return Err("error parsing private key: no PEM data in input".into());
    }
    Ok(Value::Struct(Struct {
        ty: &CERTIFICATE,
        fields: Rc::new(vec![cert.into(), key.into()]),
    }))
}
