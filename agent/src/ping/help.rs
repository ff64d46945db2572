//! Man pages and shell completions, generated from the definition of the command line.

use crate::{Lang, cli::Cli};
use clap::CommandFactory as _;
use pingtong_cli::help;
use std::io::{self, Write as _};

/// Writes all man pages to standard output in one stream: the program's, and one per command.
///
/// # Errors
/// Fails if standard output is closed.
pub fn man(lang: Lang) -> io::Result<()> {
    let mut command = help::localised(Cli::command(), lang, usize::MAX);
    command.build();
    let mut page = vec![];
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for each in command.get_subcommands() {
        let name: &'static str = Box::leak(format!("pingtong-agent-{}", each.get_name()).into_boxed_str());
        clap_mangen::Man::new(each.clone().name(name)).render(&mut page)?;
    }
    io::stdout().lock().write_all(&page)
}

/// Writes a completion script to standard output.
///
/// # Errors
/// Fails if standard output is closed.
pub fn completions(shell: clap_complete::Shell, lang: Lang) -> io::Result<()> {
    let mut script = vec![];
    clap_complete::generate(
        shell,
        &mut help::localised(Cli::command(), lang, usize::MAX),
        "pingtong-agent",
        &mut script,
    );
    io::stdout().lock().write_all(&script)
}
