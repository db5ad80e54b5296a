//! The program `todo-frontend`; all of it is the library's [`todo_frontend::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    todo_frontend::run(std::env::args().skip(1))
}
