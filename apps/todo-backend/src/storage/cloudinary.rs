//! Signed uploads to Cloudinary
//! (https://cloudinary.com/documentation/authentication_signatures).

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use ring::digest;
use serde_json::Value;

use super::sniff::Kind;
use crate::config::Cloudinary;
use crate::net::client;

const UPLOAD_MAX: Duration = Duration::from_secs(60);

/// Uploads a file and returns its URL.
pub async fn upload(
    account: &Cloudinary,
    folder: &str,
    kind: Kind,
    bytes: &[u8],
) -> Result<String, String> {
    let timestamp = (crate::time::now() / 1000).to_string();
    let signature = sign(
        &format!("folder={folder}&timestamp={timestamp}"),
        account.secret.reveal(),
    );
    let fields = [
        ("api_key", account.key.reveal()),
        ("folder", folder),
        ("signature", &signature),
        ("timestamp", &timestamp),
    ];
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let body = multipart(&boundary, &fields, kind, bytes);
    let address = format!(
        "{}/v1_1/{}/auto/upload",
        account.base_url, account.cloud_name
    );
    let request = Request::post(address)
        .header(
            CONTENT_TYPE,
            format!("multipart/form-data; boundary={boundary}"),
        )
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let answer = client::send(request, UPLOAD_MAX)
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("answered with status {}", status.as_u16()));
    }
    let bytes = client::read(answer.into_body()).await?;
    let answer: Value = serde_json::from_slice(&bytes).map_err(|_| "answered no JSON")?;
    let url = answer["secure_url"]
        .as_str()
        .filter(|url| url.starts_with("https://"));
    url.map(ToOwned::to_owned)
        .ok_or_else(|| "answered without an address".to_owned())
}

/// SHA-1 over the sorted parameters and the secret, as the service asks.
fn sign(parameters: &str, secret: &str) -> String {
    let text = format!("{parameters}{secret}");
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn multipart(boundary: &str, fields: &[(&str, &str)], kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes.len() + 1024);
    for (name, value) in fields {
        let part = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.{}\"\r\n\
         Content-Type: {}\r\n\r\n",
        kind.ending, kind.content_type
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let parameters = "eager=w_400,h_300,c_pad|w_260,h_200,c_crop&public_id=sample_image&timestamp=1315060510";
        assert_eq!(
            sign(parameters, "abcd"),
            "bfd09f95f331f558cbd1320e67aa8d488770583e"
        );
    }
}
