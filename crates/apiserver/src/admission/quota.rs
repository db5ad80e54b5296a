//! ResourceQuotas: what a write uses anew is added to the status of every
//! quota it falls under, or the write is refused (upstream's plug-in
//! ResourceQuota). Counting afresh is the controller's work: until it has
//! counted, a quota limits nothing.
//!
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use std::collections::BTreeSet;
use std::sync::Arc;

use coracle_machinery::kind::Kind;
use coracle_machinery::quota::{Amounts, counts, covers, totals, usage};
use coracle_store::{Expect, WriteError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::managed::{self, Writer};
use crate::object::Stored;
use crate::resource;
use crate::status::{ApiError, ApiResult};
use crate::verbs::write;

/// What a write is charged for.
struct Charge<'a> {
    kind: &'static Kind,
    object: &'a Value,
    /// The object before an update.
    live: Option<&'a Value>,
    /// What the object uses.
    usage: Amounts,
    /// What it uses beyond what it used before.
    growth: Amounts,
}

/// Charges a new object, or what an update adds, to the quotas of its namespace.
///
/// # Errors
/// 403 when a quota would be exceeded or cannot judge.
pub async fn charge(
    context: &Context,
    kind: &'static Kind,
    object: &Value,
    live: Option<&Value>,
    dry_run: bool,
) -> ApiResult<()> {
    let subresource = context.path.subresource.as_deref();
    if !kind.namespaced || kind.kind == "Event" || !counts(kind, subresource, object, live) {
        return Ok(());
    }
    let quotas = resource::builtin("", "resourcequotas");
    let prefix = resource::prefix(quotas, Some(context.namespace()));
    let page = context.core.store.list(&prefix, None, usize::MAX);
    if page.items.is_empty() {
        return Ok(());
    }
    let charge = Charge::of(kind, object, live);
    // Either all quotas let the object pass, or none is charged.
    for (_, quota) in &page.items {
        charge.judge(&quota.to_plain_value())?;
    }
    if dry_run {
        return Ok(());
    }
    for (_, quota) in page.items {
        charge.enter(context, quotas, quota).await?;
    }
    Ok(())
}

impl<'a> Charge<'a> {
    fn of(kind: &'static Kind, object: &'a Value, live: Option<&'a Value>) -> Charge<'a> {
        let usage = usage(kind, object);
        let growth = match live {
            Some(live) => totals::beyond(&usage, &coracle_machinery::quota::usage(kind, live)),
            None => usage.clone(),
        };
        Charge {
            kind,
            object,
            live,
            usage,
            growth,
        }
    }

    /// Writes the new usage into the status of a quota.
    async fn enter(
        &self,
        context: &Context,
        quotas: &'static Kind,
        mut stored: Arc<Stored>,
    ) -> ApiResult<()> {
        loop {
            let live = stored.to_value();
            let Some(used) = self.judge(&live)? else {
                return Ok(());
            };
            let mut quota = live.clone();
            for (name, amount) in &used {
                quota["status"]["used"][name] = json!(amount.to_string());
            }
            let writer = Writer {
                manager: "kube-apiserver",
                subresource: "status",
            };
            managed::update(quotas, &live, &mut quota, &writer);
            let expect = Expect::Revision(stored.revision);
            match write::put(&context.core, quotas, &quota, expect).await {
                Ok(_) | Err(WriteError::Missing { .. }) => return Ok(()),
                Err(WriteError::Conflict { .. }) => {
                    let key = resource::key(quotas, &stored.meta.namespace, &stored.meta.name);
                    let Some(newer) = context.core.store.get(&key) else {
                        return Ok(());
                    };
                    stored = newer;
                }
                Err(error) => return Err(write::refused(quotas, &stored.meta.name, &error)),
            }
        }
    }

    /// Returns the new usage of a quota, or `None` when the write does not
    /// touch it (`CheckRequest` upstream).
    fn judge(&self, quota: &Value) -> ApiResult<Option<Amounts>> {
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        let object_name = self.object["metadata"]["name"].as_str().unwrap_or_default();
        let forbidden = |why: String| ApiError::forbidden(self.kind, object_name, &why);
        let (spec, status) = (&quota["spec"], &quota["status"]);
        let mut hard = totals::read(&status["hard"]);
        let of_kind = Some((self.kind.group, self.kind.plural));
        hard.retain(|name, _| coracle_machinery::quota::counted(name) == of_kind);
        if hard.is_empty() || !covers(spec, self.kind, self.object) {
            return Ok(None);
        }
        if self.kind.kind == "Pod" {
            let lacking = lacking(&self.object["spec"], &hard);
            if !lacking.is_empty() {
                let lacking = lacking.join("; ");
                return Err(forbidden(format!(
                    "failed quota: {name}: must specify {lacking}"
                )));
            }
        }
        let known = totals::read(&status["used"]);
        if hard.keys().any(|name| !known.contains_key(name)) {
            let names: Vec<&str> = hard.keys().map(String::as_str).collect();
            return Err(forbidden(format!(
                "status unknown for quota: {name}, resources: {}",
                names.join(",")
            )));
        }
        let covered_before = self.live.is_some_and(|live| covers(spec, self.kind, live));
        let mut requested = match covered_before {
            true => self.growth.clone(),
            false => self.usage.clone(),
        };
        requested.retain(|name, amount| hard.contains_key(name) && amount.signum() != 0);
        if requested.is_empty() {
            return Ok(None);
        }
        let mut used = Amounts::new();
        for (name, amount) in &requested {
            let sum = known
                .get(name)
                .map_or(*amount, |used| used.saturating_add(*amount));
            used.insert(name.clone(), sum);
        }
        let exceeds = |(name, sum): &(&String, &_)| hard.get(*name).is_some_and(|most| *sum > most);
        let exceeded: Vec<&String> = used.iter().filter(exceeds).map(|(name, _)| name).collect();
        if exceeded.is_empty() {
            return Ok(Some(used));
        }
        let show = |amounts: &Amounts| {
            let parts: Vec<String> = exceeded
                .iter()
                .filter_map(|name| Some(format!("{name}={}", amounts.get(*name)?)))
                .collect();
            parts.join(",")
        };
        Err(forbidden(format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            show(&requested),
            show(&known),
            show(&hard)
        )))
    }
}

/// Containers that lack a request or limit the quota counts; one mistake of
/// old that upstream keeps. Amounts of the whole pod do as well.
fn lacking(spec: &Value, hard: &Amounts) -> Vec<String> {
    let set = |part: &str| {
        let amounts = spec["resources"][part].as_object();
        amounts.is_some_and(|amounts| !amounts.is_empty())
    };
    if set("requests") || set("limits") {
        return Vec::new();
    }
    let mut lacking = Vec::new();
    for name in REQUIRED.iter().filter(|name| hard.contains_key(**name)) {
        let part = match name.starts_with("limits.") {
            true => "limits",
            false => "requests",
        };
        let resource = name.rsplit('.').next().unwrap_or_default();
        let without: BTreeSet<&str> = ["initContainers", "containers"]
            .iter()
            .flat_map(|list| spec[*list].as_array().into_iter().flatten())
            .filter(|container| container["resources"][part].get(resource).is_none())
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !without.is_empty() {
            let without: Vec<&str> = without.into_iter().collect();
            lacking.push(format!("{name} for: {}", without.join(",")));
        }
    }
    lacking
}

/// What every container must state where a quota counts it, in order.
const REQUIRED: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];
