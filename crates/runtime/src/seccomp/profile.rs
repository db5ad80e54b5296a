//! A seccomp profile as a list of rules, and its reading from Docker's JSON
//! format. The main type is [`Profile`].
//!
//! Not here: turning it into a program for the kernel, see `mod.rs`.

use serde::Deserialize;

use crate::caps::CapSet;

/// What to do with each system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// For calls that no rule matches.
    pub default: Action,
    /// Rules; any that matches decides, the stricter one where several do.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// System calls by name. Those this architecture lacks are passed over.
    pub names: Vec<String>,
    /// What to do.
    pub action: Action,
    /// All must hold.
    pub conditions: Vec<Condition>,
}

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made and logged by the kernel.
    Log,
    /// It fails with this error number.
    Errno(u32),
    /// The tracer is told this number.
    Trace(u32),
    /// The program gets SIGSYS.
    Trap,
    /// The thread dies.
    KillThread,
    /// The program dies.
    KillProcess,
}

/// A comparison with an argument of the system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Counted from 0.
    pub argument: u8,
    /// How.
    pub compare: Compare,
    /// With what.
    pub value: u64,
    /// For [`Compare::MaskedEqual`].
    pub mask: u64,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual,
}

impl Rule {
    /// A rule for these calls, whatever their arguments.
    pub fn new(names: &[&str], action: Action) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            names,
            action,
            conditions: Vec::new(),
        }
    }

    pub(super) fn allow(names: &[&str]) -> Self {
        Self::new(names, Action::Allow)
    }

    pub(super) fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is not JSON of the right shape.
    #[error("seccomp profile: {0}")]
    Json(#[from] serde_json::Error),
    /// An action that does not exist, or that needs a listener.
    #[error("seccomp profile: action {0:?} is not supported")]
    Action(String),
    /// A comparison that does not exist.
    #[error("seccomp profile: comparison {0:?} is not supported")]
    Compare(String),
    /// System calls have six arguments.
    #[error("seccomp profile: a system call has no argument {0}")]
    Argument(u64),
}

/// Reads a profile in Docker's JSON format for a container with these
/// capabilities.
///
/// # Errors
///
/// When the text is no such profile.
pub fn parse(text: &str, bounding: CapSet) -> Result<Profile, ProfileError> {
    let file: ProfileFile = serde_json::from_str(text)?;
    let default_errno = file.default_errno_ret.unwrap_or(libc::EPERM as u32);
    let default = action(&file.default_action, default_errno)?;
    let mut rules = Vec::new();
    for entry in file.syscalls.unwrap_or_default() {
        if entry.applies(bounding) {
            rules.push(entry.rule()?);
        }
    }
    Ok(Profile { default, rules })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProfileFile {
    default_action: String,
    default_errno_ret: Option<u32>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    names: Vec<String>,
    name: Option<String>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u64,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// When an entry counts.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
}

impl Entry {
    fn applies(&self, bounding: CapSet) -> bool {
        let arch = |name: &String| name == docker_architecture();
        let cap = |name: &String| bounding.contains(name);
        let (includes, excludes) = (&self.includes, &self.excludes);
        includes.caps.iter().all(cap)
            && (includes.arches.is_empty() || includes.arches.iter().any(arch))
            && !excludes.caps.iter().any(cap)
            && !excludes.arches.iter().any(arch)
    }

    fn rule(self) -> Result<Rule, ProfileError> {
        let mut names = self.names;
        names.extend(self.name);
        let action = action(&self.action, self.errno_ret.unwrap_or(libc::EPERM as u32))?;
        let conditions = self
            .args
            .unwrap_or_default()
            .iter()
            .map(condition)
            .collect::<Result<_, _>>()?;
        Ok(Rule {
            names,
            action,
            conditions,
        })
    }
}

fn docker_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn action(name: &str, errno: u32) -> Result<Action, ProfileError> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(errno),
        "SCMP_ACT_TRACE" => Action::Trace(errno),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        other => return Err(ProfileError::Action(other.to_owned())),
    })
}

fn condition(argument: &Argument) -> Result<Condition, ProfileError> {
    let (compare, value, mask) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (Compare::Equal, argument.value, 0),
        "SCMP_CMP_NE" => (Compare::NotEqual, argument.value, 0),
        "SCMP_CMP_LT" => (Compare::Less, argument.value, 0),
        "SCMP_CMP_LE" => (Compare::LessOrEqual, argument.value, 0),
        "SCMP_CMP_GT" => (Compare::Greater, argument.value, 0),
        "SCMP_CMP_GE" => (Compare::GreaterOrEqual, argument.value, 0),
        // The first value is the mask, the second what must remain.
        "SCMP_CMP_MASKED_EQ" => (Compare::MaskedEqual, argument.value_two, argument.value),
        other => return Err(ProfileError::Compare(other.to_owned())),
    };
    match u8::try_from(argument.index) {
        Ok(index @ 0..=5) => Ok(Condition {
            argument: index,
            compare,
            value,
            mask,
        }),
        _ => Err(ProfileError::Argument(argument.index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
             "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"name": "reboot", "action": "SCMP_ACT_KILL_PROCESS"}
        ]}"#;

    #[test]
    fn docker_s_format_is_read() {
        let profile = parse(TEXT, CapSet::container_default()).unwrap();
        assert_eq!(profile.default, Action::Errno(38));
        let names: Vec<_> = profile
            .rules
            .iter()
            .map(|rule| rule.names.join(" "))
            .collect();
        assert_eq!(names, ["read write", "mkdir", "clone", "reboot"]);
        let condition = profile.rules[2].conditions[0];
        assert_eq!((condition.value, condition.mask), (0, 2_114_060_288));
        assert_eq!(profile.rules[3].action, Action::KillProcess);
    }

    #[test]
    fn entries_depend_on_capabilities() {
        let names = |set: CapSet| {
            parse(TEXT, set)
                .unwrap()
                .rules
                .iter()
                .map(|r| r.names[0].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(CapSet::EMPTY), ["read", "clone", "reboot"]);
        assert_eq!(names(CapSet::ALL), ["read", "mkdir", "reboot"]);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = parse(text, CapSet::EMPTY).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check("nonsense", "expected");
        check(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY");
        let argument = |index: u32, op: &str| {
            format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"],
                "action": "SCMP_ACT_LOG", "args": [{{"index": {index}, "value": 1, "op": "{op}"}}]}}]}}"#
            )
        };
        check(&argument(0, "SCMP_CMP_X"), "SCMP_CMP_X");
        check(&argument(6, "SCMP_CMP_EQ"), "no argument 6");
    }
}
