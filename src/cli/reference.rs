//! The reference of all commands, made from the same definitions that read the command line.

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::args::CommandLine;

/// Returns the definition of the whole command line.
pub fn command() -> Command {
    CommandLine::command()
}

/// Returns the page `docs/reference/commands.md`.
pub fn page() -> String {
    let mut command = command();
    command.build();
    let mut page = String::from(
        "# Commands\n\nGenerated from the program's own definitions. stdout carries the answer, stderr everything else; \
         exit codes are in [exit-codes.md](exit-codes.md). A variable that is set to nothing is not set.\n\nEvery command also takes:\n\n",
    );
    page.push_str(&options(
        command
            .get_arguments()
            .filter(|argument| argument.is_global_set()),
    ));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        page.push_str(&section(verb));
    }
    page
}

fn section(verb: &Command) -> String {
    let name = verb.get_name();
    let mut text = format!("\n## {name}\n\n");
    let about = verb.get_long_about().or(verb.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!("{}\n\n", about.trim()));
    let usage = verb.clone().render_usage().to_string();
    text.push_str(&format!(
        "```\n{}\n```\n",
        usage.trim_start_matches("Usage: ").trim()
    ));
    let positional: String = verb
        .get_positionals()
        .map(|argument| row(&format!("`{}`", value_names(argument)), argument))
        .collect();
    if !positional.is_empty() {
        text.push_str(&format!("\n{HEAD}{positional}"));
    }
    let own = options(verb.get_arguments().filter(|argument| !argument.is_global_set()));
    if !own.is_empty() {
        text.push_str(&format!("\n{own}"));
    }
    if let Some(after) = verb.get_after_help() {
        text.push_str(&format!("\n{}\n", after.to_string().trim()));
    }
    text
}

const HEAD: &str = "| | | environment |\n|---|---|---|\n";

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let rows: String = arguments
        .filter(|argument| !argument.is_positional() && !argument.is_hide_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .map(|argument| {
            let mut names = Vec::new();
            names.extend(argument.get_short().map(|short| format!("-{short}")));
            names.extend(argument.get_long().map(|long| format!("--{long}")));
            let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
            let value = if takes_value {
                format!(" {}", value_names(argument))
            } else {
                String::new()
            };
            row(&format!("`{}{value}`", names.join("`, `")), argument)
        })
        .collect();
    if rows.is_empty() {
        rows
    } else {
        format!("{HEAD}{rows}")
    }
}

fn row(name: &str, argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut help = help
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ");
    let choices: Vec<_> = argument
        .get_possible_values()
        .into_iter()
        .filter(|_| matches!(argument.get_action(), ArgAction::Set | ArgAction::Append))
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !choices.is_empty() {
        help.push_str(&format!(": {}", choices.join(", ")));
    }
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        help.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    let environment = argument
        .get_env()
        .map(|name| format!("`{}`", name.to_string_lossy()));
    format!(
        "| {name} | {} | {} |\n",
        help.replace('|', "\\|"),
        environment.unwrap_or_default()
    )
}

fn value_names(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
