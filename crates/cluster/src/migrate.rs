//! Folders of older builds: what is done to them before this build uses them.
//!
//! A step changes the layout from one format to the next; it may run while the
//! cluster does. What it changes is copied to `before-format-N` first. The
//! store has a format of its own and is not looked into here.

use std::fs;
use std::io;

use crate::build;
use crate::home::ClusterDir;
use crate::idmap::IdMap;
use crate::launch::{LaunchError, file};

/// A step from the format before `to`.
struct Step {
    to: u32,
    /// Files of the cluster's folder that it changes.
    changes: &'static [&'static str],
    run: fn(&ClusterDir) -> io::Result<()>,
}

const STEPS: &[Step] = &[Step {
    // The version that used the folder last stands beside the format.
    to: 2,
    changes: &["format"],
    run: |_| Ok(()),
}];

impl ClusterDir {
    /// Checks that this build knows the format of the cluster's folder.
    ///
    /// # Errors
    /// Fails if a newer build wrote it.
    pub fn check_version(&self) -> Result<(), LaunchError> {
        let newest = build::format();
        match self.format()? {
            Some(found) if found.parse::<u32>().is_ok_and(|found| found <= newest) => Ok(()),
            None => Ok(()),
            Some(found) => Err(LaunchError::TooNew {
                name: self.name().into(),
                version: self.version(),
                found,
            }),
        }
    }

    /// Returns the version of the build that used the folder last, if it said so.
    pub fn version(&self) -> Option<String> {
        let text = fs::read_to_string(self.path().join("version")).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Brings the folder to the format of this build and notes its version.
    ///
    /// # Errors
    /// Fails if a newer build wrote it, or a file cannot be written.
    pub fn migrate(&self, ids: &IdMap) -> Result<(), LaunchError> {
        self.check_version()?;
        let newest = build::format();
        let found = self.format()?.and_then(|text| text.parse().ok());
        let mut at: u32 = found.unwrap_or(newest);
        for step in STEPS.iter().filter(|step| step.to <= newest) {
            if step.to == at + 1 {
                self.copy_before(at, step.changes)?;
                (step.run)(self).map_err(file(self.path()))?;
                at = step.to;
                self.note("format", &at.to_string(), ids)?;
            }
        }
        if found.is_none() {
            self.note("format", &newest.to_string(), ids)?;
        }
        self.note("version", build::version(), ids)
    }

    fn format(&self) -> Result<Option<String>, LaunchError> {
        let path = self.path().join("format");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LaunchError::File { path, source }),
        }
    }

    fn copy_before(&self, format: u32, names: &[&str]) -> Result<(), LaunchError> {
        let folder = self.path().join(format!("before-format-{format}"));
        crate::launch::make_dir(&folder, 0o700)?;
        for name in names {
            let from = self.path().join(name);
            if from.exists() {
                fs::copy(&from, folder.join(name)).map_err(file(&from))?;
            }
        }
        Ok(())
    }

    /// Writes a line into a file of the folder, whole or not at all.
    fn note(&self, name: &str, text: &str, ids: &IdMap) -> Result<(), LaunchError> {
        let path = self.path().join(name);
        let partial = path.with_extension("partial");
        fs::write(&partial, format!("{text}\n")).map_err(file(&partial))?;
        ids.own(&partial).map_err(file(&partial))?;
        fs::rename(&partial, &path).map_err(file(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Home;

    fn folder(format: Option<&str>) -> (tempfile::TempDir, ClusterDir, IdMap) {
        let home = tempfile::tempdir().expect("a folder for the test");
        let dir = Home::at(home.path()).cluster("c");
        fs::create_dir_all(dir.path()).expect("a folder for the test");
        if let Some(format) = format {
            fs::write(dir.path().join("format"), format).expect("a file for the test");
        }
        // The caller's own ids: nothing has to be given away.
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        let ids = IdMap::Single {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
        };
        (home, dir, ids)
    }

    fn reads(dir: &ClusterDir, name: &str) -> Option<String> {
        fs::read_to_string(dir.path().join(name)).ok()
    }

    #[test]
    fn a_folder_of_an_older_build_is_brought_forward() {
        let (_home, dir, ids) = folder(Some("1\n"));
        dir.migrate(&ids).expect("it is older");
        assert_eq!(
            reads(&dir, "format"),
            Some(format!("{}\n", build::format()))
        );
        assert_eq!(dir.version().as_deref(), Some(build::version()));
        assert_eq!(
            reads(&dir, "before-format-1/format").as_deref(),
            Some("1\n")
        );
    }

    #[test]
    fn a_new_folder_has_nothing_to_bring_forward() {
        let (_home, dir, ids) = folder(None);
        dir.migrate(&ids).expect("it is empty");
        assert_eq!(
            reads(&dir, "format"),
            Some(format!("{}\n", build::format()))
        );
        assert!(!dir.path().join("before-format-1").exists());
    }

    #[test]
    fn a_folder_of_a_newer_build_is_refused_untouched() {
        for format in ["99\n", "two\n", ""] {
            let (_home, dir, ids) = folder(Some(format));
            fs::write(dir.path().join("version"), "9.1.0\n").expect("a file for the test");
            let error = dir.migrate(&ids).expect_err("it is newer").to_string();
            assert!(error.contains("coracle 9.1.0"), "{error}");
            assert_eq!(reads(&dir, "format").as_deref(), Some(format));
        }
    }
}
