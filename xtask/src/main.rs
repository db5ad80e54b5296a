//! Chores of the repository, run as `cargo xtask CHORE`.

mod arrows;
mod charts;
mod corpus;
mod dist;
mod facts;
mod fuzz;
mod licences;
mod oracles;
mod picture;
mod protobuf_facts;
mod replay;
mod soak;
mod vm;

const USAGE: &str = "usage: cargo xtask CHORE
  oracles                           fetch the helm and kubectl that tests compare with
  corpus DIR [--values]             render every chart below DIR with helm and with ours
  dist                              make what is handed to users: binary, checksum, completions, man pages
  picture [PROGRAM [DIR]]           draw what `up` and `status` print, for the README
  soak [seeds|kill|load|flood|upgrade] …
                                    draw, kill, ask, write and upgrade far more often than every change does
  fuzz [SECONDS] [NAME]             run the fuzz targets
  replay FOLDER [OPTIONS]           compare recorded API answers with ours, area by area
  vm-test [CASE…]                   run the runtime's suite and a cluster on a distribution's kernel in QEMU
  licences                          list the licences of all dependencies, refuse unknown ones
  facts DEFINITIONS_JSON GO_SOURCES make the schema facts of the built-in kinds
  protobuf-facts GO_SOURCES         make the protobuf tags of the built-in kinds";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((chore, rest)) if chore == "facts" => facts::run(rest),
        Some((chore, rest)) if chore == "protobuf-facts" => {
            protobuf_facts::run(rest).map_err(anyhow::Error::msg)
        }
        Some((chore, rest)) if chore == "oracles" => oracles::run(rest),
        Some((chore, rest)) if chore == "corpus" => corpus::run(rest),
        Some((chore, rest)) if chore == "replay" => replay::run(rest),
        Some((chore, rest)) if chore == "fuzz" => fuzz::run(rest),
        Some((chore, rest)) if chore == "vm-test" => vm::run(rest),
        Some((chore, rest)) if chore == "picture" => picture::run(rest),
        Some((chore, rest)) if chore == "soak" => soak::run(rest),
        Some((chore, _)) if chore == "dist" => dist::run(),
        Some((chore, _)) if chore == "licences" => licences::run(),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}
