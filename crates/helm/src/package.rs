//! Packing a chart into the archive that `helm package` would write.
//!
//! Main function: [`pack`]. The same chart gives the same bytes. Reference:
//! `pkg/chart/v2/util/save.go` of Helm.

use crate::chart::Chart;
use crate::metadata::Metadata;
use coracle_gotemplate::semver::Version;
use coracle_goyaml as yaml;

/// What to change while packing.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Another version.
    pub version: Option<String>,
    /// Another version of the application.
    pub app_version: Option<String>,
    /// Time of all files, in seconds since 1970.
    pub modified: u64,
}

/// An archive and its name.
#[derive(Clone, Debug)]
pub struct Archive {
    /// `NAME-VERSION.tgz`.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What Helm writes into the header of every archive.
const EXTRA: &[u8] = b"+aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";

/// Packs a chart.
///
/// # Errors
///
/// In Helm's words, when a version is none.
pub fn pack(chart: &Chart, changes: &Changes) -> Result<Archive, String> {
    let mut metadata = chart.metadata.clone();
    if let Some(version) = &changes.version {
        metadata.version.clone_from(version);
    }
    Version::parse(&metadata.version)?;
    if let Some(version) = &changes.app_version {
        metadata.app_version.clone_from(version);
    }
    let gzip = flate2::GzBuilder::new()
        .extra(EXTRA)
        .comment("Helm")
        .operating_system(255)
        .write(Vec::new(), flate2::Compression::default());
    let mut writer = Writer {
        archive: tar::Builder::new(gzip),
        modified: changes.modified,
    };
    writer.chart(chart, &metadata, chart.name())?;
    let gzip = writer.archive.into_inner().map_err(|e| e.to_string())?;
    Ok(Archive {
        name: format!("{}-{}.tgz", metadata.name, metadata.version),
        bytes: gzip.finish().map_err(|e| e.to_string())?,
    })
}

struct Writer<W: std::io::Write> {
    archive: tar::Builder<W>,
    modified: u64,
}

impl<W: std::io::Write> Writer<W> {
    fn chart(&mut self, chart: &Chart, metadata: &Metadata, base: &str) -> Result<(), String> {
        let mut metadata = metadata.clone();
        let is_v1 = metadata.api_version == "v1";
        if is_v1 {
            metadata.dependencies.clear();
        }
        let text = yaml::to_string(&metadata.to_document());
        self.file(&format!("{base}/Chart.yaml"), text.as_bytes())?;
        if let (Some(lock), false) = (&chart.lock, is_v1) {
            self.file(&format!("{base}/Chart.lock"), lock)?;
        }
        if let Some(text) = &chart.values_text {
            self.file(&format!("{base}/values.yaml"), text)?;
        }
        if let Some(schema) = &chart.schema {
            if serde_json::from_slice::<serde_json::Value>(schema).is_err() {
                return Err("invalid JSON in values.schema.json".into());
            }
            self.file(&format!("{base}/values.schema.json"), schema)?;
        }
        for file in chart.templates.iter().chain(&chart.files) {
            self.file(&format!("{base}/{}", file.name), &file.data)?;
        }
        for child in &chart.dependencies {
            let base = format!("{base}/charts/{}", child.name());
            self.chart(child, &child.metadata, &base)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, data: &[u8]) -> Result<(), String> {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mtime(self.modified);
        self.archive
            .append_data(&mut header, path, data)
            .map_err(|error| format!("{path}: {error}"))
    }
}
