//! `cargo xtask vm-test [CASE…]`: the runtime's suite, and a whole cluster, on a
//! stock distribution kernel with cgroup v2 alone, in QEMU: as root, as a user
//! with and without a delegated cgroup, in a session of systemd, with a range of
//! ids, and with user namespaces forbidden. The names of cases stand in
//! `vm/tests.sh`.
//!
//! Needs Debian's `qemu-system-x86`, `busybox-static`, `uidmap` and `e2fsprogs`,
//! and a package archive to fetch the kernel from. With `/dev/kvm` it takes a
//! minute or two, without it many.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// The package that always names the newest kernel.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What the kernel cannot find its disk without, in the order of loading.
const MODULES: [&str; 6] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
];
const DISK_SIZE: &str = "2G";
const FIRST: &str = include_str!("vm/first.sh");
const SCRIPT: &str = include_str!("vm/tests.sh");

/// Programs of this machine's that the other one has too, at the same places.
const PROGRAMS: [&str; 3] = [
    "/lib/systemd/systemd",
    "/usr/bin/newuidmap",
    "/usr/bin/newgidmap",
];

/// Prepares the machine, boots it with these cases or all, and reads what it says.
pub fn run(cases: &[String]) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm");
    fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let kernel = Kernel::fetch(&folder)?;
    let disk = disk(&folder, &kernel)?;
    let first = first_root(&folder, &kernel)?;
    boot(&kernel, &first, &disk, cases)
}

struct Kernel {
    image: PathBuf,
    /// The folder `lib/modules/VERSION`.
    modules: PathBuf,
}

impl Kernel {
    /// Fetches the newest kernel's package, once.
    fn fetch(folder: &Path) -> anyhow::Result<Kernel> {
        let depends = said(Command::new("apt-cache").args(["depends", KERNEL]))?;
        let package = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .with_context(|| format!("{KERNEL} names no kernel; run `apt-get update`"))?;
        let target = folder.join(package);
        if !target.exists() {
            let download = folder.join("download");
            fs::create_dir_all(&download)?;
            let mut command = Command::new("apt-get");
            done(command.args(["download", package]).current_dir(&download))?;
            let entries = fs::read_dir(&download)?.flatten();
            let archive = entries.map(|entry| entry.path()).next();
            let archive = archive.context("apt-get left no package")?;
            let work = folder.join("unpacked");
            done(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&work))?;
            fs::remove_dir_all(&download)?;
            fs::rename(&work, &target)?;
        }
        let version = package.trim_start_matches("linux-image-");
        let modules = target.join("lib/modules").join(version);
        let mut depmod = Command::new("busybox");
        done(depmod.arg("depmod").arg("-b").arg(&target).arg(version))?;
        Ok(Kernel {
            image: target.join("boot").join(format!("vmlinuz-{version}")),
            modules,
        })
    }

    /// Finds a module by its name.
    fn module(&self, name: &str) -> anyhow::Result<PathBuf> {
        let list = fs::read_to_string(self.modules.join("modules.dep"))?;
        let file = format!("/{name}.ko");
        list.lines()
            .filter_map(|line| line.split(':').next())
            .find(|path| path.ends_with(&file))
            .map(|path| self.modules.join(path))
            .with_context(|| format!("the kernel has no module {name}"))
    }
}

/// Builds a program of the workspace and returns where it is.
fn built(words: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).arg("--message-format=json");
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo {words:?} failed");
    let text = String::from_utf8(output.stdout)?;
    let mut programs = text.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    programs.next_back().context("cargo built no program")
}

/// Copies a program without what only a debugger reads.
fn place(program: &Path, to: &Path) -> anyhow::Result<()> {
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(to)
        .arg(program)
        .status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(program, to)?;
    }
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// Copies a program with the libraries it names.
fn place_whole(program: &str, root: &Path) -> anyhow::Result<()> {
    let list = said(Command::new("ldd").arg(program))?;
    let libraries = list
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|word| word.trim_end_matches(':'));
    for path in libraries.chain([program]) {
        let to = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
        fs::copy(path, to)?;
    }
    Ok(())
}

fn script(text: &str, to: &Path) -> anyhow::Result<()> {
    fs::write(to, text)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// Makes a folder anew, with busybox in it.
fn fresh(folder: PathBuf) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("bin"))?;
    let which = said(Command::new("sh").args(["-c", "command -v busybox"]))?;
    fs::copy(which.trim(), folder.join("bin/busybox"))?;
    Ok(folder)
}

/// Makes the machine's disk.
fn disk(folder: &Path, kernel: &Kernel) -> anyhow::Result<PathBuf> {
    let root = fresh(folder.join("root"))?;
    for name in [
        "sbin",
        "etc",
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "home/user",
        "root",
        "lib/modules",
    ] {
        fs::create_dir_all(root.join(name))?;
    }
    let list = said(Command::new("busybox").arg("--list"))?;
    for name in list.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name))?;
    }
    let version = kernel
        .modules
        .file_name()
        .context("modules have a version")?;
    let modules = root.join("lib/modules").join(version);
    done(
        Command::new("cp")
            .arg("-r")
            .arg(&kernel.modules)
            .arg(&modules),
    )?;
    // The kernel asks for modules by this name.
    symlink("../bin/busybox", root.join("sbin/modprobe"))?;
    let suite = [
        "test",
        "-p",
        "coracle-runtime",
        "--test",
        "containers",
        "--no-run",
    ];
    place(&built(&suite)?, &root.join("bin/suite"))?;
    place(
        // Emulated, what is not optimised takes longer than commands wait.
        &built(&["build", "--release", "-p", "coracle"])?,
        &root.join("bin/coracle"),
    )?;
    for program in PROGRAMS {
        if Path::new(program).exists() {
            place_whole(program, &root)?;
        } else {
            println!("{program} is not on this machine: its cases are left out");
        }
    }
    let passwd = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
    fs::write(root.join("etc/passwd"), passwd)?;
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
    script(SCRIPT, &root.join("sbin/init"))?;
    let disk = folder.join("disk");
    if disk.exists() {
        fs::remove_file(&disk)?;
    }
    let mut make = Command::new("/sbin/mke2fs");
    make.args(["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d"]);
    done(make.arg(&root).arg(&disk).arg(DISK_SIZE))?;
    Ok(disk)
}

/// Makes the small root that finds the disk.
fn first_root(folder: &Path, kernel: &Kernel) -> anyhow::Result<PathBuf> {
    let root = fresh(folder.join("first"))?;
    for (number, name) in MODULES.iter().enumerate() {
        let module = kernel.module(name)?;
        fs::copy(module, root.join(format!("{number}.ko")))?;
    }
    script(FIRST, &root.join("init"))?;
    let archive = folder.join("first.cpio");
    let pack = format!("find . | busybox cpio -o -H newc > {}", archive.display());
    let mut command = Command::new("sh");
    let packed = command
        .args(["-c", &pack])
        .current_dir(&root)
        .stderr(Stdio::null());
    done(packed)?;
    Ok(archive)
}

/// Boots and passes on what the machine says until it is off.
fn boot(kernel: &Kernel, first: &Path, disk: &Path, cases: &[String]) -> anyhow::Result<()> {
    let mut qemu = Command::new("qemu-system-x86_64");
    // Some hosts offer the device without the processor's help, and hang.
    let helped = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let helped = helped.contains(" vmx") || helped.contains(" svm");
    let kvm = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    match kvm.ok().filter(|_| helped) {
        Some(_) => qemu.args(["-accel", "kvm", "-cpu", "host"]),
        None => qemu.args(["-accel", "tcg", "-cpu", "max"]),
    };
    // Ticks of an emulated clock come late on a busy host; it is no fault of
    // the machine then (kernel-parameters.txt, no_timer_check).
    let parameters = format!(
        "console=ttyS0 quiet panic=-1 no_timer_check cases={}",
        cases.join(",")
    );
    qemu.args(["-m", "2048", "-smp", "2", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-monitor", "none", "-nic", "none"])
        .args(["-append", &parameters])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(first)
        .arg("-drive")
        .arg(format!("file={},format=raw,if=virtio", disk.display()));
    let mut machine = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("qemu-system-x86_64 is not installed (Debian: qemu-system-x86)")?;
    let stdout = machine.stdout.take().context("it is piped")?;
    let mut results = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.unwrap_or_default();
        println!("{line}");
        if let Some(result) = line.trim_end().strip_prefix("RESULT ") {
            results.push(result.to_owned());
        }
    }
    machine.wait()?;
    println!("\n{}", results.join("\n"));
    if results.last().map(String::as_str) != Some("all: done") {
        bail!("the machine ended before its tests did");
    }
    let failed = results.iter().filter(|line| line.contains(": failed"));
    ensure!(failed.count() == 0, "some failed");
    Ok(())
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} cannot be run"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}

fn done(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{command:?} cannot be run"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
