//! The cases, by subject. Each looks at a container from inside.

mod confinement;
mod files;
mod life;
mod limits;
mod pods;
mod programs;
mod streams;

use crate::support::Case;

/// Lists the cases of a file.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub fn all() -> Vec<crate::support::Case> {
            vec![$((stringify!($name), |ctx| Box::pin($name(ctx)))),*]
        }
    };
}
pub(crate) use cases;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        programs::all(),
        confinement::all(),
        files::all(),
        streams::all(),
        life::all(),
        limits::all(),
        pods::all(),
    ]
    .concat()
}
