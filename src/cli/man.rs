//! `highwater man`: the manual, made from the same words as `--help`.

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::failure::Failure;
use crate::config::OVERRIDES;

/// What the exit codes mean.
const CODES: [(&str, &str); 4] = [
    ("0", "Fine."),
    (
        "1",
        "The answer is no: a configuration that cannot be used (check), a level that cannot hold \
         (doctor), a proxy that is not ready (health), a broken promise (verify); or the command \
         could not do its work.",
    ),
    ("2", "Wrong usage."),
    ("64", "run was given a bad configuration."),
];

/// Where things are.
const FILES: [(&str, &str); 1] = [(
    "/etc/highwater/highwater.toml",
    "The configuration that the Debian package and the container image read.",
)];

/// The flags of `man`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The command whose page is wanted
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints the page.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let page = match &options.command {
        None => main_page(all()),
        Some(name) => page_of(name)?,
    };
    super::print(&page.map_err(|error| {
        Failure::no(format!("cannot make the page: {error}"), "free some memory")
    })?);
    Ok(())
}

type Page = std::io::Result<String>;

/// The commands that have a page.
fn all() -> Command {
    super::Arguments::command().disable_help_subcommand(true)
}

/// highwater(1).
fn main_page(command: Command) -> Page {
    let man = Man::new(command).manual("Highwater");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_subcommands_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut end = Roff::new();
    section(&mut end, "EXIT STATUS", &CODES);
    let variables: Vec<(&str, String)> = OVERRIDES
        .iter()
        .filter_map(|over| {
            let text = match over.key {
                "password_env" => format!("The password of [{}] itself.", over.table),
                key => format!("Comes before {key} of [{}] in the file.", over.table),
            };
            Some((over.variable?, text))
        })
        .collect();
    section(&mut end, "ENVIRONMENT", &variables);
    section(&mut end, "FILES", &FILES);
    end.to_writer(&mut out)?;
    man.render_version_section(&mut out)?;
    text_of(out)
}

/// highwater-NAME(1).
fn page_of(name: &str) -> Result<Page, Failure> {
    let mut all = all();
    all.build();
    let Some(command) = all.find_subcommand(name) else {
        let names: Vec<_> = all.get_subcommands().map(Command::get_name).collect();
        return Err(Failure::usage(
            format!("there is no command {name:?}"),
            format!("the commands: {}", names.join(", ")),
        ));
    };
    let full = format!("highwater-{name}");
    let command = command.clone().display_name(full);
    Ok(render(&Man::new(command).manual("Highwater")))
}

fn render(man: &Man) -> Page {
    let mut out = Vec::new();
    man.render(&mut out)?;
    text_of(out)
}

fn text_of(bytes: Vec<u8>) -> Page {
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

fn section(page: &mut Roff, title: &str, entries: &[(&str, impl AsRef<str>)]) {
    page.control("SH", [title]);
    for (term, text) in entries {
        page.control("TP", []);
        page.text([bold(*term)] as [Inline; 1]);
        page.text([roman(text.as_ref())] as [Inline; 1]);
    }
}
