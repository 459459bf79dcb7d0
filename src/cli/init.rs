//! `fitjob init`: writes a job that runs as it is, to be changed into one's own. The files are those of templates/.

mod templates;

use super::exit;
use clap::Args;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use templates::{TEMPLATES, Template};

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Kind {
    /// A formula over columns of data
    #[arg(long)]
    curve: bool,
    /// Differential equations, fitted to data over time
    #[arg(long)]
    ode: bool,
    /// A Python function
    #[arg(long)]
    python: bool,
    /// A C function, with a Makefile
    #[arg(long)]
    c: bool,
    /// A Fortran function, with a Makefile
    #[arg(long)]
    fortran: bool,
    /// A Rust program of your own, with fitjob as its library
    #[arg(long)]
    rust: bool,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    kind: Kind,
    /// Folder for the files, made if it is not there; nothing in it is overwritten
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Kind {
    fn template(&self) -> Option<&'static Template> {
        let chosen = [self.curve, self.ode, self.python, self.c, self.fortran, self.rust];
        chosen.iter().position(|flag| *flag).map(|k| &TEMPLATES[k])
    }
}

/// Writes the files of the kind asked for, says what to do with them, and gives the exit code.
pub fn run(args: &InitArgs) -> i32 {
    let Some(template) = args.kind.template() else {
        eprint!("{}", which());
        return exit::JOB;
    };
    if template.flag == "ode" && cfg!(not(feature = "ode")) {
        eprintln!("error: this program was built without differential equations: build it with the feature `ode`");
        return exit::JOB;
    }
    match write(template, &args.dir) {
        Ok(()) => {
            // A closed pipe is the reader's business.
            let _ = io::stdout().write_all(told(template, &args.dir).as_bytes());
            exit::DONE
        }
        Err(why) => {
            eprintln!("error: {why}");
            exit::STORAGE
        }
    }
}

/// The kinds there are.
fn which() -> String {
    let mut text = String::from("error: where does the likelihood come from? Say one of\n");
    for template in &TEMPLATES {
        let _ = writeln!(text, "    fitjob init --{:<8} [DIR]    {}", template.flag, template.what);
    }
    text + "DIR is a new or old folder, by default this one.\n"
}

/// All files or none: one that exists is refused before the first is written.
fn write(template: &Template, dir: &Path) -> Result<(), String> {
    let taken: Vec<&str> = template.names().filter(|name| dir.join(name).symlink_metadata().is_ok()).collect();
    if !taken.is_empty() {
        let (s, them) = if taken.len() == 1 { ("s", "it") } else { ("", "them") };
        let (taken, shown, flag) = (taken.join(", "), dir.display(), template.flag);
        return Err(format!(
            "{taken} exist{s} in {shown} already, and nothing is overwritten\n  \
             help: take another folder (fitjob init --{flag} NEW), or move {them} away first"
        ));
    }
    for (name, text) in template.files() {
        let path = dir.join(name);
        create(&path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // What came into being since we looked is not overwritten either.
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// What was written, and the commands that come next.
fn told(template: &Template, dir: &Path) -> String {
    let names: Vec<&str> = template.names().collect();
    let mut text = format!("wrote to {}: {}\nnext:\n", dir.display(), names.join(", "));
    if dir != Path::new(".") {
        let _ = writeln!(text, "    cd {}", quoted(dir));
    }
    let next = template.next();
    let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, what) in next {
        let _ = writeln!(text, "    {command:<width$}  # {what}");
    }
    text + &template.note().unwrap_or_default()
}

/// As a shell wants it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,=@".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
