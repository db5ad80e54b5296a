//! todo-backend

fn main() {}
