//! Secrets of certificates whose texts hold no certificate or no key (Go's
//! `tls.X509KeyPair`, which upstream asks). The contents of the blocks are not
//! looked into.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::At;

/// A Secret.
pub(super) fn secret(object: &At<'_>, found: &mut Vec<String>) {
    if object.field("type").text() != "kubernetes.io/tls" {
        return;
    }
    let data = object.field("data");
    let blocks = |name: &str| {
        let bytes = STANDARD.decode(data.field(name).text()).unwrap_or_default();
        block_types(&String::from_utf8_lossy(&bytes))
    };
    let wrong = certificate(&blocks("tls.crt")).or_else(|| key(&blocks("tls.key")));
    found.extend(wrong);
}

fn certificate(types: &[String]) -> Option<String> {
    if types.iter().any(|kind| kind == "CERTIFICATE") {
        return None;
    }
    Some(match types {
        [] => "tls: failed to find any PEM data in certificate input".into(),
        [one] if one.ends_with("PRIVATE KEY") => "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".into(),
        _ => format!("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]", types.join(" ")),
    })
}

fn key(types: &[String]) -> Option<String> {
    let is_key = |kind: &String| kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY");
    if types.iter().any(is_key) {
        return None;
    }
    Some(match types {
        [] => "tls: failed to find any PEM data in key input".into(),
        [one] if one == "CERTIFICATE" => {
            "tls: found a certificate rather than a key in the PEM for the private key".into()
        }
        _ => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            types.join(" ")
        ),
    })
}

/// The types of a text's blocks (RFC 7468).
fn block_types(text: &str) -> Vec<String> {
    let mut types = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((kind, body)) = after.split_once("-----") else {
            break;
        };
        match body.split_once(&format!("-----END {kind}-----")) {
            Some((content, next)) => {
                if is_base64(content) {
                    types.push(kind.to_owned());
                }
                rest = next;
            }
            None => rest = body,
        }
    }
    types
}

/// Whether a block's content decodes, headers (`Name: value`) aside.
fn is_base64(content: &str) -> bool {
    let lines = content.lines().filter(|line| !line.contains(':'));
    let joined: String = lines.flat_map(str::split_whitespace).collect();
    STANDARD.decode(joined).is_ok()
}
