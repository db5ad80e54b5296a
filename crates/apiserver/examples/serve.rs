//! Serves the API alone on a free port of loopback, for trying clients against
//! it: `cargo run -p coracle-apiserver --example serve -- KUBECONFIG [DATA_DIR]`.
//! Writes a kubeconfig with a client certificate of the administrator.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_apiserver::{ApiServer, Config};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

type Error = Box<dyn std::error::Error>;

/// The allocator of the engine.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let kubeconfig = arguments
        .next()
        .ok_or("usage: serve KUBECONFIG [DATA_DIR]")?;
    let kept = arguments.next();
    let temporary = tempfile::tempdir()?;
    let folder = kept.unwrap_or_else(|| temporary.path().to_owned());

    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "coracle");
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let server_key = KeyPair::generate()?;
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server_certificate = CertificateParams::new(names)?.signed_by(&server_key, &issuer)?;
    let mut client = CertificateParams::new(Vec::new())?;
    client
        .distinguished_name
        .push(DnType::CommonName, "kubernetes-admin");
    client
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    let client_key = KeyPair::generate()?;
    let client_certificate = client.signed_by(&client_key, &issuer)?;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority_certificate.der().clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server_certificate.der().clone()], key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut config = Config::new(folder, [7; 32]);
    config.issuer = "https://kubernetes.default.svc".to_owned();
    config.advertised = address.to_string();
    // As an API server started without flags.
    config.allow_privileged = false;
    config.warn_inert = false;
    config.metrics = false;
    let server = ApiServer::open(config)?;
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: serve\nclusters:\n- name: serve\n  cluster:\n    server: https://{address}\n    certificate-authority-data: {}\ncontexts:\n- name: serve\n  context:\n    cluster: serve\n    user: admin\nusers:\n- name: admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        STANDARD.encode(authority_certificate.pem()),
        STANDARD.encode(client_certificate.pem()),
        STANDARD.encode(client_key.serialize_pem()),
    );
    std::fs::write(&kubeconfig, text)?;
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(listener, Arc::new(tls), shutdown).await?;
    server.close_store();
    Ok(())
}
