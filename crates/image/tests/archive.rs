//! Loading and saving: formats, names, hostile and broken archives.

mod support;

use coracle_image::archive::{Format, LoadOptions, SaveOptions, load, load_file, save};
use coracle_image::store::StoreOptions;
use coracle_image::tar::{Kind, Member};
use coracle_image::{ImageStore, Reference};
use support::{
    CLUSTER, Tar, TestStore, context, docker_archive, docker_archive_with, test_store, tree,
};

fn load_bytes(
    store: &ImageStore,
    bytes: &[u8],
) -> Result<Vec<coracle_image::archive::Loaded>, String> {
    let loaded = load(store, CLUSTER, bytes, &LoadOptions::default(), &mut |_| {});
    loaded.map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    })
}

fn saved(store: &TestStore, names: &[&str], options: &SaveOptions) -> Vec<u8> {
    let images: Vec<_> = names.iter().map(|name| store.image(name)).collect();
    let mut bytes = Vec::new();
    save(&store.store, &images, options, &mut bytes).expect("saves");
    bytes
}

fn layer() -> Vec<u8> {
    let mut owned = Member::new("etc/f", Kind::File, 0o4640);
    (owned.uid, owned.gid) = (0, 0);
    Tar::default()
        .dir("etc/", 0o755)
        .member(owned, "content")
        .finish()
}

#[test]
fn a_docker_archive_loads_whole() {
    let store = test_store();
    let upper = Tar::default()
        .dir("etc/", 0o755)
        .file("etc/.wh.f", "")
        .file("etc/g", "new")
        .link("l", Kind::Symlink, "/etc/g")
        .finish();
    let archive = docker_archive(Some("todo:v1"), &[layer(), upper]);
    let loaded = load_bytes(&store.store, &archive).expect("loads");
    assert_eq!((loaded[0].layers, loaded[0].layers_new), (2, 2));
    assert_eq!(
        loaded[0].names[0].reference,
        Some(Reference::parse("todo:v1").expect("valid"))
    );
    let image = store.image("todo:v1");
    assert_eq!(image.default_command(), ["/bin/x"]);
    assert_eq!(image.size_bytes, 10);
    assert_eq!(
        tree(&image.view()),
        ["0755 0:0 /etc/", "0644 0:0 /etc/g new", "/l -> /etc/g"]
    );
    let again = load_bytes(&store.store, &archive).expect("loads");
    assert_eq!(again[0].layers_new, 0);
    assert!(!again[0].names[0].is_new_digest_under_old_name());
}

#[test]
fn saved_images_load_with_the_same_digest() {
    let (store, context) = (test_store(), context(&[("a", "A"), ("d/b", "B")]));
    store
        .build(context.path(), "FROM scratch\nCOPY . /\nUSER 5:5\n")
        .expect("builds");
    let two = Reference::parse("registry.local/two:2").expect("valid");
    store.store.tag(CLUSTER, "test:1", &two).expect("tags");
    for format in [Format::Docker, Format::Oci] {
        for gzip in [false, true] {
            let options = SaveOptions { format, gzip };
            let bytes = saved(&store, &["test:1", "registry.local/two:2"], &options);
            assert_eq!(
                bytes,
                saved(&store, &["test:1", "registry.local/two:2"], &options),
                "same bytes"
            );
            let other = test_store();
            load_bytes(&other.store, &bytes).expect("loads");
            for name in ["test:1", "registry.local/two:2"] {
                assert_eq!(
                    other.image(name).digest,
                    store.image(name).digest,
                    "{name} {format:?}"
                );
            }
        }
    }
}

#[test]
fn an_oci_directory_loads() {
    let (store, context) = (test_store(), context(&[("a", "A")]));
    store
        .build(context.path(), "FROM scratch\nCOPY . /\n")
        .expect("builds");
    let bytes = saved(
        &store,
        &["test:1"],
        &SaveOptions {
            format: Format::Oci,
            gzip: false,
        },
    );
    let directory = tempfile::tempdir().expect("directory");
    let limits = coracle_image::rootfs::Limits::default();
    coracle_image::rootfs::unpack(bytes.as_slice(), directory.path(), &limits).expect("unpacks");
    let other = test_store();
    let loaded = load_file(
        &other.store,
        CLUSTER,
        directory.path(),
        &LoadOptions::default(),
        &mut |_| {},
    );
    assert_eq!(
        loaded.expect("loads")[0].digest,
        store.image("test:1").digest
    );
}

#[test]
fn an_archive_of_several_images_loads_all() {
    let store = test_store();
    let (one, two) = (test_store(), test_store());
    one.build(context(&[("a", "A")]).path(), "FROM scratch\nCOPY . /\n")
        .expect("builds");
    drop(two);
    let second = Reference::parse("second:1").expect("valid");
    one.store.tag(CLUSTER, "test:1", &second).expect("tags");
    one.build(context(&[("b", "B")]).path(), "FROM scratch\nCOPY . /\n")
        .expect("builds");
    let bytes = saved(&one, &["test:1", "second:1"], &SaveOptions::default());
    let loaded = load_bytes(&store.store, &bytes).expect("loads");
    assert_eq!(loaded.len(), 2);
    assert_ne!(store.image("test:1").digest, store.image("second:1").digest);
}

#[test]
fn an_image_without_a_name_is_known_by_its_id_or_a_given_name() {
    let store = test_store();
    let archive = docker_archive(None, &[layer()]);
    let loaded = load_bytes(&store.store, &archive).expect("loads");
    let id = loaded[0].id;
    assert_eq!(
        store.store.find(CLUSTER, &id.short()).expect("by id").id,
        id
    );
    assert_eq!(
        store
            .store
            .find(CLUSTER, &id.to_string())
            .expect("by id")
            .id,
        id
    );
    let options = LoadOptions {
        name: Some(Reference::parse("given:1").expect("valid")),
        ..LoadOptions::default()
    };
    load(
        &store.store,
        CLUSTER,
        archive.as_slice(),
        &options,
        &mut |_| {},
    )
    .expect("loads");
    assert_eq!(store.image("given:1").id, id);
}

#[test]
fn old_archives_share_layers_by_links() {
    let store = test_store();
    let archive = docker_archive(Some("x:1"), &[layer()]);
    let mut reader = coracle_image::tar::TarReader::new(archive.as_slice());
    let mut tar = Tar::default();
    while let Some(member) = reader.next_member().expect("reads") {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut content).expect("reads");
        if member.path == b"0/layer.tar" {
            tar = tar.file("other/layer.tar", content).link(
                "0/layer.tar",
                Kind::Symlink,
                "../other/layer.tar",
            );
        } else {
            tar = tar.member(member, content);
        }
    }
    load_bytes(&store.store, &tar.finish()).expect("loads");
    assert_eq!(store.image("x:1").layers.len(), 1);
}

/// Loads a hostile archive: it must be refused with this message and leave
/// the store as it was.
fn refused(archive: &[u8], expected: &str) {
    let store = test_store();
    let before = store.files();
    let error = load_bytes(&store.store, archive).expect_err(expected);
    assert!(error.contains(expected), "{expected}: {error}");
    assert_eq!(before, store.files(), "{expected}");
}

fn with_layer(layer: Tar) -> Vec<u8> {
    docker_archive(Some("evil:1"), &[layer.finish()])
}

#[test]
fn hostile_layers_are_refused_and_leave_nothing() {
    let link = |target: &str| Tar::default().link("x", Kind::HardLink, target);
    let cases = [
        (Tar::default().file("../evil", "x"), "climb"),
        (Tar::default().file("a/../../evil", "x"), "climb"),
        (Tar::default().file("a/..", "x"), "climb"),
        (link("../../etc/passwd"), "climb"),
        (link("/etc/passwd"), "not in this layer"),
        (
            Tar::default()
                .dir("d/", 0o755)
                .link("x", Kind::HardLink, "d"),
            "directory",
        ),
        (Tar::default().file(".", "x"), "only a directory"),
        (Tar::default().file(".wh...", "x"), "hides nothing"),
        (Tar::default().file(".wh.", "x"), "hides nothing"),
        (
            Tar::default().file("f", "x").file("f/g", "x"),
            "no directory",
        ),
        (
            Tar::default()
                .link("a", Kind::Symlink, "b")
                .link("b", Kind::Symlink, "a")
                .file("a/x", "x"),
            "loop",
        ),
        (
            Tar::default()
                .link("a", Kind::Symlink, "nowhere")
                .file("a/x", "x"),
            "link to nothing",
        ),
        (
            Tar::default()
                .file(&"d/".repeat(600), "x")
                .file(&("d/".repeat(600) + "f"), "x"),
            "too deep",
        ),
        (Tar::default().file(&"n".repeat(300), "x"), "255"),
    ];
    for (layer, expected) in cases {
        refused(&with_layer(layer), expected);
    }
}

#[test]
fn links_out_of_the_layer_stay_in_the_layer() {
    let store = test_store();
    let outside = tempfile::tempdir().expect("directory");
    let target = outside.path().display().to_string();
    let layer = Tar::default()
        .dir(target.trim_start_matches('/'), 0o755)
        .link("escape", Kind::Symlink, &target)
        .link("climb", Kind::Symlink, "../../../../../../../../..")
        .file("escape/f", "inside")
        .file("climb/g", "inside")
        .file("/absolute", "inside");
    load_bytes(&store.store, &with_layer(layer)).expect("loads");
    assert_eq!(
        std::fs::read_dir(outside.path()).expect("listing").count(),
        0
    );
    let view = store.image("evil:1").view();
    assert_eq!(
        view.read(format!("{target}/f"), 10)
            .expect("reads")
            .as_deref(),
        Some(&b"inside"[..])
    );
    assert_eq!(
        view.read("/g", 10).expect("reads").as_deref(),
        Some(&b"inside"[..])
    );
    assert_eq!(
        view.read("/absolute", 10).expect("reads").as_deref(),
        Some(&b"inside"[..])
    );
}

#[test]
fn a_file_never_writes_through_a_link_of_its_name() {
    let store = test_store();
    let outside = tempfile::NamedTempFile::new().expect("file");
    let layer = Tar::default()
        .link("f", Kind::Symlink, &outside.path().display().to_string())
        .file("f", "new")
        .file("real", "old")
        .link("hard", Kind::HardLink, "real")
        .file("hard", "new");
    load_bytes(&store.store, &with_layer(layer)).expect("loads");
    assert_eq!(std::fs::read(outside.path()).expect("reads"), b"");
    let view = store.image("evil:1").view();
    assert_eq!(
        view.read("/real", 10).expect("reads").as_deref(),
        Some(&b"old"[..])
    );
    assert_eq!(
        view.read("/f", 10).expect("reads").as_deref(),
        Some(&b"new"[..])
    );
}

#[test]
fn device_nodes_and_overlay_marks_do_not_come_into_being() {
    let store = test_store();
    let mut marked = Member::new("d/", Kind::Directory, 0o755);
    marked
        .xattrs
        .insert(b"user.overlay.redirect".to_vec(), b"/etc".to_vec());
    marked
        .xattrs
        .insert(b"user.overlay.opaque".to_vec(), b"y".to_vec());
    marked
        .xattrs
        .insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    let layer = Tar::default()
        .member(Member::new("null", Kind::Char, 0o666), "")
        .member(Member::new("disk", Kind::Block, 0o666), "")
        .member(Member::new("pipe", Kind::Fifo, 0o644), "")
        .member(marked, "");
    let below = Tar::default().dir("d/", 0o755).file("d/f", "x").finish();
    let archive = docker_archive(Some("evil:1"), &[below, layer.finish()]);
    load_bytes(&store.store, &archive).expect("loads");
    let image = store.image("evil:1");
    assert_eq!(
        tree(&image.view()),
        ["0755 0:0 /d/", "0644 0:0 /d/f x", "/pipe ?"]
    );
    let mut names = [0; 256];
    let length = rustix::fs::listxattr(image.layers[1].dir.join("d"), names.as_mut_slice())
        .expect("attributes");
    assert!(!String::from_utf8_lossy(&names[..length]).contains("overlay"));
}

#[test]
fn broken_archives_are_refused_and_leave_nothing() {
    let good = docker_archive(Some("x:1"), &[layer()]);
    for length in [0, 100, 512, 700, 1536, good.len() / 2, good.len() - 1200] {
        let store = test_store();
        assert!(
            load_bytes(&store.store, &good[..length]).is_err(),
            "{length}"
        );
        assert!(store.store.list(CLUSTER).expect("lists").is_empty());
        assert_eq!(store.store.usage().expect("usage").total_bytes(), 0);
    }
    refused(
        b"not an archive at all, but some text that is long enough",
        "archive",
    );
    refused(
        &Tar::default().file("readme", "x").finish(),
        "holds no image",
    );
    refused(
        &Tar::default().file("manifest.json", "[]").finish(),
        "holds no image",
    );
    refused(
        &Tar::default().file("manifest.json", "{").finish(),
        "manifest.json is broken",
    );
    let missing = r#"[{"Config":"c.json","RepoTags":["x:1"],"Layers":[]}]"#;
    refused(
        &Tar::default().file("manifest.json", missing).finish(),
        "c.json, which is not in the archive",
    );
    refused(
        &docker_archive(Some("Not A Name"), &[layer()]),
        "invalid image reference",
    );
    refused(
        &Tar::default()
            .link("x", Kind::Symlink, "../../out")
            .finish(),
        "out of the archive",
    );
    refused(
        &Tar::default()
            .link("x", Kind::Symlink, "/etc/passwd")
            .finish(),
        "out of the archive",
    );
    refused(
        &Tar::default().file("../manifest.json", "[]").finish(),
        "climb",
    );
    refused(
        &Tar::default()
            .member(Member::new("x", Kind::Char, 0), "")
            .finish(),
        "no place",
    );
}

#[test]
fn a_digest_that_does_not_match_is_refused() {
    let good = docker_archive(Some("x:1"), &[layer()]);
    let text = String::from_utf8_lossy(&good).into_owned();
    let diff_id = coracle_image::Digest::of(&layer()).hex();
    assert!(text.contains(&diff_id));
    let position = text.find(&diff_id).expect("present");
    let mut bad = good.clone();
    bad[position] = if bad[position] == b'0' { b'1' } else { b'0' };
    refused(&bad, "an uncompressed layer has digest");
    // In an OCI layout the blob's name is its digest.
    let (store, context) = (test_store(), context(&[("a", "A")]));
    store
        .build(context.path(), "FROM scratch\nCOPY . /\n")
        .expect("builds");
    let mut oci = saved(
        &store,
        &["test:1"],
        &SaveOptions {
            format: Format::Oci,
            gzip: false,
        },
    );
    let blob = store.image("test:1").layers[0].blob.digest.hex();
    let name = format!("blobs/sha256/{blob}");
    let header = oci
        .windows(name.len())
        .position(|window| window == name.as_bytes())
        .expect("blob");
    // The file's one byte of content, in the layer's own archive.
    oci[header + 512 + 512] ^= 1;
    refused(&oci, "has digest");
}

#[test]
fn bombs_are_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let mut options = StoreOptions {
        durable: false,
        ..StoreOptions::default()
    };
    options.limits.layer_bytes_max = 1 << 20;
    options.limits.members_max = 100;
    let store = ImageStore::open_with(dir.path(), options).expect("opens");
    let gzip = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gz, bytes).expect("compresses");
        gz.finish().expect("compresses")
    };
    let bomb = Tar::default().file("zeros", vec![0; 8 << 20]).finish();
    let diff_id = coracle_image::Digest::of(&bomb).to_string();
    let small = gzip(&bomb);
    assert!(small.len() < 20_000);
    let config = serde_json::json!({"architecture": coracle_image::oci::Platform::host().architecture,
        "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let manifest = r#"[{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}]"#;
    let archive = Tar::default()
        .file("l", small)
        .file("c", config.to_string())
        .file("manifest.json", manifest)
        .finish();
    let error = load_bytes(&store, &archive).expect_err("bomb");
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    let many = (0..200).fold(Tar::default(), |tar, index| {
        tar.file(&index.to_string(), "")
    });
    let error =
        load_bytes(&store, &docker_archive(Some("x:1"), &[many.finish()])).expect_err("bomb");
    assert!(error.contains("more than 100 files"), "{error}");
    assert_eq!(store.usage().expect("usage").total_bytes(), 0);
}

#[test]
fn an_image_for_another_platform_is_named() {
    let (store, context) = (test_store(), context(&[]));
    let mut request = support::request(context.path(), "FROM scratch\n");
    request.platform = coracle_image::oci::Platform::parse("linux/s390x").expect("valid");
    store.build_with(&request, None).0.expect("builds");
    let oci = saved(
        &store,
        &["test:1"],
        &SaveOptions {
            format: Format::Oci,
            gzip: false,
        },
    );
    let error = load_bytes(&test_store().store, &oci).expect_err("elsewhere");
    assert!(error.contains("only for linux/s390x"), "{error}");
}

#[test]
fn configuration_nobody_expects_does_not_hurt() {
    let store = test_store();
    let config = serde_json::json!({"Cmd": null, "Env": ["A"], "Unknown": {"x": [1]}});
    load_bytes(
        &store.store,
        &docker_archive_with(Some("x:1"), &[layer()], config),
    )
    .expect("loads");
    assert!(store.image("x:1").default_command().is_empty());
}

#[test]
fn a_layer_compressed_with_zstd_loads() {
    let zstd = std::process::Command::new("zstd").arg("--version").output();
    let compressed = match zstd {
        Ok(_) => {
            let dir = tempfile::tempdir().expect("directory");
            std::fs::write(dir.path().join("l"), layer()).expect("writes");
            let run = std::process::Command::new("zstd")
                .arg("-q")
                .arg(dir.path().join("l"))
                .status();
            assert!(run.expect("zstd runs").success());
            std::fs::read(dir.path().join("l.zst")).expect("reads")
        }
        // One raw block in one frame says the same to a decoder (RFC 8878).
        Err(_) => raw_zstd(&layer()),
    };
    let store = test_store();
    let config = serde_json::json!({"architecture": coracle_image::oci::Platform::host().architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [coracle_image::Digest::of(&layer()).to_string()]}});
    let manifest = r#"[{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}]"#;
    let archive = Tar::default()
        .file("l", compressed)
        .file("c", config.to_string())
        .file("manifest.json", manifest)
        .finish();
    load_bytes(&store.store, &archive).expect("loads");
    let image = store.image("x:1");
    assert_eq!(
        image.layers[0].blob.media_type,
        coracle_image::oci::media_type::LAYER_ZSTD
    );
    assert_eq!(tree(&image.view()).len(), 2);
}

fn raw_zstd(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    // Magic, a single segment with a four-byte size, one raw last block.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(content);
    frame
}

#[test]
fn a_file_is_read_only_where_something_is_new() {
    let store = test_store();
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("a.tar");
    let file = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("writes");
        load_file(
            &store.store,
            CLUSTER,
            &path,
            &LoadOptions::default(),
            &mut |_| {},
        )
    };
    let big = Tar::default().file("big", vec![7; 300_000]).finish();
    let first = docker_archive(Some("x:1"), &[big.clone(), layer()]);
    let loaded = file(&first).expect("loads");
    assert_eq!(loaded[0].layers_new, 2);
    // A layer that is known by its digest is not read: its bytes do not matter.
    let mut spoiled = first.clone();
    let at = spoiled
        .windows(64)
        .position(|window| window == [7; 64])
        .expect("content");
    spoiled[at] = 8;
    let again = file(&spoiled).expect("loads");
    assert_eq!(
        (again[0].layers_new, again[0].digest),
        (0, loaded[0].digest)
    );
    assert_eq!(
        store
            .image("x:1")
            .view()
            .read("/big", 1 << 20)
            .expect("reads"),
        Some(vec![7; 300_000])
    );
    // One that is not known is read and checked.
    let third = Tar::default().file("third", vec![9; 100_000]).finish();
    let mut other = docker_archive(Some("x:2"), &[big, third]);
    assert_eq!(file(&other).expect("loads")[0].layers_new, 1);
    let at = other
        .windows(64)
        .position(|window| window == [9; 64])
        .expect("content");
    other[at] = 8;
    let fresh = test_store();
    std::fs::write(&path, &other).expect("writes");
    let error = load_file(
        &fresh.store,
        CLUSTER,
        &path,
        &LoadOptions::default(),
        &mut |_| {},
    );
    assert!(
        error
            .expect_err("spoiled")
            .to_string()
            .contains("has digest")
    );
    std::fs::write(&path, &other[..60_000]).expect("writes");
    let error = load_file(
        &fresh.store,
        CLUSTER,
        &path,
        &LoadOptions::default(),
        &mut |_| {},
    );
    assert!(error.is_err(), "cut short");
    assert_eq!(fresh.store.usage().expect("usage").total_bytes(), 0);
}
