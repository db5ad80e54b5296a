//! Sprig's date functions, and the methods of `time.Time`.

mod duration;
mod layout;
mod parse;

use self::duration::{duration_text, parse_duration, rounded};
use self::parse::parse;
use super::{A, Functions, S, int, text};
use crate::error::Error;
use crate::value::{Method, Time, Type, Value};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::cmp::Ordering;
use std::rc::Rc;

pub use self::layout::format;

const T: Type = Type::Time;

pub(super) fn register(table: &mut Functions) {
    table.add("now", &[], |exec, _| Ok(value(exec.host.now())));
    table.add("date", &[S, A], |exec, args| {
        let date = moment(&args[1], exec.host.now());
        Ok(format(&local(date), &text(&args[0])).into())
    });
    table.add("htmlDate", &[A], |exec, args| {
        let date = moment(&args[0], exec.host.now());
        Ok(format(&local(date), "2006-01-02").into())
    });
    table.add("htmlDateInZone", &[A, S], |exec, args| {
        let date = moment(&args[0], exec.host.now());
        Ok(format(&in_zone(date, &text(&args[1])), "2006-01-02").into())
    });
    for name in ["dateInZone", "date_in_zone"] {
        table.add(name, &[S, A, S], |exec, args| {
            let date = moment(&args[1], exec.host.now());
            Ok(format(&in_zone(date, &text(&args[2])), &text(&args[0])).into())
        });
    }
    for name in ["dateModify", "date_modify"] {
        table.add(name, &[S, T], |_, args| {
            Ok(moved(&args[1], &text(&args[0])).unwrap_or_else(|_| args[1].clone()))
        });
    }
    for name in ["mustDateModify", "must_date_modify"] {
        table.add(name, &[S, T], |_, args| {
            moved(&args[1], &text(&args[0])).map_err(Error::message)
        });
    }
    table.add("toDate", &[S, S], |_, args| {
        let parsed = parse(&text(&args[0]), &text(&args[1]));
        Ok(value(parsed.unwrap_or_else(|_| zero_time())))
    });
    table.add("mustToDate", &[S, S], |_, args| {
        parse(&text(&args[0]), &text(&args[1]))
            .map(value)
            .map_err(Error::message)
    });
    table.add("unixEpoch", &[T], |_, args| {
        Ok(seconds(&args[0]).to_string().into())
    });
    table.add("ago", &[A], |exec, args| {
        let now = exec.host.now();
        let then = moment(&args[0], now.clone());
        let past = now.timestamp().duration_since(then.timestamp());
        let rounded = (past.as_secs_f64()).round() as i64;
        Ok(duration_text(i128::from(rounded) * 1_000_000_000).into())
    });
    table.add("duration", &[A], |_, args| {
        let seconds = match &args[0] {
            Value::Int64(seconds) => *seconds,
            Value::Str(text) => crate::strconv::atoi(&text.to_text()).unwrap_or(0),
            _ => 0,
        };
        Ok(duration_text(i128::from(seconds) * 1_000_000_000).into())
    });
    table.add("durationRound", &[A], |exec, args| {
        let nanoseconds = match &args[0] {
            Value::Int64(nanoseconds) => i128::from(*nanoseconds),
            Value::Str(text) => parse_duration(&text.to_text()).unwrap_or(0),
            Value::Time(time) => exec
                .host
                .now()
                .timestamp()
                .duration_since(time.0.timestamp())
                .as_nanos(),
            _ => 0,
        };
        Ok(rounded(nanoseconds.unsigned_abs()).into())
    });
}

/// Methods of `time.Time` that charts call.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "Format",
        params: &[S],
        call: |this, args| Ok(format(zoned(this)?, &text(&args[0])).into()),
    },
    Method {
        name: "Unix",
        params: &[],
        call: |this, _| Ok(Value::Int64(seconds(this))),
    },
    Method {
        name: "UnixNano",
        params: &[],
        call: |this, _| Ok(Value::Int64(zoned(this)?.timestamp().as_nanosecond() as i64)),
    },
    Method {
        name: "UnixMilli",
        params: &[],
        call: |this, _| Ok(Value::Int64(zoned(this)?.timestamp().as_millisecond())),
    },
    Method {
        name: "Year",
        params: &[],
        call: |this, _| number(this, |t| t.year().into()),
    },
    Method {
        name: "Day",
        params: &[],
        call: |this, _| number(this, |t| t.day().into()),
    },
    Method {
        name: "Hour",
        params: &[],
        call: |this, _| number(this, |t| t.hour().into()),
    },
    Method {
        name: "Minute",
        params: &[],
        call: |this, _| number(this, |t| t.minute().into()),
    },
    Method {
        name: "Second",
        params: &[],
        call: |this, _| number(this, |t| t.second().into()),
    },
    Method {
        name: "Nanosecond",
        params: &[],
        call: |this, _| number(this, |t| t.subsec_nanosecond().into()),
    },
    Method {
        name: "YearDay",
        params: &[],
        call: |this, _| number(this, |t| t.day_of_year().into()),
    },
    Method {
        name: "UTC",
        params: &[],
        call: |this, _| Ok(value(zoned(this)?.with_time_zone(TimeZone::UTC))),
    },
    Method {
        name: "Local",
        params: &[],
        call: |this, _| Ok(value(local(zoned(this)?.clone()))),
    },
    Method {
        name: "IsZero",
        params: &[],
        call: |this, _| Ok((zoned(this)?.timestamp() == zero_time().timestamp()).into()),
    },
    Method {
        name: "Before",
        params: &[T],
        call: |this, args| Ok(compared(this, &args[0])?.is_lt().into()),
    },
    Method {
        name: "After",
        params: &[T],
        call: |this, args| Ok(compared(this, &args[0])?.is_gt().into()),
    },
    Method {
        name: "Equal",
        params: &[T],
        call: |this, args| Ok(compared(this, &args[0])?.is_eq().into()),
    },
    Method {
        name: "Compare",
        params: &[T],
        call: |this, args| Ok(Value::Int(compared(this, &args[0])? as i64)),
    },
    Method {
        name: "AddDate",
        params: &[Type::Int, Type::Int, Type::Int],
        call: |this, args| {
            let span = jiff::Span::new()
                .try_years(int(&args[0]))
                .and_then(|span| span.try_months(int(&args[1])))
                .and_then(|span| span.try_days(int(&args[2])))
                .map_err(|error| error.to_string())?;
            zoned(this)?
                .checked_add(span)
                .map(value)
                .map_err(|error| error.to_string())
        },
    },
    Method {
        name: "String",
        params: &[],
        call: |this, _| match this {
            Value::Time(time) => Ok(time_text(time).into()),
            _ => Err("not a time".into()),
        },
    },
];

fn zoned(value: &Value) -> Result<&Zoned, String> {
    match value {
        Value::Time(time) => Ok(&time.0),
        other => Err(format!("{} is no time", other.type_name())),
    }
}

fn compared(a: &Value, b: &Value) -> Result<Ordering, String> {
    Ok(zoned(a)?.timestamp().cmp(&zoned(b)?.timestamp()))
}

fn number(value: &Value, of: fn(&Zoned) -> i64) -> Result<Value, String> {
    Ok(Value::Int(of(zoned(value)?)))
}

fn seconds(value: &Value) -> i64 {
    zoned(value).map_or(0, |time| time.timestamp().as_second())
}

/// Makes a `time.Time`.
pub fn value(time: Zoned) -> Value {
    Value::Time(Rc::new(Time(time)))
}

fn zero_time() -> Zoned {
    let first = jiff::civil::date(1, 1, 1).to_zoned(TimeZone::UTC);
    first.unwrap_or_else(|_| Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
}

fn local(time: Zoned) -> Zoned {
    time.with_time_zone(TimeZone::system())
}

fn in_zone(time: Zoned, name: &str) -> Zoned {
    let zone = match name {
        "" | "UTC" => TimeZone::UTC,
        "Local" => TimeZone::system(),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    time.with_time_zone(zone)
}

/// A time or seconds since the epoch; anything else is now.
fn moment(date: &Value, now: Zoned) -> Zoned {
    match date {
        Value::Time(time) => time.0.clone(),
        Value::Int(seconds) | Value::Int64(seconds) => {
            Timestamp::from_second(*seconds).map_or(now, |stamp| stamp.to_zoned(TimeZone::system()))
        }
        _ => now,
    }
}

fn moved(time: &Value, by: &str) -> Result<Value, String> {
    let nanoseconds = parse_duration(by)?;
    let duration = i64::try_from(nanoseconds)
        .map(SignedDuration::from_nanos)
        .map_err(|error| error.to_string())?;
    zoned(time)?
        .checked_add(duration)
        .map(value)
        .map_err(|error| error.to_string())
}

/// Go's `Time.String`.
pub(crate) fn time_text(time: &Time) -> String {
    format(&time.0, "2006-01-02 15:04:05.999999999 -0700 MST")
}
