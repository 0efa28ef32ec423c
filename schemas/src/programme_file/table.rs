//! Decides how single values of a programme file are read: their type, their range, and names that are not known.

use std::ops::{Range, RangeInclusive};

use pipeline::calendar::CivilDate;
use pipeline::programme::ByAge;
use pipeline::quantity::Points;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::programme_file::problem::Report;
use crate::programme_file::{Part, Reported};

/// Where something stands in the file, in bytes.
pub(super) type Span = Range<usize>;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

/// What a value must be.
pub(super) struct Form<T> {
    belongs: &'static str,
    example: &'static str,
    read: fn(&DeValue<'_>) -> Option<T>,
}

impl<T> Clone for Form<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Form<T> {}

fn whole(value: &DeValue<'_>, range: RangeInclusive<i64>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number))
}

fn count(value: &DeValue<'_>, range: RangeInclusive<i64>) -> Option<u32> {
    whole(value, range).and_then(|number| u32::try_from(number).ok())
}

/// Days that any period of a programme can last at most: ten years, leap days included.
const DAYS_MAX: i64 = 3653;

/// A date without a time.
pub(super) const DATE: Form<CivilDate> = Form {
    belongs: "a date without quotation marks from 2000 to 2099",
    example: "2025-06-03",
    read: |value| {
        let datetime = value.as_datetime()?;
        let date = datetime.date.filter(|_| datetime.time.is_none() && datetime.offset.is_none())?;
        CivilDate::from_ymd(date.year.into(), date.month.into(), date.day.into()).filter(|date| date.is_accepted())
    },
};

/// A name for people.
pub(super) const NAME: Form<String> = Form {
    belongs: "text that is not empty",
    example: "\"…\"",
    read: |value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned),
};

/// A name for machines. It is also a folder's.
pub(super) const IDENTIFIER: Form<String> = Form {
    belongs: "lower-case letters, digits, `-` and `_`, the folder's name",
    example: "\"kunitachi\"",
    read: |value| {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        value.as_str().filter(|text| !text.is_empty() && text.bytes().all(is_fit)).map(str::to_owned)
    },
};

/// The handbook's number of a rule.
pub(super) const RULE_ID: Form<String> = Form {
    belongs: "the handbook's number, without blanks",
    example: "\"KU-40\"",
    read: |value| {
        let is_fit = |text: &&str| !text.is_empty() && !text.contains(char::is_whitespace);
        value.as_str().filter(is_fit).map(str::to_owned)
    },
};

/// `true` or `false`.
pub(super) const FLAG: Form<bool> = Form { belongs: "true or false", example: "true", read: |value| value.as_bool() };

/// A count of versions.
pub(super) const VERSION: Form<u32> = Form {
    belongs: "a whole number from 1 to 4294967295",
    example: "1",
    read: |value| count(value, 1..=i64::from(u32::MAX)),
};

/// Steps, none included.
pub(super) const STEPS: Form<u32> = Form {
    belongs: "a whole number of steps from 0 to 4294967295",
    example: "300",
    read: |value| count(value, 0..=i64::from(u32::MAX)),
};

/// Steps to be reached: none would be reached by everyone.
pub(super) const STEPS_SOME: Form<u32> = Form {
    belongs: "a whole number of steps from 1 to 4294967295",
    example: "5000",
    read: |value| count(value, 1..=i64::from(u32::MAX)),
};

/// Days that may pass, none included.
pub(super) const DAYS: Form<u32> =
    Form { belongs: "a whole number of days from 0 to 3653", example: "30", read: |value| count(value, 0..=DAYS_MAX) };

/// The days of a window: none would be no window.
pub(super) const DAYS_SOME: Form<u32> =
    Form { belongs: "a whole number of days from 1 to 3653", example: "7", read: |value| count(value, 1..=DAYS_MAX) };

/// The days of a month.
pub(super) const MONTH_DAYS: Form<u32> =
    Form { belongs: "a whole number of days from 1 to 31", example: "1", read: |value| count(value, 1..=31) };

/// Years that may pass, none included.
pub(super) const YEARS: Form<u32> =
    Form { belongs: "a whole number of years from 0 to 99", example: "1", read: |value| count(value, 0..=99) };

/// An age.
pub(super) const AGE: Form<u32> =
    Form { belongs: "an age from 1 to 150", example: "75", read: |value| count(value, 1..=150) };

/// What something pays. The example is no figure: an amount comes from the handbook and is never made up.
pub(super) const POINTS: Form<Points> = Form {
    belongs: "the handbook's amount, a whole number of points from 1 to 1000000000",
    example: "…",
    read: |value| whole(value, 1..=1_000_000_000).map(Points::new),
};

/// One table of the file, and which of its names are known.
pub(super) struct Table<'r, 's> {
    report: &'r Report<'s>,
    fields: &'r DeTable<'s>,
    /// Where the table is, for what it lacks.
    span: Span,
    /// What the table is called in messages, with a dot, or nothing for the whole file.
    path: String,
    known: Vec<&'static str>,
}

impl<'r, 's> Table<'r, 's> {
    /// The whole file.
    pub(super) fn root(report: &'r Report<'s>, fields: &'r DeTable<'s>) -> Self {
        Table { report, fields, span: 0..0, path: String::new(), known: Vec::new() }
    }

    /// The value as a table, if it is one. `path` is what messages call it.
    pub(super) fn of(report: &'r Report<'s>, value: &'r Spanned<DeValue<'s>>, path: &str) -> Option<Self> {
        let Some(fields) = value.get_ref().as_table() else {
            let found = report.text(&value.span());
            report.add(&value.span(), format!("`{path}` is {found}"), "make it a table, such as { name = value }");
            return None;
        };
        Some(Table { report, fields, span: value.span(), path: format!("{path}."), known: Vec::new() })
    }

    pub(super) fn report(&self) -> &'r Report<'s> {
        self.report
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The value of a name, which is known from now on.
    pub(super) fn find(&mut self, name: &'static str) -> Option<&'r Spanned<DeValue<'s>>> {
        self.known.push(name);
        self.fields.get(name)
    }

    fn missing(&self, name: &str, example: &str, belongs: &str) {
        let message = format!("`{}{name}` is missing", self.path);
        self.report.add(&self.span, message, format!("add `{name} = {example}`: {belongs}"));
    }

    fn read<T>(&self, name: &str, value: &Spanned<DeValue<'_>>, form: Form<T>) -> Option<At<T>> {
        let span = value.span();
        let read = (form.read)(value.get_ref());
        if read.is_none() {
            let message = format!("`{}{name}` is {}", self.path, self.report.text(&span));
            self.report.add(&span, message, format!("write {}, such as {}", form.belongs, form.example));
        }
        read.map(|value| At { value, span })
    }

    /// The value of a name that must be there.
    pub(super) fn required<T>(&mut self, name: &'static str, form: Form<T>) -> Option<At<T>> {
        match self.find(name) {
            Some(value) => self.read(name, value, form),
            None => {
                self.missing(name, form.example, form.belongs);
                None
            }
        }
    }

    /// The value of a name that may be left out.
    pub(super) fn optional<T>(&mut self, name: &'static str, form: Form<T>) -> Part<At<T>> {
        self.find(name).map(|value| self.read(name, value, form).ok_or(Reported)).transpose()
    }

    /// One of several words.
    pub(super) fn choice<T: Clone>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<At<(&'static str, T)>> {
        let words = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let Some(value) = self.find(name) else {
            self.missing(name, "…", &words);
            return None;
        };
        let chosen = value.get_ref().as_str().and_then(|word| choices.iter().find(|(known, _)| *known == word));
        if chosen.is_none() {
            let near = value.get_ref().as_str().and_then(|word| nearest(word, choices.iter().map(|(word, _)| *word)));
            let fix =
                near.map_or(format!("write {words}"), |near| format!("did you mean \"{near}\"? There is {words}"));
            let message = format!("`{}{name}` is {}", self.path, self.report.text(&value.span()));
            self.report.add(&value.span(), message, fix);
        }
        chosen.map(|chosen| At { value: chosen.clone(), span: value.span() })
    }

    /// A figure for each age class: one for both, or `{ younger = …, older = … }`.
    pub(super) fn by_age(&mut self, name: &'static str, form: Form<u32>) -> Option<ByAge<u32>> {
        let Some(value) = self.find(name) else {
            self.missing(name, &format!("{{ younger = {0}, older = {0} }}", form.example), form.belongs);
            return None;
        };
        if !value.get_ref().is_table() {
            let both = self.read(name, value, form)?.value;
            return Some(ByAge { younger: both, older: both });
        }
        self.report.note_by_age(&value.span());
        let mut table = Table::of(self.report, value, &format!("{}{name}", self.path))?;
        let (younger, older) = (table.required("younger", form), table.required("older", form));
        table.refuse_unknown();
        Some(ByAge { younger: younger?.value, older: older?.value })
    }

    /// A section that must be there.
    pub(super) fn required_section(&mut self, name: &'static str, holds: &str) -> Option<Table<'r, 's>> {
        match self.find(name) {
            Some(value) => Table::of(self.report, value, name),
            None => {
                let message = format!("the section `[{name}]` is missing");
                self.report.add(&self.span, message, format!("add it: {holds}"));
                None
            }
        }
    }

    /// A section that may be left out, read by `read`.
    pub(super) fn optional_section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'r, 's>) -> Option<T>,
    ) -> Part<At<T>> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let mut section = Table::of(self.report, value, name).ok_or(Reported)?;
        let read = read(&mut section);
        section.refuse_unknown();
        let span = section.span;
        read.map(|value| Some(At { value, span })).ok_or(Reported)
    }

    /// Refuses every name that nothing has asked for.
    pub(super) fn refuse_unknown(&self) {
        for name in self.fields.keys() {
            let text: &str = name.get_ref();
            if self.known.contains(&text) {
                continue;
            }
            let fix = match nearest(text, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("remove it; there is {}", self.known.join(", ")),
            };
            self.report.add(&name.span(), format!("`{}{text}` is not known here", self.path), fix);
        }
    }
}

/// The word that is likely to have been meant: at most a third of its letters differ.
fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let distances = words.map(|word| (distance(text, word), word));
    distances.min().filter(|(distance, word)| *distance * 3 <= word.len().max(3)).map(|(_, word)| word)
}

/// Letters to insert, remove or replace until one word is the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
