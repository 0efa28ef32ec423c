//! Decides where a setting comes from: a flag, else an environment variable, else the file. Says of everything that is
//! unknown or of a wrong form where it stands and what would be right. Which settings there are is `mod.rs`'s to know.
//!
//! A setting has one name in all three: `kafka.group_id` is `group_id` in the section `[kafka]`, and
//! `AYUMI_KAFKA_GROUP_ID` in the environment.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use schemas::programme_file::Problem;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::Secret;

/// Everything that is wrong with the configuration.
#[derive(Debug, Error)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    pub(super) fn one(problem: String) -> Self {
        ConfigError { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is not in order\n\n{}", self.problems.join("\n"))
    }
}

/// What the value of a setting must be.
pub(super) struct Form<T> {
    pub(super) belongs: &'static str,
    pub(super) example: &'static str,
    pub(super) read: fn(&str) -> Option<T>,
}

/// Where a setting was found.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Flag(String),
    Environment(String),
    File(Range<usize>),
    /// Nowhere: it would have been needed.
    Absent,
}

/// A value and where it was found.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// The configuration while it is read.
pub(super) struct Sources<'s> {
    file: &'s str,
    text: &'s str,
    root: DeTable<'s>,
    environment: &'s [(String, String)],
    flags: &'s [(&'static str, String)],
    known: Vec<&'static str>,
    /// With their place in the file, so that they can be told in its order.
    problems: Vec<(usize, String)>,
}

/// The sections whose settings the environment may have.
const ENVIRONMENT_PREFIXES: [&str; 3] = ["AYUMI_KAFKA_", "AYUMI_SCHEMA_REGISTRY_", "AYUMI_ADMIN_"];

impl<'s> Sources<'s> {
    /// Reads the file's text; it need not make sense yet.
    pub(super) fn new(
        file: &'s str,
        text: &'s str,
        environment: &'s [(String, String)],
        flags: &'s [(&'static str, String)],
    ) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let root = root.into_inner();
        let mut sources = Sources { file, text, root, environment, flags, known: Vec::new(), problems: Vec::new() };
        for error in &errors {
            let message = format!("not TOML: {}", error.message().replace('\n', ", "));
            sources.add(&Place::File(error.span().unwrap_or(0..0)), "", &message, "correct this first");
        }
        sources
    }

    /// The text of a setting and where it was found.
    fn find(&mut self, path: &'static str) -> Option<At<String>> {
        self.known.push(path);
        if let Some((_, value)) = self.flags.iter().find(|(flag, _)| *flag == path) {
            let name = path.rsplit('.').next().unwrap_or(path).replace('_', "-");
            return Some(At { value: value.clone(), place: Place::Flag(format!("--{name}")) });
        }
        let variable = environment_name(path);
        if let Some((_, value)) = self.environment.iter().find(|(name, _)| *name == variable) {
            return Some(At { value: value.clone(), place: Place::Environment(variable) });
        }
        let value = find_in(&self.root, path)?;
        let place = Place::File(value.span());
        // What has no text, such as a table, is refused by the form, which an empty text does not fit either.
        Some(At { value: text_of(value.get_ref()).unwrap_or_default(), place })
    }

    /// A setting that may be left out.
    pub(super) fn optional<T>(&mut self, path: &'static str, form: &Form<T>) -> Option<At<T>> {
        let At { value, place } = self.find(path)?;
        let read = (form.read)(value.trim());
        if read.is_none() {
            let fix = format!("write {}, such as {}", form.belongs, form.example);
            self.add(&place, path, &format!("`{path}` is {}", shown(&value)), &fix);
        }
        read.map(|value| At { value, place })
    }

    /// A setting that may be left out, and what holds then.
    pub(super) fn or<T>(&mut self, path: &'static str, form: &Form<T>, otherwise: T) -> T {
        self.optional(path, form).map_or(otherwise, |found| found.value)
    }

    /// A setting that must be there; a stand-in if it is not, as a problem then says.
    pub(super) fn required(&mut self, path: &'static str, form: &Form<String>, because: &str) -> String {
        match self.optional(path, form) {
            Some(found) => found.value,
            None => {
                // One that is there and wrong has been told already.
                if self.find(path).is_none() {
                    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
                    let fix = format!(
                        "add `{name} = {}` to [{section}], or set {}: {}",
                        form.example,
                        environment_name(path),
                        form.belongs
                    );
                    self.add(&Place::Absent, path, &format!("`{path}` is missing{because}"), &fix);
                }
                String::new()
            }
        }
    }

    /// A secret: the contents of the file that `path_file` names, or the environment's. In the configuration file itself
    /// it is refused. `path` and `path_file` are the two names.
    pub(super) fn secret(&mut self, path: &'static str, path_file: &'static str) -> Option<Secret> {
        if let Some(found) = self.find(path) {
            if let Place::Environment(_) = found.place {
                return Some(Secret::new(found.value));
            }
            let name = path_file.rsplit('.').next().unwrap_or(path_file);
            let fix = format!(
                "write it into a file of its own that only Ayumi may read, and that file's path here as `{name}`; or set {}",
                environment_name(path)
            );
            self.add(&found.place, path, &format!("`{path}` would be read by all who read this file"), &fix);
            return None;
        }
        let found = self.file(path_file)?;
        let text = match std::fs::read_to_string(&found.value) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => {
                self.unreadable(&found, path_file, &error);
                return None;
            }
        };
        if text.is_empty() {
            let message = format!("`{path_file}` names {}, which is empty", found.value.display());
            self.add(&found.place, path_file, &message, "write the secret into that file");
            return None;
        }
        Some(Secret::new(text))
    }

    /// A file that is there and can be read.
    pub(super) fn file(&mut self, path: &'static str) -> Option<At<PathBuf>> {
        const FILE: Form<PathBuf> = Form {
            belongs: "the path of a file",
            example: "\"/etc/ayumi/ca.pem\"",
            read: |text| Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()),
        };
        let found = self.optional(path, &FILE)?;
        match std::fs::File::open(&found.value) {
            Ok(_) => Some(found),
            Err(error) => {
                self.unreadable(&found, path, &error);
                None
            }
        }
    }

    fn unreadable(&mut self, found: &At<PathBuf>, path: &str, error: &std::io::Error) {
        let message = format!("`{path}` names {}, which can't be read: {error}", found.value.display());
        self.add(&found.place, path, &message, "give the path of a file that the user of this process may read");
    }

    /// The names and values of a section whose names are not Ayumi's: `a.b = 1` and `"a.b" = 1` are the same.
    pub(super) fn free_section(&mut self, path: &'static str) -> Vec<(String, At<String>)> {
        self.known.push(path);
        let mut found = Vec::new();
        if let Some(table) = find_in(&self.root, path).and_then(|value| value.get_ref().as_table()) {
            leaves(table, "", &mut |name, value| {
                let text = text_of(value.get_ref()).unwrap_or_default();
                found.push((name.to_owned(), At { value: text, place: Place::File(value.span()) }));
            });
        }
        found
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, place: &Place, path: &str, message: &str, fix: &str) {
        let (order, shown) = match place {
            Place::Flag(name) => (0, format!("{name}: {message}; {fix}\n")),
            Place::Environment(name) => (0, format!("{name}: {message}; {fix}\n")),
            Place::Absent => (usize::MAX, format!("{message}; {fix}\n")),
            Place::File(at) => {
                let (line, column) = self.position(at.start);
                let problem = Problem { line, column, message: message.to_owned(), fix: fix.to_owned() };
                // The line of the file would show what must not be shown.
                let is_secret = ["password", "secret", "pem"].iter().any(|end| path.ends_with(end));
                let with_line = (!is_secret).then(|| problem.shown(self.file, self.text));
                (at.start, with_line.unwrap_or_else(|| format!("{}:{problem}\n", self.file)))
            }
        };
        self.problems.push((order, shown));
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Refuses every name that nothing has asked for, in the file and in the environment, and gives the verdict.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        let mut unknown: Vec<(Place, String, String)> = Vec::new();
        let known = &self.known;
        leaves(&self.root, "", &mut |name, value| {
            let is_known = known.iter().any(|known| name == *known || name.starts_with(&format!("{known}.")));
            if !is_known {
                unknown.push((Place::File(value.span()), name.to_owned(), nearest(name, known.iter().copied())));
            }
        });
        let variables: Vec<String> = known.iter().map(|path| environment_name(path)).collect();
        for (name, _) in self.environment {
            let is_ours = ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if is_ours && !variables.contains(name) {
                let fix = nearest(name, variables.iter().map(String::as_str));
                unknown.push((Place::Environment(name.clone()), name.clone(), fix));
            }
        }
        for (place, name, fix) in unknown {
            self.add(&place, "", &format!("`{name}` is not known here"), &fix);
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|(order, _)| *order);
        Err(ConfigError { problems: self.problems.into_iter().map(|(_, problem)| problem).collect() })
    }
}

/// `kafka.group_id` in the environment: `AYUMI_KAFKA_GROUP_ID`.
pub(super) fn environment_name(path: &str) -> String {
    format!("AYUMI_{}", path.replace('.', "_").to_uppercase())
}

fn find_in<'t, 's>(root: &'t DeTable<'s>, path: &str) -> Option<&'t Spanned<DeValue<'s>>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = root.get(first)?;
    if rest.is_empty() { Some(value) } else { find_in(value.get_ref().as_table()?, rest) }
}

/// Each value that is no table, with its dotted name.
fn leaves<'t, 's>(table: &'t DeTable<'s>, path: &str, each: &mut dyn FnMut(&str, &'t Spanned<DeValue<'s>>)) {
    for (name, value) in table {
        let name: &str = name.get_ref();
        let name = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value.get_ref().as_table() {
            Some(table) => leaves(table, &name, each),
            None => each(&name, value),
        }
    }
}

/// A value as the environment would have it; a list with commas. `None` for what has no such form.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            items.iter().map(|item| text_of(item.get_ref())).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn shown(value: &str) -> String {
    if value.is_empty() { "empty, or a table".to_owned() } else { format!("`{value}`") }
}

/// What was likely meant.
fn nearest<'w>(name: &str, words: impl Iterator<Item = &'w str>) -> String {
    let distances = words.map(|word| (strsim::levenshtein(name, word), word));
    match distances.min().filter(|(distance, word)| distance * 3 <= word.len()) {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None => "remove it".to_owned(),
    }
}
