//! What is wrong with a job: each mistake with its line underlined, and what was probably meant.

use super::Source;
use super::tree::Place;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// None where no text is to blame (the job file itself cannot be read, say).
    pub place: Option<Place>,
    pub message: String,
    /// A word at the underline.
    pub label: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn at(place: &Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place.clone()), message: message.into(), label: "here".into(), help: None }
    }

    pub fn label(self, label: impl Into<String>) -> Problem {
        Problem { label: label.into(), ..self }
    }

    pub fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    pub fn maybe_help(self, help: Option<String>) -> Problem {
        Problem { help: help.or(self.help), ..self }
    }
}

/// Everything that is wrong with a job, found in one go.
#[derive(Debug, Clone)]
pub struct JobError {
    mistakes: Vec<Mistake>,
}

/// A problem together with the text in which it is underlined.
#[derive(Debug, Clone)]
pub struct Mistake {
    pub problem: Problem,
    /// "fit.toml:12:3: ", or nothing.
    address: String,
    text: Option<NamedSource<String>>,
}

impl JobError {
    /// Problems in the order of their places.
    pub fn new(source: &Source, mut problems: Vec<Problem>) -> JobError {
        problems.sort_by_key(|p| p.place.as_ref().map(|place| (place.origin, place.span.start)));
        problems.dedup();
        let mistake = |problem: Problem| {
            let Some(place) = &problem.place else {
                return Mistake { problem, address: String::new(), text: None };
            };
            let (name, text) = source.text_of(place.origin);
            let before = text.get(..place.span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            let address = format!("{name}:{line}:{column}: ");
            Mistake { text: Some(NamedSource::new(name, text.to_string())), address, problem }
        };
        JobError { mistakes: problems.into_iter().map(mistake).collect() }
    }

    /// An error that no place in a job file is to blame for.
    pub fn plain(message: impl Into<String>, help: Option<String>) -> JobError {
        let problem = Problem { place: None, message: message.into(), label: String::new(), help };
        JobError { mistakes: vec![Mistake { problem, address: String::new(), text: None }] }
    }

    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// For people: each mistake with its line, underlined. `fancy`: colours and line-drawing characters,
    /// for a terminal; otherwise plain ASCII, for a log.
    pub fn report(&self, fancy: bool) -> String {
        let theme = if fancy { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false).with_context_lines(1);
        let mut report = String::new();
        for mistake in &self.mistakes {
            if handler.render_report(&mut report, mistake).is_err() {
                report += &mistake.problem.message;
            }
            report.push('\n');
        }
        if self.mistakes.len() > 1 {
            report += &format!("{} mistakes in the job\n", self.mistakes.len());
        }
        report
    }
}

/// One line a mistake: `fit.toml:12:3: unknown key ...; did you mean ...?`
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.mistakes.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}{}", mistake.address, mistake.problem.message)?;
            if let Some(help) = &mistake.problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for JobError {}

impl Diagnostic for JobError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.mistakes.iter().map(|m| m as &dyn Diagnostic)))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.problem.place.as_ref()?;
        let label = LabeledSpan::new_primary_with_span(Some(self.problem.label.clone()), place.span.clone());
        Some(Box::new(std::iter::once(label)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}
