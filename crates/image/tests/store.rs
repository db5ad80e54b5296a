//! The store under names, collection, limits, concurrency and sudden death.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use coracle_image::archive::{LoadOptions, load};
use coracle_image::store::{Steps, StoreError, StoreOptions};
use coracle_image::{Digest, ImageStore, Reference};
use support::{CLUSTER, Tar, context, docker_archive, options, test_store, tree};

/// An archive of two layers: one shared by all, one of its own.
fn archive(number: usize) -> Vec<u8> {
    let shared = Tar::default()
        .dir("usr/", 0o755)
        .file("usr/shared", vec![7; 100_000])
        .finish();
    let own = Tar::default()
        .file("own", format!("image {number}"))
        .finish();
    docker_archive(Some(&format!("image:{number}")), &[shared, own])
}

fn load_into(store: &ImageStore, cluster: &str, number: usize) -> Digest {
    let bytes = archive(number);
    let loaded = load(
        store,
        cluster,
        bytes.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    );
    loaded.expect("loads")[0].digest
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).expect("a reference")
}

/// Everything the store names is whole: blobs are what they are called, trees
/// are what they were.
fn assert_whole(store: &ImageStore, cluster: &str) -> usize {
    let listed = store.list(cluster).expect("lists");
    for image in &listed {
        let name = image.reference.clone().expect("named");
        let resolved = store
            .resolve(cluster, &name)
            .expect("whole")
            .expect("known");
        let number: usize = name.tag().expect("tag").parse().expect("number");
        let lines = tree(&resolved.view());
        assert_eq!(lines[0], format!("0644 0:0 /own image {number}"));
        assert_eq!(lines.len(), 3);
        for layer in &resolved.layers {
            let mut blob = store.open_blob(layer.blob.digest).expect("blob");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut blob, &mut bytes).expect("reads");
            assert_eq!(Digest::of(&bytes), layer.blob.digest);
        }
    }
    listed.len()
}

#[test]
fn names_belong_to_clusters_and_layers_to_the_machine() {
    let test = test_store();
    let digest = load_into(&test.store, "one", 1);
    assert_eq!(
        test.store
            .resolve_digest("two", &reference("image:1"))
            .expect("reads"),
        None
    );
    test.store
        .share("one", "two", &reference("image:1"))
        .expect("shares");
    assert_eq!(
        test.store
            .resolve_digest("two", &reference("image:1"))
            .expect("reads"),
        Some(digest)
    );
    let removed = test.store.remove("one", "image:1").expect("removes");
    assert_eq!((removed.len(), removed[0].old), (1, Some(digest)));
    test.store.collect(Steps::Drop).expect("collects");
    assert_eq!(
        assert_whole(&test.store, "two"),
        1,
        "the other cluster's image stays"
    );
    test.store.forget_cluster("two").expect("forgets");
    let collected = test.store.collect(Steps::Drop).expect("collects");
    assert_eq!((collected.layers, collected.blobs), (2, 4));
    assert_eq!(test.store.usage().expect("usage").total_bytes(), 0);
}

#[test]
fn images_are_found_by_name_id_and_digest() {
    let test = test_store();
    let digest = load_into(&test.store, CLUSTER, 1);
    load_into(&test.store, CLUSTER, 2);
    let id = test.store.find(CLUSTER, "image:1").expect("by name").id;
    for text in [
        id.to_string(),
        id.hex(),
        id.short(),
        digest.to_string(),
        digest.short(),
    ] {
        assert_eq!(
            test.store.find(CLUSTER, &text).expect("by id").digest,
            digest,
            "{text}"
        );
    }
    let pinned = reference(&format!("image@{digest}"));
    let image = test
        .store
        .resolve(CLUSTER, &pinned)
        .expect("resolves")
        .expect("known");
    assert_eq!(image.digest, digest);
    let elsewhere = reference(&format!("other@{digest}"));
    assert!(
        test.store
            .resolve(CLUSTER, &elsewhere)
            .expect("resolves")
            .is_none()
    );
    for text in ["image:3", "ffff", "ab", "../names"] {
        let error = test.store.find(CLUSTER, text).expect_err(text);
        assert!(matches!(error, StoreError::NoSuchImage { .. }), "{error}");
    }
}

#[test]
fn removing_an_id_removes_all_its_names() {
    let test = test_store();
    load_into(&test.store, CLUSTER, 1);
    test.store
        .tag(CLUSTER, "image:1", &reference("again:1"))
        .expect("tags");
    let id = test.store.find(CLUSTER, "image:1").expect("by name").id;
    assert_eq!(
        test.store
            .remove(CLUSTER, &id.short())
            .expect("removes")
            .len(),
        2
    );
    assert!(test.store.list(CLUSTER).expect("lists").is_empty());
}

#[test]
fn pins_keep_images_whose_names_are_gone() {
    let test = test_store();
    let digest = load_into(&test.store, CLUSTER, 1);
    test.store.pin(CLUSTER, digest).expect("pins");
    test.store.pin(CLUSTER, digest).expect("pins again");
    test.store.remove(CLUSTER, "image:1").expect("removes");
    test.store.collect(Steps::Drop).expect("collects");
    assert_eq!(
        tree(&test.store.image(digest).expect("kept").view()).len(),
        3
    );
    test.store
        .keep_pins(CLUSTER, &BTreeSet::from([digest]))
        .expect("keeps");
    test.store.collect(Steps::Drop).expect("collects");
    test.store.image(digest).expect("still kept");
    test.store
        .keep_pins(CLUSTER, &BTreeSet::new())
        .expect("lets go");
    test.store.collect(Steps::Drop).expect("collects");
    let gone = test.store.pin(CLUSTER, digest).expect_err("gone");
    assert!(matches!(gone, StoreError::Missing { .. }), "{gone}");
}

#[test]
fn collection_waits_for_images_in_the_making() {
    let test = test_store();
    let stage = test.store.stage().expect("stage");
    assert!(matches!(
        test.store.collect(Steps::Keep),
        Err(StoreError::Busy)
    ));
    drop(stage);
    test.store.collect(Steps::Keep).expect("collects");
}

#[test]
fn build_steps_are_kept_until_dropped() {
    let (test, context) = (test_store(), context(&[("a", "A")]));
    let text = "FROM scratch\nCOPY a /\n";
    test.build(context.path(), text).expect("builds");
    test.store.remove(CLUSTER, "test:1").expect("removes");
    test.store.collect(Steps::Keep).expect("collects");
    assert_eq!(
        test.build(context.path(), text)
            .expect("builds")
            .steps_cached,
        1
    );
    test.store.remove(CLUSTER, "test:1").expect("removes");
    test.store.collect(Steps::Drop).expect("collects");
    assert_eq!(
        test.build(context.path(), text)
            .expect("builds")
            .steps_cached,
        0
    );
}

#[test]
fn a_lost_layer_directory_is_unpacked_again() {
    let test = test_store();
    let digest = load_into(&test.store, CLUSTER, 1);
    let dir = test.store.image(digest).expect("whole").layers[0]
        .dir
        .clone();
    std::fs::remove_dir_all(dir.parent().expect("parent")).expect("removes");
    assert_eq!(assert_whole(&test.store, CLUSTER), 1);
}

#[test]
fn the_disk_limit_is_kept() {
    let dir = tempfile::tempdir().expect("directory");
    let limited = StoreOptions {
        disk_bytes_max: Some(250_000),
        ..options()
    };
    let store = ImageStore::open_with(dir.path(), limited).expect("opens");
    load_into(&store, CLUSTER, 1);
    let big = Tar::default().file("big", vec![1; 200_000]).finish();
    let bytes = docker_archive(Some("big:1"), &[big]);
    let error = load(
        &store,
        CLUSTER,
        bytes.as_slice(),
        &LoadOptions::default(),
        &mut |_| {},
    );
    let error = error.expect_err("too large").to_string();
    assert!(error.contains("limit of 250000 bytes"), "{error}");
    assert_eq!(assert_whole(&store, CLUSTER), 1);
    assert!(
        std::fs::read_dir(dir.path().join("stage"))
            .expect("lists")
            .next()
            .is_none()
    );
}

#[test]
fn a_newer_store_is_refused() {
    let test = test_store();
    std::fs::write(test.dir.path().join("format"), "2\n").expect("writes");
    let error = ImageStore::open(test.dir.path())
        .expect_err("newer")
        .to_string();
    assert!(
        error.contains("has format 2, this version knows up to 1"),
        "{error}"
    );
}

#[test]
fn cluster_names_are_no_paths() {
    let test = test_store();
    for cluster in ["", "..", "a/b", ".hidden", "a\0b"] {
        assert!(test.store.list(cluster).is_err(), "{cluster:?}");
    }
}

/// Started by other tests as a process of its own; does nothing by itself.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("CORACLE_TEST_STORE") else {
        return;
    };
    let first: usize = std::env::var("CORACLE_TEST_FIRST")
        .expect("set")
        .parse()
        .expect("number");
    let store = ImageStore::open_with(dir.as_ref(), options()).expect("opens");
    for number in first..first + 20 {
        let bytes = archive(number % 30);
        let loaded = load(
            &store,
            CLUSTER,
            bytes.as_slice(),
            &LoadOptions::default(),
            &mut |event| {
                tick(&format!("{event:?}"));
            },
        );
        loaded.expect("loads");
        tick("loaded");
        match store.collect(Steps::Keep) {
            Ok(_) | Err(StoreError::Busy) => tick("collected"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn tick(text: &str) {
    println!("tick {text}");
}

fn spawn(dir: &std::path::Path, first: usize) -> std::process::Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("CORACLE_TEST_STORE", dir)
        .env("CORACLE_TEST_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child starts")
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_whole_store() {
    let test = test_store();
    for round in 0..40 {
        let mut child = spawn(test.dir.path(), round);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let ticks = output
            .lines()
            .map_while(Result::ok)
            .filter(|line| line.contains("tick"));
        // Another moment in each round.
        let last = ticks.take(round * 3 + 1).last();
        assert!(last.is_some(), "the child was at work");
        child.kill().expect("kills");
        child.wait().expect("waits");
        let store = ImageStore::open_with(test.dir.path(), options()).expect("opens");
        assert_whole(&store, CLUSTER);
        let staged = std::fs::read_dir(test.dir.path().join("stage"))
            .expect("lists")
            .count();
        assert_eq!(staged, 0, "the dead process's stage is swept");
    }
    let store = ImageStore::open_with(test.dir.path(), options()).expect("opens");
    store.collect(Steps::Drop).expect("collects");
    let images = assert_whole(&store, CLUSTER);
    let layers = std::fs::read_dir(test.dir.path().join("layers"))
        .expect("lists")
        .count();
    assert_eq!(
        layers,
        images + usize::from(images > 0),
        "nothing unreachable is left"
    );
}

#[test]
fn processes_and_threads_share_a_store() {
    let test = test_store();
    let children: Vec<_> = (0..3)
        .map(|index| spawn(test.dir.path(), index * 7))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..2_usize {
            let store = &test.store;
            scope.spawn(move || {
                for number in 0..15 {
                    load_into(store, CLUSTER, (number + thread * 5) % 30);
                    store
                        .tag(
                            CLUSTER,
                            &format!("image:{}", (number + thread * 5) % 30),
                            &reference("latest:0"),
                        )
                        .expect("tags");
                    match store.collect(Steps::Keep) {
                        Ok(_) | Err(StoreError::Busy) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    for child in children {
        let output = child.wait_with_output().expect("waits");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    test.store.remove(CLUSTER, "latest:0").expect("removes");
    assert_eq!(assert_whole(&test.store, CLUSTER), 30);
}
