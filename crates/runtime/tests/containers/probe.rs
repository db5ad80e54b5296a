//! The program inside the containers: a script of simple commands, separated
//! by `; `, each of which prints what it sees. A command that fails prints
//! `! ` and the kernel's reason.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio, exit};
use std::time::{Duration, Instant};

pub fn main(args: &[String]) -> i32 {
    let script = args.first().map_or("", String::as_str);
    for command in script.split("; ") {
        let words: Vec<&str> = command.split(' ').collect();
        if let Err(error) = run(words[0], &words[1..]) {
            let text = error.to_string().to_lowercase();
            println!("! {}", text.split(" (os error").next().unwrap_or(&text));
        }
        let _ = io::stdout().flush();
    }
    0
}

fn run(name: &str, args: &[&str]) -> io::Result<()> {
    let arg = |index: usize| args.get(index).copied().unwrap_or("");
    match name {
        "" => {}
        "say" => println!("{}", args.join(" ")),
        "warn" => io::stderr().write_all(format!("{}\n", args.join(" ")).as_bytes())?,
        "print" => print!("{}", args.join(" ")),
        "ticks" => ticks(arg(0).parse().unwrap_or(0)),
        "lines" => lines(arg(0).parse().unwrap_or(0)),
        "long" => println!("{}", "x".repeat(arg(0).parse().unwrap_or(0))),
        "exit" => exit(arg(0).parse().unwrap_or(0)),
        "cat" => print!("{}", fs::read_to_string(arg(0))?),
        "size" => println!("{}", fs::read(arg(0))?.len()),
        "ls" => println!("{}", listing(arg(0))?.join(" ")),
        "write" => fs::write(arg(0), args[1..].join(" "))?,
        "mkdir" => fs::create_dir(arg(0))?,
        "owner" => owner(arg(0))?,
        "chown" => std::os::unix::fs::chown(arg(0), Some(number(arg(1))), Some(number(arg(2))))?,
        "status" => status(arg(0))?,
        "env" => println!(
            "{}",
            std::env::var(arg(0)).unwrap_or_else(|_| "(unset)".into())
        ),
        "cwd" => println!("{}", std::env::current_dir()?.display()),
        "pid" => println!("{} {}", std::process::id(), unsafe { libc::getppid() }),
        "host" => println!(
            "{}",
            fs::read_to_string("/proc/sys/kernel/hostname")?.trim()
        ),
        "links" => println!("{}", listing("/sys/class/net")?.join(" ")),
        "namespace" => println!(
            "{}",
            fs::read_link(format!("/proc/self/ns/{}", arg(0)))?.display()
        ),
        "limit" => limit(arg(0))?,
        "mknod" => mknod(arg(0), number(arg(1)), number(arg(2)))?,
        "mount" => mount(arg(0), arg(1))?,
        "unshare" => check(unsafe { libc::unshare(number(arg(0)) as i32) })?,
        "socket" => check(unsafe { libc::socket(number(arg(0)) as i32, libc::SOCK_STREAM, 0) })?,
        "clone3" => check(unsafe { libc::syscall(libc::SYS_clone3, 0, 0) } as i32)?,
        "keyctl" => check(unsafe { libc::syscall(libc::SYS_keyctl, 0, 0) } as i32)?,
        "listen" => println!(
            "{}",
            TcpListener::bind(("127.0.0.1", number(arg(0)) as u16))?.local_addr()?
        ),
        "eat" => eat(arg(0).parse().unwrap_or(0)),
        "burn" => burn(Duration::from_millis(arg(0).parse().unwrap_or(0))),
        "forks" => forks(arg(0).parse().unwrap_or(0)),
        "orphan" => orphan()?,
        "tty" => println!(
            "{}",
            unsafe { libc::isatty(0) } == 1 && unsafe { libc::isatty(1) } == 1
        ),
        "window" => window()?,
        "resized" => resized()?,
        "input" => input()?,
        "echo" => echo()?,
        "wait" => loop {
            std::thread::sleep(Duration::from_secs(1000));
        },
        "trap" => trap(arg(0).parse().unwrap_or(15)),
        "again" => again(&args.join(" "))?,
        "open" => drop(fs::File::open(arg(0))?),
        "fds" => println!("{}", listing("/proc/self/fd")?.len() - 1),
        "raise" => check(unsafe { libc::raise(arg(0).parse().unwrap_or(15)) })?,
        other => println!("! no command {other}"),
    }
    Ok(())
}

fn check(answer: i32) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

fn lines(count: u32) {
    for number in 0..count {
        println!("line {number}");
    }
}

/// Like `lines`, one each millisecond.
fn ticks(count: u32) {
    for number in 0..count {
        println!("line {number}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn listing(path: &str) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn owner(path: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path)?;
    println!("{}:{} {:o}", meta.uid(), meta.gid(), meta.mode() & 0o7777);
    Ok(())
}

/// A line of /proc/self/status.
fn status(key: &str) -> io::Result<()> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key}:")));
    println!(
        "{}",
        line.unwrap_or("(none)")
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    );
    Ok(())
}

fn limit(name: &str) -> io::Result<()> {
    let text = fs::read_to_string("/proc/self/limits")?;
    let line = text
        .lines()
        .find(|line| line.starts_with(&name.replace('_', " ")));
    println!(
        "{}",
        line.unwrap_or("(none)")
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    );
    Ok(())
}

fn mknod(path: &str, major: u32, minor: u32) -> io::Result<()> {
    let path = std::ffi::CString::new(path)?;
    check(unsafe {
        libc::mknod(
            path.as_ptr(),
            libc::S_IFBLK | 0o600,
            libc::makedev(major, minor),
        )
    })
}

fn mount(kind: &str, target: &str) -> io::Result<()> {
    let (kind, target) = (
        std::ffi::CString::new(kind)?,
        std::ffi::CString::new(target)?,
    );
    check(unsafe {
        libc::mount(
            kind.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            0,
            std::ptr::null(),
        )
    })
}

/// Uses this many megabytes of memory.
fn eat(megabytes: usize) {
    let mut held = Vec::new();
    for _ in 0..megabytes {
        let mut block = vec![0u8; 1 << 20];
        for byte in block.iter_mut().step_by(4096) {
            *byte = 1;
        }
        held.push(block);
    }
    println!("ate {}", std::hint::black_box(held).len());
}

/// Uses this much processor time; says how long that took, in milliseconds.
fn burn(time: Duration) {
    let started = Instant::now();
    let used = || {
        let mut spec: libc::timespec = unsafe { std::mem::zeroed() };
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut spec) };
        Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32)
    };
    while used() < time {
        std::hint::black_box((0..10_000).sum::<u64>());
    }
    println!("{}", started.elapsed().as_millis());
}

/// Starts processes that stay; says how many it could.
fn forks(count: u32) {
    let mut made = 0;
    for _ in 0..count {
        match unsafe { libc::fork() } {
            0 => loop {
                unsafe { libc::pause() };
            },
            -1 => break,
            _ => made += 1,
        }
    }
    println!("{made}");
}

/// Leaves a process behind that holds the output open.
fn orphan() -> io::Result<()> {
    let child = Command::new("/proc/self/exe").arg0_probe("wait").spawn()?;
    println!("left {}", child.id());
    Ok(())
}

/// Runs a script in a child and waits for it.
fn again(script: &str) -> io::Result<()> {
    let status = Command::new("/proc/self/exe")
        .arg0_probe(script)
        .stdin(Stdio::inherit())
        .status()?;
    println!("code {:?}", status.code());
    Ok(())
}

trait Arg0 {
    fn arg0_probe(&mut self, script: &str) -> &mut Self;
}

impl Arg0 for Command {
    fn arg0_probe(&mut self, script: &str) -> &mut Self {
        std::os::unix::process::CommandExt::arg0(self, "probe").arg(script)
    }
}

fn window() -> io::Result<()> {
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    check(unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &raw mut size) })?;
    println!("{}x{}", size.ws_col, size.ws_row);
    Ok(())
}

/// Waits for a change of the window's size.
fn resized() -> io::Result<()> {
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGWINCH);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        println!("watching");
        io::stdout().flush()?;
        libc::sigwaitinfo(&raw const set, std::ptr::null_mut());
    }
    window()
}

/// Says how long its input is.
fn input() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    println!("{} bytes", bytes.len());
    Ok(())
}

/// Says each line of its input.
fn echo() -> io::Result<()> {
    for line in io::stdin().lines() {
        println!("got {}", line?.trim_end());
    }
    println!("end");
    Ok(())
}

/// Ends with code 42 at this signal, and with 0 after nothing.
fn trap(signal: i32) {
    extern "C" fn end(_: i32) {
        unsafe { libc::_exit(42) };
    }
    unsafe { libc::signal(signal, end as extern "C" fn(i32) as libc::sighandler_t) };
    println!("trapping");
    let _ = io::stdout().flush();
    loop {
        unsafe { libc::pause() };
    }
}
