//! System call filters: from a profile to programs for the kernel. The entry
//! is `compile`.
//!
//! Not here: installing them, which is a step of `process.rs`.

mod default;
mod profile;
mod table;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::caps::CapSet;
use crate::error::StartError;
use crate::spec::Seccomp;

pub use profile::{Action, Compare, Condition, Profile, ProfileError, Rule, parse};

/// Compiles the filters for a container with these capabilities, in the order
/// in which they are to be installed.
pub(crate) fn compile(choice: &Seccomp, bounding: CapSet) -> Result<Vec<BpfProgram>, StartError> {
    let profile = match choice {
        Seccomp::Unconfined => return Ok(Vec::new()),
        Seccomp::Default => default::profile(bounding),
        Seccomp::Profile(text) => {
            parse(text, bounding).map_err(|error| StartError::Invalid(error.to_string()))?
        }
    };
    programs(&profile).map_err(|error| StartError::Invalid(format!("seccomp profile: {error}")))
}

/// A filter of seccompiler knows one action for a match and one for none, and
/// where several filters are installed the kernel takes the strictest answer
/// (seccomp(2)). So each action gets a filter that allows all else, and one
/// more filter gives the default action to what no rule names.
fn programs(profile: &Profile) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut actions: Vec<Action> = profile.rules.iter().map(|rule| rule.action).collect();
    actions.sort_unstable();
    actions.dedup();
    let mut filters = Vec::new();
    for action in actions.iter().filter(|action| **action != Action::Allow) {
        let rules = profile.rules.iter().filter(|rule| rule.action == *action);
        filters.push(filter(rules, Action::Allow, *action)?);
    }
    if profile.default != Action::Allow {
        filters.push(filter(
            profile.rules.iter(),
            profile.default,
            Action::Allow,
        )?);
    }
    Ok(filters)
}

fn filter<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    otherwise: Action,
    action: Action,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut chains: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut always = Vec::new();
    for rule in rules {
        for number in rule.names.iter().filter_map(|name| table::number(name)) {
            let chain = chains.entry(number).or_default();
            match rule.conditions.is_empty() {
                true => always.push(number),
                false => chain.push(conditions(rule)?),
            }
        }
    }
    // An empty chain matches whatever the arguments.
    for number in always {
        chains.insert(number, Vec::new());
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(chains, raw(otherwise), raw(action), architecture)?.try_into()
}

fn conditions(rule: &Rule) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = rule.conditions.iter().map(|condition| {
        let compare = match condition.compare {
            Compare::Equal => SeccompCmpOp::Eq,
            Compare::NotEqual => SeccompCmpOp::Ne,
            Compare::Less => SeccompCmpOp::Lt,
            Compare::LessOrEqual => SeccompCmpOp::Le,
            Compare::Greater => SeccompCmpOp::Gt,
            Compare::GreaterOrEqual => SeccompCmpOp::Ge,
            Compare::MaskedEqual => SeccompCmpOp::MaskedEq(condition.mask),
        };
        let (argument, value) = (condition.argument, condition.value);
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compare, value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn raw(action: Action) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Log => SeccompAction::Log,
        Action::Errno(number) => SeccompAction::Errno(number),
        Action::Trace(number) => SeccompAction::Trace(number),
        Action::Trap => SeccompAction::Trap,
        Action::KillThread => SeccompAction::KillThread,
        Action::KillProcess => SeccompAction::KillProcess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_fits_the_kernel_s_limit() {
        for bounding in [CapSet::EMPTY, CapSet::container_default(), CapSet::ALL] {
            for program in compile(&Seccomp::Default, bounding).unwrap() {
                assert!(program.len() < 4096, "{} instructions", program.len());
            }
        }
    }

    #[test]
    fn unconfined_has_no_filter() {
        assert!(
            compile(&Seccomp::Unconfined, CapSet::ALL)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn every_name_of_the_default_profile_is_known() {
        let profile = default::profile(CapSet::ALL);
        for name in profile.rules.iter().flat_map(|rule| &rule.names) {
            let known = table::number(name).is_some();
            assert!(known || cfg!(not(target_arch = "x86_64")), "{name}");
        }
    }
}
