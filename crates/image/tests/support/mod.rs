//! What the tests share: throw-away stores, archives, trees as text.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coracle_image::build::{
    BuildError, BuildEvent, BuildRequest, Built, Execute, StoreImages, Tools, build,
};
use coracle_image::rootfs::{Found, FoundKind, View};
use coracle_image::store::StoreOptions;
use coracle_image::tar::{Kind, Member, TarWriter};
use coracle_image::{Image, ImageStore, Reference};
use tempfile::TempDir;

pub const CLUSTER: &str = "coracle";

/// A store that is thrown away.
pub struct TestStore {
    pub dir: TempDir,
    pub store: ImageStore,
}

pub fn options() -> StoreOptions {
    StoreOptions {
        durable: false,
        ..StoreOptions::default()
    }
}

pub fn test_store() -> TestStore {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = ImageStore::open_with(dir.path(), options()).expect("a store opens");
    TestStore { dir, store }
}

impl TestStore {
    pub fn build(&self, context: &Path, text: &str) -> Result<Built, BuildError> {
        self.build_with(&request(context, text), None).0
    }

    pub fn build_with(
        &self,
        request: &BuildRequest,
        execute: Option<&dyn Execute>,
    ) -> (Result<Built, BuildError>, Vec<BuildEvent>) {
        let images = StoreImages {
            store: &self.store,
            cluster: CLUSTER,
        };
        let tools = Tools {
            images: &images,
            execute,
        };
        let mut events = Vec::new();
        let built = build(&self.store, CLUSTER, request, &tools, &mut |event| {
            events.push(event)
        });
        (built, events)
    }

    pub fn image(&self, name: &str) -> Image {
        let reference = Reference::parse(name).expect("a reference");
        let image = self.store.resolve(CLUSTER, &reference).expect("resolves");
        image.expect("the image is known")
    }

    /// Everything below the store but locks, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        walk(self.dir.path(), Path::new(""), &mut files);
        files.retain(|file| !file.ends_with(".lock"));
        files.sort();
        files
    }
}

pub fn request(context: &Path, text: &str) -> BuildRequest {
    let mut request = BuildRequest::from_text(context, text.to_owned());
    request.names = vec![Reference::parse("test:1").expect("a reference")];
    request.platform = coracle_image::oci::Platform::parse("linux/amd64").expect("a platform");
    request
}

fn walk(root: &Path, below: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(root.join(below)).expect("listing") {
        let entry = entry.expect("entry");
        let path = below.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            walk(root, &path, files);
        } else {
            files.push(path.display().to_string());
        }
    }
}

/// A directory with the given files; a name that ends in a slash is a
/// directory, a content that starts with `-> ` a link, with `+x ` a program.
pub fn context(files: &[(&str, &str)]) -> TempDir {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().expect("temporary directory");
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        if name.ends_with('/') {
            std::fs::create_dir_all(&path).expect("directory");
            continue;
        }
        if let Some(target) = content.strip_prefix("-> ") {
            symlink(target, &path).expect("link");
            continue;
        }
        let (mode, content) = match content.strip_prefix("+x ") {
            Some(content) => (0o755, content),
            None => (0o644, *content),
        };
        std::fs::write(&path, content).expect("file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
    }
    set_directory_modes(dir.path());
    dir
}

fn set_directory_modes(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("mode");
    for entry in std::fs::read_dir(dir).expect("listing") {
        let entry = entry.expect("entry");
        if entry.file_type().expect("type").is_dir() {
            set_directory_modes(&entry.path());
        }
    }
}

/// The merged tree as lines: `mode uid:gid path content`.
pub fn tree(view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(root) = view.find("/").expect("root") {
        describe(view, &root, &mut lines);
    }
    lines
}

fn describe(view: &View, directory: &Found, lines: &mut Vec<String>) {
    for child in view.children(directory).expect("children") {
        let owner = format!("{:04o} {}:{}", child.mode, child.uid, child.gid);
        let path = child.path.display();
        match &child.kind {
            FoundKind::Directory => {
                lines.push(format!("{owner} {path}/"));
                describe(view, &child, lines);
            }
            FoundKind::Symlink(target) => lines.push(format!("{path} -> {}", target.display())),
            FoundKind::File => {
                let content = std::fs::read(&child.source).expect("content");
                let content = match String::from_utf8(content) {
                    Ok(text) => text,
                    Err(binary) => coracle_image::Digest::of(binary.as_bytes()).to_string(),
                };
                lines.push(format!("{owner} {path} {content}"));
            }
            FoundKind::Other => lines.push(format!("{path} ?")),
        }
    }
}

/// Builds tar archives of whatever members.
#[derive(Default)]
pub struct Tar {
    bytes: Vec<(Member, Vec<u8>)>,
}

impl Tar {
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.member(Member::new(path, Kind::File, 0o644), content)
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.member(Member::new(path, Kind::Directory, mode), "")
    }

    pub fn link(self, path: &str, kind: Kind, target: &str) -> Self {
        let mut member = Member::new(path, kind, 0o777);
        member.link = target.as_bytes().to_vec();
        self.member(member, "")
    }

    pub fn member(mut self, mut member: Member, content: impl AsRef<[u8]>) -> Self {
        member.size = content.as_ref().len() as u64;
        self.bytes.push((member, content.as_ref().to_vec()));
        self
    }

    pub fn finish(self) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        for (member, content) in self.bytes {
            if member.kind == Kind::File {
                writer
                    .file(&member, &mut content.as_slice())
                    .expect("writes");
            } else {
                writer.member(&member).expect("writes");
            }
        }
        writer.finish().expect("finishes")
    }
}

/// A docker-archive of one image with the given layers.
pub fn docker_archive(name: Option<&str>, layers: &[Vec<u8>]) -> Vec<u8> {
    docker_archive_with(name, layers, serde_json::json!({"Cmd": ["/bin/x"]}))
}

pub fn docker_archive_with(
    name: Option<&str>,
    layers: &[Vec<u8>],
    config: serde_json::Value,
) -> Vec<u8> {
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| coracle_image::Digest::of(layer).to_string())
        .collect();
    let platform = coracle_image::oci::Platform::host();
    let config = serde_json::json!({
        "architecture": platform.architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let paths: Vec<String> = (0..layers.len())
        .map(|index| format!("{index}/layer.tar"))
        .collect();
    let manifest = serde_json::json!([{
        "Config": "config.json", "RepoTags": name.map(|name| vec![name]), "Layers": paths,
    }]);
    let mut tar = Tar::default();
    for (path, layer) in paths.iter().zip(layers) {
        tar = tar.file(path, layer);
    }
    tar.file("config.json", config.to_string())
        .file("manifest.json", manifest.to_string())
        .finish()
}

/// All files below a directory with their content, for comparison.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut names = Vec::new();
    walk(dir, Path::new(""), &mut names);
    let read = |name: String| {
        let path = PathBuf::from(name);
        let content = std::fs::read(dir.join(&path)).unwrap_or_default();
        (path, content)
    };
    names.into_iter().map(read).collect()
}

/// Returns true as root. An ordinary user's test is run again as root of a user
/// namespace, where the store is used in earnest, and then false is returned.
pub fn as_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let test = std::thread::current()
        .name()
        .expect("a test's thread")
        .to_owned();
    let output = std::process::Command::new("unshare")
        .arg("-Urm")
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", &test, "--nocapture"])
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    false
}
