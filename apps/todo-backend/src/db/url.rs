//! `DATABASE_URL`: which database, where.
//!
//! `sqlite:///app/data/todo.db` names an absolute path, `sqlite:todo.db` a
//! relative one. PostgreSQL URLs are kept as text; the engine reads them.

use std::path::PathBuf;

/// A database address.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The file of an embedded database.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL server, password included.
    Postgres(String),
}

/// Why a URL was refused. The URL itself is not repeated: it holds a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// The scheme is not one of ours.
    #[error("expected postgresql://user:password@host/database or sqlite:///path")]
    Scheme,
    /// `sqlite:` without a path.
    #[error("sqlite: needs the path of a file")]
    NoPath,
}

impl DatabaseUrl {
    /// Reads a URL, with the spellings SQLAlchemy uses for drivers.
    ///
    /// # Errors
    /// When the scheme is unknown or the path is missing.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once(':').ok_or(UrlError::Scheme)?;
        // `postgresql+asyncpg://` and `sqlite+aiosqlite://` name Python drivers.
        let scheme = scheme
            .split('+')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match scheme.as_str() {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let path = path.split('?').next().unwrap_or_default();
                if path.is_empty() || path == "/" {
                    return Err(UrlError::NoPath);
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" if rest.starts_with("//") => {
                Ok(Self::Postgres(format!("postgresql:{rest}")))
            }
            _ => Err(UrlError::Scheme),
        }
    }

    /// Whether rows travel over a network that may not be encrypted.
    pub fn is_remote_without_tls(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => !["require", "verify-ca", "verify-full"]
                .iter()
                .any(|mode| url.contains(&format!("sslmode={mode}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let check = |input: &str, expected: Result<DatabaseUrl, UrlError>| {
            assert!(DatabaseUrl::parse(input) == expected, "{input}");
        };
        let sqlite = |path: &str| Ok(DatabaseUrl::Sqlite(PathBuf::from(path)));
        let postgres = |url: &str| Ok(DatabaseUrl::Postgres(url.to_owned()));
        check("sqlite:///app/data/todo.db", sqlite("/app/data/todo.db"));
        check("sqlite+aiosqlite:///app/todo.db", sqlite("/app/todo.db"));
        check("sqlite:todo.db", sqlite("todo.db"));
        check("sqlite:///app/todo.db?mode=rwc", sqlite("/app/todo.db"));
        check("sqlite:", Err(UrlError::NoPath));
        check("postgres://u:p@h/d", postgres("postgresql://u:p@h/d"));
        check(
            "postgresql+asyncpg://u:p@h/d",
            postgres("postgresql://u:p@h/d"),
        );
        check("mysql://u:p@h/d", Err(UrlError::Scheme));
        check("nonsense", Err(UrlError::Scheme));
        check("", Err(UrlError::Scheme));
    }
}
