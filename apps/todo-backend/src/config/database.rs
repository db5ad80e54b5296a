//! `DATABASE_URL`: where rows are kept.

use super::error::ConfigError;
use super::reader::Reader;
use crate::db::url::DatabaseUrl;

/// Returns where rows are kept.
pub(super) fn read_database(
    reader: &mut Reader,
    production: bool,
) -> Result<DatabaseUrl, ConfigError> {
    let text = reader
        .optional("DATABASE_URL")
        .ok_or(ConfigError::Missing("DATABASE_URL"))?;
    let url = DatabaseUrl::parse(&text).map_err(ConfigError::Database)?;
    if production && url.is_remote_without_tls() {
        reader.note("DATABASE_URL does not say sslmode=require");
    }
    Ok(url)
}
