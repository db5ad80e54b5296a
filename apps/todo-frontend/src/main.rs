//! todo-frontend

fn main() {}
