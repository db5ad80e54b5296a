//! Values and rows as both engines give and take them.

use std::sync::Arc;

use super::DbError;
use crate::time::Millis;

/// A parameter or a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A truth value; SQLite keeps 0 and 1.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// An instant; SQLite keeps milliseconds, PostgreSQL `timestamptz`.
    Time(Millis),
}

/// An instant as a parameter.
#[derive(Debug, Clone, Copy)]
pub struct At(pub Millis);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<At> for Value {
    fn from(at: At) -> Self {
        Self::Time(at.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row with named columns.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    cells: Vec<Value>,
}

impl Row {
    /// Returns a row; `columns` and `cells` are of one length.
    pub fn new(columns: Arc<[String]>, cells: Vec<Value>) -> Self {
        Self { columns, cells }
    }

    fn cell(&self, column: &str) -> Result<&Value, DbError> {
        let place = self.columns.iter().position(|name| name == column);
        place
            .and_then(|place| self.cells.get(place))
            .ok_or_else(|| shape(column))
    }

    /// Returns text.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn text(&self, column: &str) -> Result<String, DbError> {
        self.text_or_null(column)?.ok_or_else(|| shape(column))
    }

    /// Returns text, or `None` for NULL.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn text_or_null(&self, column: &str) -> Result<Option<String>, DbError> {
        match self.cell(column)? {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Null => Ok(None),
            _ => Err(shape(column)),
        }
    }

    /// Returns a whole number.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn int(&self, column: &str) -> Result<i64, DbError> {
        match self.cell(column)? {
            Value::Int(number) => Ok(*number),
            _ => Err(shape(column)),
        }
    }

    /// Returns a truth value.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn bool(&self, column: &str) -> Result<bool, DbError> {
        match self.cell(column)? {
            Value::Bool(truth) => Ok(*truth),
            Value::Int(number) => Ok(*number != 0),
            _ => Err(shape(column)),
        }
    }

    /// Returns an instant.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn time(&self, column: &str) -> Result<Millis, DbError> {
        self.time_or_null(column)?.ok_or_else(|| shape(column))
    }

    /// Returns an instant, or `None` for NULL.
    ///
    /// # Errors
    /// When the column is absent or of another kind.
    pub fn time_or_null(&self, column: &str) -> Result<Option<Millis>, DbError> {
        match self.cell(column)? {
            Value::Time(at) | Value::Int(at) => Ok(Some(*at)),
            Value::Null => Ok(None),
            _ => Err(shape(column)),
        }
    }
}

fn shape(column: &str) -> DbError {
    DbError::Shape(column.to_owned())
}
