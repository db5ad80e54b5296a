//! Our values as PostgreSQL sends and takes them.

use bytes::{BufMut, BytesMut};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::db::Value;
use crate::time::Millis;

/// Milliseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000_MS: Millis = 946_684_800_000;

/// Returns the type a parameter is sent with.
pub(super) fn type_of(value: &Value) -> Type {
    match value {
        // The server infers the type, as it does for an untyped literal.
        Value::Null => Type::UNKNOWN,
        Value::Bool(_) => Type::BOOL,
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Time(_) => Type::TIMESTAMPTZ,
    }
}

/// Returns a cell of a row.
pub(super) fn cell(row: &Row, place: usize) -> Result<Value, tokio_postgres::Error> {
    let kind = row
        .columns()
        .get(place)
        .map_or(Type::TEXT, |column| column.type_().clone());
    Ok(match kind {
        Type::BOOL => row
            .try_get::<_, Option<bool>>(place)?
            .map_or(Value::Null, Value::Bool),
        Type::INT2 => row
            .try_get::<_, Option<i16>>(place)?
            .map_or(Value::Null, |n| Value::Int(n.into())),
        Type::INT4 => row
            .try_get::<_, Option<i32>>(place)?
            .map_or(Value::Null, |n| Value::Int(n.into())),
        Type::INT8 => row
            .try_get::<_, Option<i64>>(place)?
            .map_or(Value::Null, Value::Int),
        Type::TIMESTAMPTZ => row
            .try_get::<_, Option<Instant2000>>(place)?
            .map_or(Value::Null, |at| Value::Time(at.0)),
        _ => row
            .try_get::<_, Option<String>>(place)?
            .map_or(Value::Null, Value::Text),
    })
}

/// An instant as PostgreSQL sends it: microseconds since 2000.
struct Instant2000(Millis);

impl<'a> FromSql<'a> for Instant2000 {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(micros.div_euclid(1000) + EPOCH_2000_MS))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Bool(truth) => out.put_u8(u8::from(*truth)),
            Self::Int(number) => out.put_i64(*number),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Time(at) => out.put_i64((at - EPOCH_2000_MS).saturating_mul(1000)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // Each parameter is sent with the type that `type_of` gives it.
        true
    }

    to_sql_checked!();
}
