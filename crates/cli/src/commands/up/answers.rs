//! Phase Running: the URLs of the release, and whether something answers there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::access;
use super::super::progress::Progress;
use super::deploy::Deployed;
use crate::failure::Failure;

/// How long an application that is ready may take to answer on its port.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server that says nothing for so long but keeps the connection waits for
/// more than a line of HTTP; it is there.
const SILENCE: Duration = Duration::from_millis(300);
/// How often a closed port is tried again.
const LOOK: Duration = Duration::from_millis(20);

/// Returns the URLs of the release's Services, once they answer.
pub async fn wait(
    client: &Client,
    deployed: &Deployed,
    host: &str,
    changed: bool,
    progress: &Progress,
) -> Result<Vec<String>, Failure> {
    let step = progress.step("Running");
    let urls = urls(client, deployed, host).await?;
    let mut silent = Vec::new();
    for url in &urls {
        step.say(url);
        if !answers(url).await {
            silent.push(url.as_str());
        }
    }
    let text = match urls.as_slice() {
        [] => "it has no port on the host".to_owned(),
        _ if !silent.is_empty() => {
            format!("nothing answers at {}", silent.join(", "))
        }
        [url] => format!("{url} answers"),
        [first, rest @ ..] => format!("{first} and {} more answer", rest.len()),
    };
    if changed {
        step.done(&text);
    } else {
        step.skipped(&text);
    }
    Ok(urls)
}

/// Returns the URLs at which the release's Services answer on the host.
async fn urls(client: &Client, deployed: &Deployed, host: &str) -> Result<Vec<String>, Failure> {
    let mut urls = Vec::new();
    for object in &deployed.objects {
        if object.kind() != "Service" {
            continue;
        }
        let services: Api<Service> = Api::namespaced(client.clone(), deployed.namespace_of(object));
        urls.extend(access::urls(&services.get(object.name()).await?, host));
    }
    Ok(urls)
}

/// Returns whether a server is behind a URL: it says something to a line of
/// HTTP, or keeps the connection.
async fn answers(url: &str) -> bool {
    let Some(address) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next()?.parse::<SocketAddr>().ok())
    else {
        return true;
    };
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if try_once(address).await {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

async fn try_once(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut byte = [0u8];
    match tokio::time::timeout(SILENCE, stream.read(&mut byte)).await {
        Ok(Ok(read)) => read > 0,
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}
