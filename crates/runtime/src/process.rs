//! The last steps of a process before it becomes the container's program:
//! limits, credentials, filter, exec. The main type is [`Program`]; starting a
//! container and running a further program in one share it.
//!
//! Not here: namespaces and mounts, which are in place by now.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit as RawRlimit, Signal};
use rustix::thread::{CapabilitySets, Gid, Uid, UnshareFlags};
use seccompiler::BpfProgram;

use crate::caps::CapSet;
use crate::control;
use crate::error::{During, StartError, describe};
use crate::idmap::IdMap;
use crate::spec::{Capabilities, Rlimit};
use crate::sys;
use crate::user::{Credentials, Identity};

/// What a container without a `PATH` gets (moby, containerd).
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and everything it starts with.
pub(crate) struct Program<'a> {
    pub args: &'a [String],
    pub env: Vec<(String, String)>,
    pub cwd: &'a str,
    pub identity: Identity,
    pub ids: &'a IdMap,
    pub capabilities: Capabilities,
    pub no_new_privileges: bool,
    pub filters: &'a [BpfProgram],
    pub rlimits: &'a [Rlimit],
    pub terminal: bool,
    /// The caller's /proc: the container's may be covered by now.
    pub proc: &'a OwnedFd,
    /// To the shim.
    pub line: &'a control::Child,
    /// Whether this process already is in a user namespace of the container.
    pub nested: bool,
}

impl Program<'_> {
    /// Becomes the program. Returns only to say why it could not.
    pub(crate) fn run(mut self) -> Result<Infallible, StartError> {
        if self.args.is_empty() {
            return Err(StartError::Invalid("no program to run".into()));
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        for limit in self.rlimits {
            set_rlimit(limit)?;
        }
        if !self.nested && needs_nesting(&self.identity, self.ids)? {
            nest(&self.identity, self.proc).during("map the id", self.identity.uid)?;
            self.nested = true;
        }
        let bounding = self
            .drop_bounding()
            .during("drop capabilities of", self.args[0].as_str())?;
        self.switch_user()?;
        self.tell_user()
            .during("tell the user of", self.args[0].as_str())?;
        self.change_directory()?;
        self.confine(bounding)?;
        // Cleared by the change of user above, so asked for only now. The
        // container must not outlive its shim.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .during("tie to the shim", self.args[0].as_str())?;
        if self.line.is_abandoned() {
            return Err(StartError::Shim("it ended during the start".into()));
        }
        sys::reset_signals();
        sys::close_on_exec_from(3).during("close descriptors of", self.args[0].as_str())?;
        Err(self.exec())
    }

    /// Takes all but the wanted capabilities out of reach; returns those that
    /// remain, which are fewer than wanted where the caller lacks some.
    fn drop_bounding(&self) -> io::Result<CapSet> {
        let held = CapSet::from_bits(rustix::thread::capabilities(None)?.permitted);
        for bit in 0..64 {
            let one = rustix::thread::CapabilitySet::from_bits_retain(1 << bit);
            if !self.capabilities.bounding.bits().contains(one) {
                match rustix::thread::remove_capability_from_bounding_set(one) {
                    Ok(()) => {}
                    // Beyond the last one this kernel has.
                    Err(rustix::io::Errno::INVAL) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(self.capabilities.bounding.intersection(held))
    }

    fn switch_user(&self) -> Result<(), StartError> {
        let Identity {
            uid,
            gid,
            required_gids,
            image_gids,
            ..
        } = &self.identity;
        rustix::thread::set_keep_capabilities(true).during("keep capabilities of", uid)?;
        if self.ids.groups_settable() && !self.nested {
            let mapped = image_gids.iter().filter(|gid| self.ids.has_gid(**gid));
            // Its own among them: else a program could shed it by a set-group-ID
            // file (CVE-2023-25173).
            let all = [gid].into_iter().chain(required_gids).chain(mapped);
            let all: BTreeSet<u32> = all.copied().collect();
            let groups: Vec<Gid> = all.into_iter().map(Gid::from_raw).collect();
            rustix::thread::set_thread_groups(&groups).during("set the groups of", uid)?;
        }
        let (user, group) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        rustix::thread::set_thread_res_gid(group, group, group).during("become group", gid)?;
        rustix::thread::set_thread_res_uid(user, user, user).during("become user", uid)
    }

    fn tell_user(&self) -> io::Result<()> {
        self.line.send_user(&Credentials::of_self()?)
    }

    fn change_directory(&self) -> Result<(), StartError> {
        let cwd = if self.cwd.is_empty() { "/" } else { self.cwd };
        rustix::process::chdir(cwd).during("change to the working directory", cwd)?;
        // A directory outside the root would be shown with this prefix; see
        // getcwd(2). It cannot happen by the path alone; a descriptor leaked
        // from the host as /proc/self/fd/N would do it.
        match std::env::current_dir() {
            Ok(path) if path.is_absolute() && !path.starts_with("(unreachable)") => Ok(()),
            _ => Err(StartError::Invalid(format!(
                "working directory {cwd} is outside the container"
            ))),
        }
    }

    /// Gives up privileges for good and installs the filter.
    fn confine(&self, bounding: CapSet) -> Result<(), StartError> {
        let name = self.args[0].as_str();
        let ambient = self.capabilities.ambient.intersection(bounding);
        let sets = CapabilitySets {
            effective: bounding.bits(),
            permitted: bounding.bits(),
            // Inheritable capabilities of a root program leak into others
            // (CVE-2022-24769); only ambient ones need them.
            inheritable: ambient.bits(),
        };
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).during("set no_new_privs of", name)?;
            self.set_capabilities(sets, ambient)
                .during("set capabilities of", name)?;
            self.install_filters()
                .during("install the system call filter of", name)
        } else {
            // Without no_new_privs a filter takes CAP_SYS_ADMIN; see seccomp(2).
            let held = rustix::thread::capabilities(None).during("read capabilities of", name)?;
            let raised = CapabilitySets {
                effective: held.permitted,
                ..held
            };
            rustix::thread::set_capabilities(None, raised).during("raise capabilities of", name)?;
            self.install_filters()
                .during("install the system call filter of", name)?;
            self.set_capabilities(sets, ambient)
                .during("set capabilities of", name)
        }
    }

    fn set_capabilities(&self, sets: CapabilitySets, ambient: CapSet) -> io::Result<()> {
        rustix::thread::set_capabilities(None, sets)?;
        rustix::thread::clear_ambient_capability_set()?;
        for one in ambient.bits().iter() {
            rustix::thread::configure_capability_in_ambient_set(one, true)?;
        }
        Ok(())
    }

    fn install_filters(&self) -> io::Result<()> {
        self.filters
            .iter()
            .try_for_each(|filter| sys::seccomp(filter))
    }

    fn exec(&self) -> StartError {
        let name = self.args[0].as_str();
        let strings =
            |texts: &mut dyn Iterator<Item = String>| -> Result<Vec<CString>, StartError> {
                texts.map(|text| c_string(&text)).collect()
            };
        let env = self.environment();
        let path = env
            .iter()
            .find(|(key, _)| key == "PATH")
            .map_or("", |(_, value)| value);
        let (args, env) = match (
            strings(&mut self.args.iter().cloned()),
            strings(&mut env.iter().map(|(key, value)| format!("{key}={value}"))),
        ) {
            (Ok(args), Ok(env)) => (args, env),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        let candidates: Vec<String> = if name.contains('/') {
            vec![name.to_owned()]
        } else {
            path.split(':')
                .map(|dir| {
                    if dir.is_empty() {
                        format!("./{name}")
                    } else {
                        format!("{dir}/{name}")
                    }
                })
                .collect()
        };
        let mut worst = None;
        for candidate in candidates {
            let Ok(candidate) = CString::new(candidate) else {
                continue;
            };
            let error = sys::execve(&candidate, &args, &env);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) if !name.contains('/') => {}
                _ => worst = worst.or(Some(error)),
            }
        }
        match worst {
            None => StartError::NotInPath {
                program: name.to_owned(),
            },
            Some(error) => exec_error(name, &error),
        }
    }

    /// The program's environment; later entries win.
    fn environment(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = Vec::with_capacity(self.env.len() + 3);
        let mut places: HashMap<String, usize> = HashMap::with_capacity(self.env.len() + 3);
        let mut add = |key: &str, value: &str, replace: bool| match places.get(key) {
            Some(place) if replace => value.clone_into(&mut env[*place].1),
            Some(_) => {}
            None => {
                places.insert(key.to_owned(), env.len());
                env.push((key.to_owned(), value.to_owned()));
            }
        };
        for (key, value) in &self.env {
            add(key, value, true);
        }
        add("PATH", DEFAULT_PATH, false);
        add("HOME", &self.identity.home, false);
        if self.terminal {
            add("TERM", "xterm", false);
        }
        env
    }
}

fn c_string(text: &str) -> Result<CString, StartError> {
    CString::new(text).map_err(|_| {
        StartError::Invalid("an argument or environment value holds a NUL byte".into())
    })
}

/// Words the failure as Go programs do: the two cases that users meet have a
/// `stat` or a bare cause.
fn exec_error(name: &str, error: &io::Error) -> StartError {
    let errno = error.raw_os_error().unwrap_or(0);
    let cause = match errno {
        libc::ENOENT if !fs::exists(name).unwrap_or(false) => {
            format!("stat {name}: no such file or directory")
        }
        _ => describe(error),
    };
    StartError::Exec {
        program: name.to_owned(),
        cause,
        errno,
    }
}

/// Tells whether the user is one that only a user namespace of the container's
/// own can give.
pub(crate) fn needs_nesting(identity: &Identity, ids: &IdMap) -> Result<bool, StartError> {
    let Identity {
        uid,
        gid,
        required_gids,
        ..
    } = identity;
    if let Some(other) = required_gids.iter().find(|other| !ids.has_gid(**other)) {
        // One group is all that such a namespace can map.
        if other != gid || required_gids.iter().any(|one| one != gid) {
            return Err(StartError::IdsNotMapped {
                what: format!("supplementary group {other}"),
            });
        }
    }
    Ok(!ids.has_uid(*uid) || !ids.has_gid(*gid))
}

/// Enters a user namespace in which the caller's id is the wanted one.
///
/// user_namespaces(7): without privilege outside, a map is a single line that
/// maps the writer's own id, and setgroups must be denied before the group's.
fn nest(identity: &Identity, proc: &OwnedFd) -> io::Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    sys::unshare(UnshareFlags::NEWUSER)?;
    write_proc(proc, "self/setgroups", "deny")?;
    write_proc(proc, "self/gid_map", &format!("{} {gid} 1", identity.gid))?;
    write_proc(proc, "self/uid_map", &format!("{} {uid} 1", identity.uid))
}

/// Writes a file of the caller's /proc.
pub(crate) fn write_proc(proc: &OwnedFd, path: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc.as_fd(), path, flags, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

fn set_rlimit(limit: &Rlimit) -> Result<(), StartError> {
    let name = limit.name.to_ascii_lowercase();
    let resource = match name.strip_prefix("rlimit_").unwrap_or(&name) {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => {
            return Err(StartError::Invalid(format!(
                "unknown resource limit {:?}",
                limit.name
            )));
        }
    };
    let raw = RawRlimit {
        current: limit.soft,
        maximum: limit.hard,
    };
    rustix::process::setrlimit(resource, raw).during("set the resource limit", &limit.name)
}
