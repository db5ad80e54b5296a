//! `semver` and `semverCompare`.

use super::{Functions, S, text};
use crate::error::Error;
use crate::semver::{Constraints, Version};
use crate::value::{Method, Struct, StructType, Value};
use std::rc::Rc;

pub(super) fn register(table: &mut Functions) {
    table.add("semverCompare", &[S, S], |_, args| {
        let constraints = Constraints::parse(&text(&args[0])).map_err(Error::message)?;
        let version = Version::parse(&text(&args[1])).map_err(Error::message)?;
        Ok(Value::Bool(constraints.check(&version)))
    });
    table.add("semver", &[S], |_, args| {
        let version = Version::parse(&text(&args[0])).map_err(Error::message)?;
        Ok(value_of(&version))
    });
}

static VERSION: StructType = StructType {
    name: "*semver.Version",
    fields: &["major", "minor", "patch", "pre", "metadata", "original"],
    methods: METHODS,
    display: Some(|object| version_of(object).to_string()),
    display_by_pointer: false,
    json: Some(|object| version_of(object).to_string().into()),
};

use crate::value::Type::{Any, String as Text};

const METHODS: &[Method] = &[
    Method {
        name: "Major",
        params: &[],
        call: |this, _| field(this, 0),
    },
    Method {
        name: "Minor",
        params: &[],
        call: |this, _| field(this, 1),
    },
    Method {
        name: "Patch",
        params: &[],
        call: |this, _| field(this, 2),
    },
    Method {
        name: "Prerelease",
        params: &[],
        call: |this, _| field(this, 3),
    },
    Method {
        name: "Metadata",
        params: &[],
        call: |this, _| field(this, 4),
    },
    Method {
        name: "Original",
        params: &[],
        call: |this, _| field(this, 5),
    },
    Method {
        name: "String",
        params: &[],
        call: |this, _| Ok(this_version(this)?.to_string().into()),
    },
    Method {
        name: "Compare",
        params: &[Any],
        call: |this, args| {
            let order = this_version(this)?.compare(&this_version(&args[0])?);
            Ok(Value::Int(order as i64))
        },
    },
    Method {
        name: "LessThan",
        params: &[Any],
        call: |this, args| {
            Ok((this_version(this)?.compare(&this_version(&args[0])?))
                .is_lt()
                .into())
        },
    },
    Method {
        name: "GreaterThan",
        params: &[Any],
        call: |this, args| {
            Ok((this_version(this)?.compare(&this_version(&args[0])?))
                .is_gt()
                .into())
        },
    },
    Method {
        name: "Equal",
        params: &[Any],
        call: |this, args| {
            Ok((this_version(this)?.compare(&this_version(&args[0])?))
                .is_eq()
                .into())
        },
    },
    Method {
        name: "LessThanEqual",
        params: &[Any],
        call: |this, args| {
            Ok((this_version(this)?.compare(&this_version(&args[0])?))
                .is_le()
                .into())
        },
    },
    Method {
        name: "GreaterThanEqual",
        params: &[Any],
        call: |this, args| {
            Ok((this_version(this)?.compare(&this_version(&args[0])?))
                .is_ge()
                .into())
        },
    },
    Method {
        name: "IncMajor",
        params: &[],
        call: |this, _| Ok(value_of(&this_version(this)?.bumped(0))),
    },
    Method {
        name: "IncMinor",
        params: &[],
        call: |this, _| Ok(value_of(&this_version(this)?.bumped(1))),
    },
    Method {
        name: "IncPatch",
        params: &[],
        call: |this, _| Ok(value_of(&this_version(this)?.bumped(2))),
    },
    Method {
        name: "SetPrerelease",
        params: &[Text],
        call: |this, args| {
            let mut version = this_version(this)?;
            version.pre = text(&args[0]).into_owned();
            Ok(value_of(&version))
        },
    },
];

fn field(this: &Value, at: usize) -> Result<Value, String> {
    match this {
        Value::Struct(object) => Ok(object.fields[at].clone()),
        _ => Err("not a version".into()),
    }
}

fn this_version(this: &Value) -> Result<Version, String> {
    match this {
        Value::Struct(object) if std::ptr::eq(object.ty, &VERSION) => Ok(version_of(object)),
        other => Err(format!("{} is no version", other.type_name())),
    }
}

fn version_of(object: &Struct) -> Version {
    let number = |at: usize| match &object.fields[at] {
        Value::Uint64(number) => *number,
        _ => 0,
    };
    let part = |at: usize| text(&object.fields[at]).into_owned();
    Version {
        major: number(0),
        minor: number(1),
        patch: number(2),
        pre: part(3),
        metadata: part(4),
        original: part(5),
    }
}

fn value_of(version: &Version) -> Value {
    let fields = vec![
        Value::Uint64(version.major),
        Value::Uint64(version.minor),
        Value::Uint64(version.patch),
        version.pre.as_str().into(),
        version.metadata.as_str().into(),
        version.original.as_str().into(),
    ];
    Value::Struct(Struct {
        ty: &VERSION,
        fields: Rc::new(fields),
    })
}
