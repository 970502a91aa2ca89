//! The error of a command line that clap cannot parse, with a tip that works for every kind of value.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};

use super::Cli;

/// The error with a tip for a value that begins with `-`. clap itself suggests `-- -x`, which serves only values
/// without an option, and of `-xyz` it names the first letter.
pub(super) fn with_tip(mut error: Error, command_line: &[String]) -> Error {
    if let Some(tip) = tip(&error, command_line) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The tip, where clap has one of this kind.
fn tip(error: &Error, command_line: &[String]) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(_)) = (error.kind(), error.get(ContextKind::Suggested)) else { return None };
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else { return None };
    let at = command_line.iter().skip(1).position(|word| word.starts_with(refused))?;
    let (before, value) = (&command_line[at], &command_line[at + 1]);
    Some(match takes_value(command_line, before) {
        true => format!("to pass '{value}' as the value of '{before}', use '{before}={value}'"),
        false => format!("to pass '{value}' as a value, use '-- {value}'"),
    })
}

/// Whether a word is an option of this command that has a value.
fn takes_value(command_line: &[String], word: &str) -> bool {
    let mut command: Command = Cli::command();
    for word in &command_line[1..] {
        match command.find_subcommand(word) {
            Some(found) => command = found.clone(),
            None => break,
        }
    }
    let Some(name) = word.strip_prefix("--") else { return false };
    command.get_arguments().any(|option| option.get_long() == Some(name) && option.get_action().takes_values())
}
