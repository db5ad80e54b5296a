//! The store in namespaces of its own: a single mapped id, a disk that is
//! full. Each test starts this program again inside.

mod support;

use std::path::Path;
use std::process::Command;

use coracle_image::ImageStore;
use coracle_image::archive::{LoadOptions, load};
use coracle_image::rootfs::write_layer;
use coracle_image::store::{Steps, StoreError, StoreOptions};
use coracle_image::tar::{Kind, Member, TarReader};
use support::{CLUSTER, Tar, docker_archive, options, tree};

const INSIDE: &str = "CORACLE_TEST_INSIDE";

/// Runs `test` of this program in a new user and mount namespace, after
/// `prepare`; false when this machine does not allow that.
fn inside(test: &str, prepare: &str) -> bool {
    let allowed = Command::new("unshare").args(["-Urm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "user namespaces are needed in CI"
        );
        skip();
        return false;
    }
    let dir = tempfile::tempdir().expect("directory");
    let script = format!("{prepare}\nexec \"$@\"");
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-ec", &script, "sh"])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, dir.path())
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    true
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip() {
    eprintln!("SKIPPED: user namespaces are not allowed here");
}

fn owned(path: &str, kind: Kind, uid: u32, gid: u32) -> Member {
    let mut member = Member::new(path, kind, 0o750);
    (member.uid, member.gid) = (uid, gid);
    member
}

#[test]
fn owners_without_a_mapping_are_recorded() {
    let Some(dir) = std::env::var_os(INSIDE) else {
        inside("owners_without_a_mapping_are_recorded", "");
        return;
    };
    let store = ImageStore::open_with(Path::new(&dir), options()).expect("opens");
    let layer = Tar::default()
        .member(owned("home/", Kind::Directory, 1000, 1001), "")
        .member(owned("home/f", Kind::File, 1000, 1001), "x")
        .member(owned("root", Kind::File, 0, 0), "y")
        .finish();
    let archive = docker_archive(Some("x:1"), &[layer]);
    load(
        &store,
        CLUSTER,
        archive.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    let image = store.find(CLUSTER, "x:1").expect("known");
    let expected = [
        "0750 1000:1001 /home/",
        "0750 1000:1001 /home/f x",
        "0750 0:0 /root y",
    ];
    assert_eq!(tree(&image.view()), expected);
    use std::os::unix::fs::MetadataExt;
    let real = std::fs::metadata(image.layers[0].dir.join("home/f")).expect("there");
    assert_eq!(real.uid(), 0, "only one id exists here");
    // An archive made from the directory says what was meant.
    let (bytes, _) = write_layer(&image.layers[0].dir, Vec::new(), 0).expect("archives");
    let mut reader = TarReader::new(bytes.as_slice());
    let mut owners = Vec::new();
    while let Some(member) = reader.next_member().expect("reads") {
        owners.push((
            String::from_utf8_lossy(&member.path).into_owned(),
            member.uid,
            member.gid,
        ));
    }
    let expected = [
        ("home/", 1000, 1001),
        ("home/f", 1000, 1001),
        ("root", 0, 0),
    ];
    let owners: Vec<_> = owners
        .iter()
        .map(|(path, uid, gid)| (path.as_str(), *uid, *gid))
        .collect();
    assert_eq!(owners, expected);
}

#[test]
fn a_full_disk_is_one_clear_message_and_nothing_half_made() {
    let Some(dir) = std::env::var_os(INSIDE) else {
        let prepare = format!("mount -t tmpfs -o size=8m none \"${INSIDE}\"");
        inside(
            "a_full_disk_is_one_clear_message_and_nothing_half_made",
            &prepare,
        );
        return;
    };
    let store = ImageStore::open_with(Path::new(&dir), options()).expect("opens");
    let small = docker_archive(
        Some("small:1"),
        &[Tar::default().file("f", vec![1; 1 << 20]).finish()],
    );
    load(
        &store,
        CLUSTER,
        small.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    // The first does not fit as a blob, the second not once it is unpacked.
    for bytes in [9 << 20, 4 << 20] {
        let layer = Tar::default().file("big", vec![2; bytes]).finish();
        let archive = docker_archive(Some("big:1"), &[layer]);
        let error = load(
            &store,
            CLUSTER,
            archive.as_slice(),
            &LoadOptions::default(),
            &mut |_| {},
        );
        let error = error.expect_err("does not fit").to_string();
        assert!(
            error.contains("no space left on the disk") && error.contains("image rm"),
            "{error}"
        );
    }
    assert_eq!(store.list(CLUSTER).expect("lists").len(), 1);
    assert_eq!(
        tree(&store.find(CLUSTER, "small:1").expect("known").view()).len(),
        1
    );
    let staged = std::fs::read_dir(Path::new(&dir).join("stage"))
        .expect("lists")
        .count();
    assert_eq!(staged, 0);
    store.remove(CLUSTER, "small:1").expect("removes");
    store.collect(Steps::Drop).expect("collects");
    let archive = docker_archive(
        Some("fits:1"),
        &[Tar::default().file("f", vec![2; 3 << 20]).finish()],
    );
    load(
        &store,
        CLUSTER,
        archive.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("fits now");
}

#[test]
fn a_closed_layer_directory_can_be_removed_by_an_ordinary_user() {
    let dir = tempfile::tempdir().expect("directory");
    let limited = StoreOptions {
        durable: false,
        ..StoreOptions::default()
    };
    let store = ImageStore::open_with(dir.path(), limited).expect("opens");
    let layer = Tar::default()
        .dir("closed/", 0o000)
        .file("closed/f", "x")
        .dir("read-only/", 0o555)
        .file("read-only/f", "x")
        .finish();
    let archive = docker_archive(Some("x:1"), &[layer]);
    load(
        &store,
        CLUSTER,
        archive.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    )
    .expect("loads");
    store.remove(CLUSTER, "x:1").expect("removes");
    match store.collect(Steps::Drop) {
        Ok(collected) => assert_eq!(collected.layers, 1),
        Err(error) => assert!(matches!(error, StoreError::Busy), "{error}"),
    }
}
