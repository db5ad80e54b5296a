//! Keys and certificates of a cluster: an authority for ten years, leaves for
//! one, made at the first start and renewed at a later one when they are due.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::idmap::IdMap;

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A leaf with less than this left is made anew.
const RENEW_DAYS: i64 = 60;

/// Keys could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or certificate could not be made or understood.
    #[error("certificate of {subject}")]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// Why.
        source: rcgen::Error,
    },
}

/// The files of a cluster's keys.
#[derive(Debug, Clone)]
pub struct Pki {
    dir: PathBuf,
}

/// A certificate with its key, both as PEM text.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Certificate (PEM).
    pub certificate: String,
    /// Private key (PKCS #8, PEM).
    pub key: String,
}

impl Pki {
    /// Makes what is missing or due in `dir`: authority, the API server's
    /// certificate for `names` and `addresses`, the administrator's, the key
    /// that seals secrets at rest. Files belong to user 0 of `ids`.
    ///
    /// # Errors
    /// Fails if a file cannot be read or written or holds no key.
    pub fn prepare(
        dir: &Path,
        ids: &IdMap,
        names: &[String],
        addresses: &[IpAddr],
    ) -> Result<Pki, PkiError> {
        let pki = Pki {
            dir: dir.to_owned(),
        };
        pki.prepare_authority(ids)?;
        let sans = names
            .iter()
            .filter_map(|name| Some(SanType::DnsName(name.as_str().try_into().ok()?)))
            .chain(addresses.iter().map(|address| SanType::IpAddress(*address)))
            .collect();
        pki.prepare_leaf(
            "apiserver",
            ids,
            Leaf {
                common_name: "kube-apiserver",
                organization: None,
                sans,
                purpose: ExtendedKeyUsagePurpose::ServerAuth,
            },
        )?;
        pki.prepare_leaf(
            "admin",
            ids,
            Leaf {
                common_name: "coracle-admin",
                organization: Some("system:masters"),
                sans: Vec::new(),
                purpose: ExtendedKeyUsagePurpose::ClientAuth,
            },
        )?;
        let seal = pki.path("seal.key");
        if !seal.exists() {
            write(&seal, &rand::random::<[u8; 32]>(), ids)?;
        }
        Ok(pki)
    }

    /// Returns the keys in `dir`, which must have been prepared.
    pub fn at(dir: &Path) -> Pki {
        Pki {
            dir: dir.to_owned(),
        }
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Returns the authority's certificate (PEM).
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn authority(&self) -> Result<String, PkiError> {
        read(&self.path("ca.crt"))
    }

    /// Returns the certificate and key called `name` (`apiserver` or `admin`).
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn pair(&self, name: &str) -> Result<Pair, PkiError> {
        Ok(Pair {
            certificate: read(&self.path(&format!("{name}.crt")))?,
            key: read(&self.path(&format!("{name}.key")))?,
        })
    }

    /// Issues a server's certificate for hosts, which is kept nowhere.
    ///
    /// # Errors
    /// Fails if the authority's files cannot be read, or a host is no name.
    pub fn issue(&self, hosts: &[String]) -> Result<Pair, PkiError> {
        let name = hosts.first().map_or("localhost", String::as_str);
        let failed = |source| PkiError::Certificate {
            subject: name.to_owned(),
            source,
        };
        let authority_key = KeyPair::from_pem(&read(&self.path("ca.key"))?).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.authority()?, authority_key).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params("coracle ingress", None, LEAF_DAYS);
        params.subject_alt_names = hosts
            .iter()
            .map(|host| Ok(SanType::DnsName(host.as_str().try_into()?)))
            .collect::<Result<_, rcgen::Error>>()
            .map_err(failed)?;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Returns the last day of the certificate called `name`, as YYYY-MM-DD.
    pub fn last_day(&self, name: &str) -> Option<String> {
        let end = end_of(&self.pair(name).ok()?.certificate)?;
        Some(end.date().to_string())
    }

    /// Returns how many days are left of the certificate called `name`; less
    /// than none if it has ended.
    pub fn days_left(&self, name: &str) -> Option<i64> {
        let end = end_of(&self.pair(name).ok()?.certificate)?;
        Some((end - OffsetDateTime::now_utc()).whole_days())
    }

    /// Returns the key under which secrets are sealed on disk.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not 32 bytes long.
    pub fn seal_key(&self) -> Result<[u8; 32], PkiError> {
        let path = self.path("seal.key");
        let failed = |source| PkiError::File {
            path: path.clone(),
            source,
        };
        let bytes = fs::read(&path).map_err(failed)?;
        bytes
            .try_into()
            .map_err(|_| failed(io::Error::other("not 32 bytes long")))
    }

    fn prepare_authority(&self, ids: &IdMap) -> Result<(), PkiError> {
        if self.path("ca.crt").exists() && self.path("ca.key").exists() {
            return Ok(());
        }
        let failed = |source| PkiError::Certificate {
            subject: "the authority".into(),
            source,
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params("coracle", None, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key).map_err(failed)?;
        write(&self.path("ca.key"), key.serialize_pem().as_bytes(), ids)?;
        write(&self.path("ca.crt"), certificate.pem().as_bytes(), ids)
    }

    fn prepare_leaf(&self, name: &str, ids: &IdMap, leaf: Leaf) -> Result<(), PkiError> {
        if self.is_current(name, &leaf) {
            return Ok(());
        }
        self.write_leaf(name, ids, &leaf, LEAF_DAYS)
    }

    /// Makes a certificate that ends after so many days.
    fn write_leaf(&self, name: &str, ids: &IdMap, leaf: &Leaf, days: i64) -> Result<(), PkiError> {
        let failed = |source| PkiError::Certificate {
            subject: leaf.common_name.into(),
            source,
        };
        let authority_key = KeyPair::from_pem(&read(&self.path("ca.key"))?).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.authority()?, authority_key).map_err(failed)?;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(leaf.common_name, leaf.organization, days);
        params.subject_alt_names = leaf.sans.clone();
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![leaf.purpose.clone()];
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        write(
            &self.path(&format!("{name}.key")),
            key.serialize_pem().as_bytes(),
            ids,
        )?;
        write(
            &self.path(&format!("{name}.crt")),
            certificate.pem().as_bytes(),
            ids,
        )
    }

    /// Returns whether the certificate exists, is not due and has the names asked for.
    fn is_current(&self, name: &str, leaf: &Leaf) -> bool {
        let Ok(pair) = self.pair(name) else {
            return false;
        };
        let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(pair.certificate.as_bytes()) else {
            return false;
        };
        let Ok(certificate) = pem.parse_x509() else {
            return false;
        };
        let due = OffsetDateTime::now_utc() + Duration::days(RENEW_DAYS);
        let names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map_or(0, |extension| extension.value.general_names.len());
        certificate.validity().not_after.timestamp() > due.unix_timestamp()
            && names == leaf.sans.len()
    }
}

/// Returns when a certificate (PEM) ends.
fn end_of(certificate: &str) -> Option<OffsetDateTime> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp()).ok()
}

struct Leaf {
    common_name: &'static str,
    organization: Option<&'static str>,
    sans: Vec<SanType>,
    purpose: ExtendedKeyUsagePurpose,
}

fn params(common_name: &str, organization: Option<&str>, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    let now = OffsetDateTime::now_utc();
    // Clocks differ; a certificate that is valid from this second on is refused by some.
    params.not_before = now - Duration::hours(1) - Duration::days(days.min(0).abs());
    params.not_after = now + Duration::days(days);
    params
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only user 0 of `ids` can read, whole or not at all.
fn write(path: &Path, bytes: &[u8], ids: &IdMap) -> Result<(), PkiError> {
    let partial = path.with_extension("partial");
    let result = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| ids.own(&partial))
        .and_then(|()| fs::rename(&partial, path));
    result.map_err(|source| PkiError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single() -> IdMap {
        IdMap::Single { uid: 0, gid: 0 }
    }

    #[test]
    fn keys_are_made_once_and_leaves_follow_their_names() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let names = vec!["localhost".to_owned()];
        let prepare = |addresses: &[IpAddr]| {
            let pki =
                Pki::prepare(dir.path(), &single(), &names, addresses).expect("keys are made");
            (
                pki.authority().unwrap(),
                pki.pair("apiserver").unwrap().certificate,
                pki.seal_key().unwrap(),
            )
        };
        let loopback = [IpAddr::from([127, 0, 0, 1])];
        let first = prepare(&loopback);
        assert_eq!(first, prepare(&loopback));
        let other = prepare(&[IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])]);
        assert_eq!((&first.0, &first.2), (&other.0, &other.2));
        assert_ne!(first.1, other.1);
    }

    #[test]
    fn a_certificate_that_has_ended_is_made_anew() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let ids = IdMap::Single { uid: 0, gid: 0 };
        let names = vec!["localhost".to_owned()];
        let pki = Pki::prepare(dir.path(), &ids, &names, &[]).expect("keys are made");
        for name in ["apiserver", "admin"] {
            let leaf = Leaf {
                common_name: "old",
                organization: None,
                sans: Vec::new(),
                purpose: ExtendedKeyUsagePurpose::ServerAuth,
            };
            pki.write_leaf(name, &ids, &leaf, -1).expect("it is made");
            assert!(pki.days_left(name).is_some_and(|days| days < 0));
        }
        let authority = pki.authority().expect("it is there");
        let pki = Pki::prepare(dir.path(), &ids, &names, &[]).expect("they are renewed");
        for name in ["apiserver", "admin"] {
            assert!(pki.days_left(name).is_some_and(|days| days > 300));
        }
        assert_eq!(pki.authority().expect("it is there"), authority);
    }

    #[test]
    fn keys_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder for the test");
        Pki::prepare(dir.path(), &single(), &[], &[]).expect("keys are made");
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o077,
                0,
                "{:?}",
                entry.path()
            );
        }
    }
}
