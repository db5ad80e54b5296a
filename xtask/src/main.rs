//! Chores of the repository, run as `cargo xtask CHORE`.

mod arrows;
mod charts;
mod corpus;
mod facts;
mod oracles;
mod protobuf_facts;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((chore, rest)) if chore == "facts" => facts::run(rest),
        Some((chore, rest)) if chore == "protobuf-facts" => {
            protobuf_facts::run(rest).map_err(anyhow::Error::msg)
        }
        Some((chore, rest)) if chore == "oracles" => oracles::run(rest),
        Some((chore, rest)) if chore == "corpus" => corpus::run(rest),
        _ => {
            eprintln!("usage: cargo xtask facts DEFINITIONS_JSON GO_SOURCES");
            std::process::exit(2);
        }
    }
}
