//! Chores of the repository, run as `cargo xtask CHORE`.

mod arrows;

fn main() {
    eprintln!("usage: cargo xtask CHORE");
    std::process::exit(2);
}
