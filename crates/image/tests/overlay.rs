//! Layers as overlay lower directories: what the kernel shows is what the
//! merged view shows, in a user namespace, with `userxattr`.

mod support;

use std::path::Path;
use std::process::Command;

use coracle_image::archive::{LoadOptions, load};
use coracle_image::tar::Kind;
use support::{CLUSTER, Tar, docker_archive, test_store, tree};

/// Runs a script in its own user and mount namespace; `None` when this machine
/// does not allow that.
fn in_namespaces(script: &str) -> Option<String> {
    let allowed = Command::new("unshare").args(["-Urm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "user namespaces are needed in CI"
        );
        eprintln_skip();
        return None;
    }
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-ec", script])
        .output();
    let output = output.expect("unshare runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn eprintln_skip() {
    eprintln!("SKIPPED: user namespaces are not allowed here, overlay mounts are not tested");
}

fn layers() -> Vec<Vec<u8>> {
    vec![
        Tar::default()
            .dir("etc/", 0o755)
            .file("etc/keep", "1")
            .file("etc/gone", "1")
            .dir("opt/", 0o755)
            .file("opt/hidden", "1")
            .dir("tree/", 0o755)
            .file("tree/f", "1")
            .dir("tmp/", 0o1777)
            .file("file", "1")
            .finish(),
        Tar::default()
            .file("etc/.wh.gone", "")
            .file("opt/.wh..wh..opq", "")
            .file("opt/new", "2")
            .file(".wh.tree", "")
            .file(".wh.nothing", "")
            .file("tmp/implicit", "2")
            .dir("file/", 0o700)
            .link("etc/l", Kind::Symlink, "keep")
            .finish(),
        Tar::default()
            .file(".wh.file", "")
            .dir("tree/", 0o711)
            .file("tree/g", "3")
            .finish(),
    ]
}

#[test]
fn the_kernel_shows_what_the_view_shows() {
    if in_namespaces("true").is_none() || !support::as_root() {
        return;
    }
    let store = test_store();
    let archive = docker_archive(Some("x:1"), &layers());
    load(
        &store.store,
        CLUSTER,
        archive.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    let image = store.image("x:1");
    let lowers: Vec<_> = image
        .lower_dirs()
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let expected = [
        "0755 0:0 /etc/",
        "0644 0:0 /etc/keep 1",
        "/etc/l -> keep",
        "0755 0:0 /opt/",
        "0644 0:0 /opt/new 2",
        "1777 0:0 /tmp/",
        "0644 0:0 /tmp/implicit 2",
        "0711 0:0 /tree/",
        "0644 0:0 /tree/g 3",
    ];
    assert_eq!(tree(&image.view()), expected);
    let scratch = tempfile::tempdir().expect("directory");
    let script = format!(
        "mount -t tmpfs none {scratch}; cd {scratch}; mkdir u w m; \
         mount -t overlay overlay -o userxattr,lowerdir={lowers},upperdir=u,workdir=w m; cd m; \
         find . -mindepth 1 -printf '%m /%P %l\\n' | sort -k2",
        scratch = scratch.path().display(),
        lowers = lowers.join(":"),
    );
    let Some(listing) = in_namespaces(&script) else {
        return;
    };
    let lines: Vec<_> = listing.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "755 /etc",
            "644 /etc/keep",
            "777 /etc/l keep",
            "755 /opt",
            "644 /opt/new",
            "1777 /tmp",
            "644 /tmp/implicit",
            "711 /tree",
            "644 /tree/g",
        ]
    );
    assert!(Path::new(&lowers[0]).starts_with(store.store.dir()));
}

/// Changes made through an overlay become an archive that says the same.
#[test]
fn a_changed_upper_directory_becomes_a_layer() {
    if in_namespaces("true").is_none() || !support::as_root() {
        return;
    }
    let store = test_store();
    let archive = docker_archive(Some("x:1"), &layers()[..1]);
    load(
        &store.store,
        CLUSTER,
        archive.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    let base = store.image("x:1");
    let scratch = tempfile::tempdir_in(store.store.dir()).expect("directory");
    let script = format!(
        "cd {scratch}; mkdir u w m; chmod 755 u; \
         mount -t overlay overlay -o userxattr,lowerdir={lower},upperdir=u,workdir=w m; cd m; \
         rm etc/gone; rm -r opt; mkdir opt; echo -n n > opt/n; ln opt/n opt/hard; mv tree moved; chmod 600 file; ln -s x link",
        scratch = scratch.path().display(),
        lower = base.layers[0].dir.display(),
    );
    if in_namespaces(&script).is_none() {
        return;
    }
    let upper = scratch.path().join("u");
    let write = || {
        coracle_image::rootfs::write_layer(&upper, Vec::new(), 0)
            .expect("archives")
            .0
    };
    let bytes = write();
    assert_eq!(bytes, write(), "the same tree gives the same bytes");
    let both = docker_archive(Some("x:2"), &[layers().remove(0), bytes]);
    load(
        &store.store,
        CLUSTER,
        both.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    let expected = [
        "0755 0:0 /etc/",
        "0644 0:0 /etc/keep 1",
        "0600 0:0 /file 1",
        "/link -> x",
        "0755 0:0 /moved/",
        "0644 0:0 /moved/f 1",
        "0755 0:0 /opt/",
        "0644 0:0 /opt/hard n",
        "0644 0:0 /opt/n n",
        "1777 0:0 /tmp/",
    ];
    assert_eq!(tree(&store.image("x:2").view()), expected);
    // The upper directory itself serves as the layer just as well.
    let direct = coracle_image::rootfs::View::new([base.layers[0].dir.clone(), upper]);
    assert_eq!(tree(&direct), expected);
}
