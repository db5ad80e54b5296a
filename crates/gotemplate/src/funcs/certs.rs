//! Sprig's keys and certificates, after its `crypto.go`.
//!
//! Keys are RSA like upstream's and random like upstream's; only the shape of
//! the answers can be compared.

use super::keys::{Key, generate, new_rsa};
use super::pem;
use super::random::source;
use super::{A, Answer, Functions, I, S, int, s, text};
use crate::error::Error;
use crate::exec::Executor;
use crate::value::{Struct, StructType, Type, Value};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
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
        generate(exec, &text(&args[0]))
    });
    table.add("genCA", &[S, I], |exec, args| {
        let key = new_rsa(exec, 2048)?;
        self_signed(exec, &Wish::ca(args), &key)
    });
    table.add("genCAWithKey", &[S, I, S], |exec, args| {
        let key = given_key(&args[2])?;
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
            let key = given_key(&args[4])?;
            self_signed(exec, &Wish::leaf(args)?, &key)
        },
    );
    table.add("genSignedCert", &[S, A, A, I, C], |exec, args| {
        let wish = Wish::leaf(args)?;
        let key = new_rsa(exec, 2048)?;
        signed(exec, &wish, &args[4], &key)
    });
    table.add("genSignedCertWithKey", &[S, A, A, I, C, S], |exec, args| {
        let key = given_key(&args[5])?;
        signed(exec, &Wish::leaf(args)?, &args[4], &key)
    });
    table.add("buildCustomCert", &[S, S], |_, args| {
        build_custom(s(&args[0]), s(&args[1]))
    });
}

fn given_key(pem: &Value) -> Result<Key, Error> {
    Key::parse(s(pem)).map_err(|error| Error::message(format!("parsing private key: {error}")))
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
        .self_signed(key.signer()?)
        .map_err(|error| Error::message(format!("error creating certificate: {error}")))?;
    Ok(certificate(cert.pem(), key.pem.clone()))
}

fn signed(exec: &mut Executor<'_>, wish: &Wish, ca: &Value, key: &Key) -> Answer {
    let part = |at: usize| match ca {
        Value::Struct(object) => s(&object.fields[at]),
        _ => b"",
    };
    let ca_cert = parsed_certificate(part(0), "decodedSignerCert")?;
    let ca_key = parsed_key(part(1))?;
    let issuer = Issuer::from_ca_cert_der(&ca_cert.into(), ca_key.signer()?)
        .map_err(|error| Error::message(format!("error creating certificate: {error}")))?;
    let cert = params(exec, wish)?
        .signed_by(key.signer()?, &issuer)
        .map_err(|error| Error::message(format!("error creating certificate: {error}")))?;
    Ok(certificate(cert.pem(), key.pem.clone()))
}

/// Reads a certificate from PEM; upstream names the variable that held it.
fn parsed_certificate(text: &[u8], variable: &str) -> Result<Vec<u8>, Error> {
    let block = pem::decode(text).ok_or("unable to decode certificate")?;
    let cause = match x509_parser::parse_x509_certificate(&block.bytes) {
        Ok(([], _)) => return Ok(block.bytes),
        Ok(_) => "trailing data",
        Err(_) => "malformed certificate",
    };
    Err(format!("error parsing certificate: {variable}.Bytes: x509: {cause}").into())
}

fn parsed_key(text: &[u8]) -> Result<Key, Error> {
    Key::parse(text).map_err(|error| format!("error parsing private key: {error}").into())
}

fn build_custom(cert: &[u8], key: &[u8]) -> Answer {
    let decode = |bytes: &[u8], what: &str| {
        super::encoding::base64_decode(bytes)
            .map_err(|_| Error::message(format!("unable to decode base64 {what}")))
    };
    let cert = decode(cert, "certificate")?;
    let key = decode(key, "private key")?;
    parsed_certificate(&cert, "decodedCert")?;
    parsed_key(&key)?;
    Ok(Value::Struct(Struct {
        ty: &CERTIFICATE,
        fields: Rc::new(vec![cert.into(), key.into()]),
    }))
}
