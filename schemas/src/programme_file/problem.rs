//! Decides what a problem of a programme file says, and where it points.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::programme_file::table::Span;

/// One thing that is wrong with a programme file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    /// `12:5: message. Fix.` Put the file's name and a colon before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.line, self.column, self.message, self.fix)
    }
}

impl Problem {
    /// The problem as a compiler would print it: with the file's name, the line of the source and a caret below it.
    pub fn shown(&self, file: &str, source: &str) -> String {
        let line = source.lines().nth(self.line - 1).unwrap_or_default();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // A character of the source may be wider than a space, so the caret stands below the same characters.
        let indent: String = line.chars().take(self.column - 1).map(blank).collect();
        format!(
            "{file}:{}:{}: {}\n{margin} |\n{number} | {line}\n{margin} | {indent}^ {}\n",
            self.line, self.column, self.message, self.fix
        )
    }
}

/// A blank as wide as a character: a tab for a tab, an ideographic space for what East Asian fonts draw twice as wide.
fn blank(character: char) -> char {
    match character {
        '\t' => '\t',
        '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}' => '\u{3000}',
        '\u{F900}'..='\u{FAFF}' | '\u{FE30}'..='\u{FE6F}' | '\u{FF00}'..='\u{FF60}' | '\u{20000}'.. => '\u{3000}',
        _ => ' ',
    }
}

/// Gathers the problems of one file while it is read.
pub(super) struct Report<'s> {
    source: &'s str,
    problems: RefCell<Vec<(usize, Problem)>>,
    first_by_age: Cell<Option<(usize, usize)>>,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Report { source, problems: RefCell::default(), first_by_age: Cell::default() }
    }

    /// The text at a place of the file.
    pub(super) fn text(&self, at: &Span) -> &'s str {
        self.source.get(at.clone()).unwrap_or_default()
    }

    /// Notes a problem.
    pub(super) fn add(&self, at: &Span, message: impl Into<String>, fix: impl Into<String>) {
        let (line, column) = self.position(at.start);
        let problem = Problem { line, column, message: message.into(), fix: fix.into() };
        self.problems.borrow_mut().push((at.start, problem));
    }

    /// Notes what makes the file no TOML at all.
    pub(super) fn not_toml(&self, error: &toml::de::Error) {
        let at = error.span().unwrap_or(0..0);
        self.add(&at, format!("not TOML: {}", error.message().replace('\n', ", ")), "correct this first");
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: &Span) -> usize {
        self.position(at.start).0
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.source.get(..offset).unwrap_or(self.source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Notes that a figure differs by age.
    pub(super) fn note_by_age(&self, at: &Span) {
        let first = self.first_by_age.get().filter(|(start, _)| *start < at.start);
        self.first_by_age.set(first.or(Some((at.start, at.end))));
    }

    /// Where the first figure stands that differs by age.
    pub(super) fn first_by_age(&self) -> Option<Span> {
        self.first_by_age.get().map(|(start, end)| start..end)
    }

    /// All problems, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(offset, _)| *offset);
        problems.into_iter().map(|(_, problem)| problem).collect()
    }
}
