//! `coracle completions` and `coracle man`: what a shell and man(1) need to
//! know of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, as_shown, command_line};
use crate::failure::Outcome;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle completions bash > ~/.local/share/bash-completion/completions/coracle
  coracle completions zsh  > ~/.zfunc/_coracle
  coracle completions fish > ~/.config/fish/completions/coracle.fish")]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) -> Outcome {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command_line(), "coracle", &mut text);
        print!("{}", String::from_utf8_lossy(&text));
        Ok(())
    }
}

/// Write the manual, a page per command.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder that gets the pages.
    folder: PathBuf,
}

impl Man {
    /// Writes the pages.
    pub fn run(&self) -> Outcome {
        std::fs::create_dir_all(&self.folder)?;
        let pages = as_shown(Cli::command().disable_help_subcommand(true));
        clap_mangen::generate_to(pages, &self.folder)?;
        Ok(())
    }
}
