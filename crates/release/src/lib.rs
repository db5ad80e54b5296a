//! Releases of a chart on any cluster, kept as Helm's own records.
//!
//! [`install`], [`upgrade`], [`rollback`] and [`uninstall_release`] change one,
//! [`upgrade_or_install`] does what it takes; [`revision`], [`history`], [`records`] and
//! [`resources`] look; [`test`] runs its tests. [`wait`] follows objects until
//! they are ready and says why they are not.
//!
//! A [`Session`] is a cluster and a namespace, [`Options`] are Helm's flags;
//! what goes on is told as [`Event`]s. Nothing here prints or reads a file.

mod apply;
mod capabilities;
mod chart_record;
mod deploy;
pub mod diff;
mod error;
mod event;
mod fields;
mod gone;
mod hooks;
mod install;
mod json;
mod list;
mod look;
mod merge;
mod names;
mod objects;
mod operation;
mod options;
mod ownership;
mod prepare;
mod readiness;
mod record;
mod record_secret;
mod refusal;
mod rollback;
mod session;
mod storage;
mod testing;
mod uninstall;
mod upgrade;
mod wait;
pub mod why;

pub use capabilities::{ClusterLookup, capabilities};
pub use chart_record::{chart_from_record, chart_to_record, values_to_record};
pub use deploy::{Deployed, Request, deploy, is_there, upgrade_or_install};
pub use error::{ConflictError, Contested, OwnershipError, Refusal, ReleaseError, UnknownKind};
pub use event::{Change, Event, Row, Tell};
pub use install::install;
pub use json::map_to_json;
pub use json::{from_json, to_json, to_yaml_text};
pub use list::Listing;
pub use look::{
    Resources, Table, computed_values, history, latest, records, resource_tables, resources,
    revision,
};
pub use names::check_name;
pub use objects::{Object, ParseError, Served, parse};
pub use options::{Apply, DryRun, OldValues, Options, Source, Wait};
pub use readiness::{Readiness, Rules, judge};
pub use record::{Hook, Info, Record, Run, Status};
pub use record_secret::RecordError;
pub use rollback::rollback;
pub use session::Session;
pub use storage::{Storage, Stored};
pub use testing::{TestFilter, Tested, test};
pub use uninstall::{Cascade, Removal, Removed, uninstall, uninstall_release};
pub use upgrade::upgrade;
pub use wait::{Waiting, wait};
