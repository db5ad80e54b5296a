//! Push and pull against Debian's `docker-registry`, where it is installed: a
//! login, a private certificate authority, compression on the way.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use coracle_image::Reference;
use coracle_image::oci::{Platform, media_type};
use coracle_image::registry::{
    Credentials, Direct, Login, RegistryClient, RegistryError, RegistryOptions,
};
use support::{CLUSTER, context, test_store, tree};

/// `user` with the password `s3cret`, as htpasswd writes it.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";

struct Registry {
    child: Child,
    address: String,
    authority: String,
    _dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a registry with TLS and a login; `None` when it is not installed.
fn registry() -> Option<Registry> {
    if Command::new("docker-registry")
        .arg("--version")
        .output()
        .is_err()
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "docker-registry is needed in CI"
        );
        skip();
        return None;
    }
    let dir = tempfile::tempdir().expect("directory");
    let authority = certificates(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("htpasswd"), HTPASSWD).expect("writes");
    let config = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         auth: {{htpasswd: {{realm: test, path: {}}}}}\n\
         http: {{addr: '127.0.0.1:0', secret: x, tls: {{certificate: {}, key: {}}}}}\n",
        path("data"),
        path("htpasswd"),
        path("cert.pem"),
        path("key.pem")
    );
    std::fs::write(path("config.yml"), config).expect("writes");
    let mut child = Command::new("docker-registry")
        .args(["serve", &path("config.yml")])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stderr.take().expect("piped"));
    let mut lines = output.lines().map_while(Result::ok);
    let line = lines
        .find(|line| line.contains("listening on 127.0.0.1:"))
        .expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    let rest = line.split("listening on ").nth(1).expect("an address");
    let address = rest
        .split([',', '"'])
        .next()
        .expect("an address")
        .to_owned();
    Some(Registry {
        child,
        address,
        authority,
        _dir: dir,
    })
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip() {
    eprintln!("SKIPPED: docker-registry is not installed");
}

fn certificates(dir: &Path) -> String {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(vec![]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let leaf = params.signed_by(&key, &authority).expect("a certificate");
    std::fs::write(dir.join("cert.pem"), leaf.pem()).expect("writes");
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).expect("writes");
    authority.pem()
}

fn client(registry: &Registry, password: Option<&str>, authority: bool) -> RegistryClient {
    let mut options = RegistryOptions {
        tries: 1,
        ..RegistryOptions::default()
    };
    if authority {
        options.authorities.push(registry.authority.clone());
    }
    if let Some(password) = password {
        let (user, password) = ("user".to_owned(), password.to_owned());
        let mut credentials = Credentials::default();
        credentials.insert(&registry.address, Login::Password { user, password });
        options.credentials = credentials;
    }
    RegistryClient::new(Arc::new(Direct::new()), options).expect("a client")
}

#[tokio::test]
async fn what_is_pushed_is_pulled_by_us_and_by_others() {
    let Some(registry) = registry() else { return };
    let (store, context) = (
        test_store(),
        context(&[("a", "A"), ("d/big", &"zeros ".repeat(100_000))]),
    );
    store
        .build(
            context.path(),
            "FROM scratch\nCOPY a /\nCOPY d /d\nENV A=1\nUSER 5:5\n",
        )
        .expect("builds");
    let image = store.image("test:1");
    let reference = Reference::parse(&format!("{}/team/app:1", registry.address)).expect("valid");
    let good = client(&registry, Some("s3cret"), true);
    let pushed = good
        .push(&store.store, &image, &reference, Arc::new(|_| {}))
        .await
        .expect("pushes");
    assert!(
        pushed.sent_bytes < 50_000,
        "layers are compressed: {}",
        pushed.sent_bytes
    );
    let again = good
        .push(&store.store, &image, &reference, Arc::new(|_| {}))
        .await
        .expect("pushes");
    assert_eq!(
        (again.sent_bytes, again.digest),
        (0, pushed.digest),
        "nothing is sent twice"
    );

    let other = test_store();
    let platform = Platform::parse("linux/amd64").expect("valid");
    let pulled = good
        .pull(
            &other.store,
            CLUSTER,
            &reference,
            &platform,
            Arc::new(|_| {}),
        )
        .await
        .expect("pulls");
    assert_eq!((pulled.digest, pulled.id), (pushed.digest, image.id));
    let got = other
        .store
        .resolve(CLUSTER, &reference)
        .expect("whole")
        .expect("known");
    assert_eq!(got.layers[0].blob.media_type, media_type::LAYER_GZIP);
    assert_eq!(tree(&got.view()), tree(&image.view()));
    // A pulled image is pushed as it came.
    let elsewhere = Reference::parse(&format!("{}/other/app:2", registry.address)).expect("valid");
    let copied = good
        .push(&other.store, &got, &elsewhere, Arc::new(|_| {}))
        .await
        .expect("pushes");
    assert_eq!(copied.digest, pushed.digest);
    // The pulled image is the built one: no reason to roll.
    let tag = store
        .store
        .tag(CLUSTER, "test:1", &reference)
        .expect("tags");
    assert_eq!(tag.new_id, Some(image.id));
    let change = good
        .pull(
            &store.store,
            CLUSTER,
            &reference,
            &platform,
            Arc::new(|_| {}),
        )
        .await
        .expect("pulls")
        .name;
    assert!(
        change.old != change.new && !change.is_new_digest_under_old_name(),
        "{change:?}"
    );
}

#[tokio::test]
async fn logins_and_certificates_are_asked_for_by_name() {
    let Some(registry) = registry() else { return };
    let (store, context) = (test_store(), context(&[("a", "A")]));
    store
        .build(context.path(), "FROM scratch\nCOPY a /\n")
        .expect("builds");
    let image = store.image("test:1");
    let reference = Reference::parse(&format!("{}/team/app:1", registry.address)).expect("valid");
    for password in [None, Some("wrong")] {
        let client = client(&registry, password, true);
        let error = client
            .push(&store.store, &image, &reference, Arc::new(|_| {}))
            .await
            .expect_err("refused");
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(error.to_string().contains("--creds"), "{error}");
    }
    // A certificate nobody vouches for is no reason to speak plain HTTP.
    let stranger = client(&registry, Some("s3cret"), false);
    let error = stranger
        .push(&store.store, &image, &reference, Arc::new(|_| {}))
        .await
        .expect_err("untrusted");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    assert!(
        matches!(error, RegistryError::Certificate { .. }),
        "{error:?}"
    );
}
