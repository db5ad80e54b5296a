//! The program `todo-backend`; all of it is the library's [`todo_backend::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    todo_backend::run(std::env::args().skip(1))
}
