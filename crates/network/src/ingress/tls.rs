//! Which certificate the hosts of an Ingress are served with.
//!
//! Pure but for the authority, which is asked for what a Secret does not give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coracle_client::Key;
use coracle_dataplane::config::Certificate;
use coracle_dataplane::ingress::certificate;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;

use super::authority::{Authority, Pair};
use super::resolve::Note;

/// Tells whether a host of an Ingress is served by HTTPS.
pub fn covers(ingress: &Ingress, host: &str) -> bool {
    let sections = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.tls.iter().flatten());
    sections
        .map(|section| section.hosts.as_deref().unwrap_or_default())
        .any(|hosts| hosts.is_empty() || hosts.iter().any(|pattern| fits(pattern, host)))
}

/// Whether a name, or a wildcard for one label, stands for a host.
fn fits(pattern: &str, host: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let wildcard = || {
        let parent = pattern.strip_prefix("*.")?;
        host.split_once('.').map(|(_, rest)| rest == parent)
    };
    pattern == host || wildcard() == Some(true)
}

/// Certificates, and what is to be told of them.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub certificates: Vec<Certificate>,
    pub notes: Vec<(Key, Note)>,
}

/// Returns the certificates of these Ingresses, and one for all other hosts.
pub(super) fn certificates(
    ingresses: &[(&Key, &Ingress)],
    secrets: &BTreeMap<Key, Arc<Secret>>,
    authority: &mut Authority,
) -> Shown {
    let mut shown = Shown::default();
    let mut issued = Vec::new();
    let mut bare: BTreeSet<String> = BTreeSet::from(["localhost".to_owned()]);
    for (key, ingress) in ingresses {
        let rules = rule_hosts(ingress);
        bare.extend(rules.iter().filter(|host| !covers(ingress, host)).cloned());
        let sections = ingress
            .spec
            .iter()
            .flat_map(|spec| spec.tls.iter().flatten());
        for section in sections {
            let hosts = match section.hosts.as_deref().unwrap_or_default() {
                [] => rules.iter().cloned().collect(),
                hosts => hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            };
            let hosts: Vec<String> = hosts;
            let name = section.secret_name.as_deref().unwrap_or_default();
            let pair = from_secret(&Key::new(&key.namespace, name), secrets);
            let pair = match pair {
                Ok(pair) => Some(pair),
                Err(why) => {
                    let own = authority.certificate(&hosts);
                    if !name.is_empty() {
                        let note = instead(&why, &hosts);
                        shown.notes.push(((*key).clone(), note));
                    }
                    issued.push(hosts.clone());
                    own
                }
            };
            shown
                .certificates
                .extend(pair.map(|pair| with(hosts, pair)));
        }
    }
    let bare: Vec<String> = bare.into_iter().collect();
    let own = authority.certificate(&bare);
    shown
        .certificates
        .extend(own.map(|pair| with(Vec::new(), pair)));
    issued.push(bare);
    authority.keep(&issued);
    shown
}

fn with(hosts: Vec<String>, (chain, key): Pair) -> Certificate {
    Certificate { hosts, chain, key }
}

fn instead(why: &str, hosts: &[String]) -> Note {
    let hosts = match hosts {
        [] => "its hosts".to_owned(),
        hosts => hosts.join(", "),
    };
    let message =
        format!("{why}; {hosts}: served with a certificate of the cluster's own authority");
    Note::warning("OwnCertificate", message)
}

fn rule_hosts(ingress: &Ingress) -> BTreeSet<String> {
    let rules = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    rules
        .filter_map(|rule| Some(rule.host.as_ref()?.to_ascii_lowercase()))
        .filter(|host| !host.is_empty())
        .collect()
}

/// Reads a Secret of type kubernetes.io/tls, or says why it cannot be used.
fn from_secret(key: &Key, secrets: &BTreeMap<Key, Arc<Secret>>) -> Result<Pair, String> {
    let secret = secrets
        .get(key)
        .ok_or_else(|| format!("there is no Secret {key} of type kubernetes.io/tls"))?;
    let text = |name: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(name));
        String::from_utf8(data.map(|bytes| bytes.0.clone()).unwrap_or_default()).unwrap_or_default()
    };
    let (chain, private) = (text("tls.crt"), text("tls.key"));
    match certificate::check(&chain, &private) {
        Ok(()) => Ok((chain, private)),
        Err(error) => Err(format!("Secret {key} cannot be used: {error}")),
    }
}
