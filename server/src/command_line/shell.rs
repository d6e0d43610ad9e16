//! Help for the command line in a shell: completions and manual pages, made from its own
//! declaration.

use std::io;

use anyhow::Context as _;
use clap::Command;
pub use clap_complete::Shell;

/// Prints completions.
///
/// # Errors
/// Where they cannot be written.
pub fn completions(mut command: Command, shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "belay", &mut script);
    written(&script)
}

/// Prints the manual page of a command, named by its words, or of all of them where none is named.
///
/// # Errors
/// For words that name no command, and where it cannot be written.
pub fn man(mut command: Command, words: &[String]) -> anyhow::Result<()> {
    command.build();
    let mut found = &command;
    for word in words {
        let inner = found.find_subcommand(word);
        found = inner.with_context(|| format!("there is no command {}", words.join(" ")))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(found.clone()).render(&mut page)?;
    written(&page)
}

fn written(text: &[u8]) -> anyhow::Result<()> {
    match io::Write::write_all(&mut io::stdout(), text) {
        // Who reads no further has enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the standard output")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
