//! Standard output: for people, for pipes, as JSON.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::Value;

use crate::args::Color;
use crate::failure::{Failure, Outcome};

/// Columns that are assumed where there is no terminal to ask.
const WIDTH: usize = 100;

#[derive(Debug)]
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    pub(crate) json: bool,
    pub(crate) is_terminal: bool,
    has_colors: bool,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Title,
    Name,
    Number,
    Faint,
    Alarm,
}

impl Output {
    pub(crate) fn new(json: bool, color: Color) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let has_colors = match color {
            Color::Auto => is_terminal && wanted,
            Color::Always => true,
            Color::Never => false,
        };
        Output { out: BufWriter::with_capacity(64 * 1024, stdout), json, is_terminal, has_colors }
    }

    /// Columns that a line may have.
    pub(crate) fn width(&self) -> usize {
        if !self.is_terminal {
            return WIDTH;
        }
        terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0).max(40))
    }

    /// `text`, coloured for what it is.
    pub(crate) fn paint(&self, role: Role, text: impl Display) -> String {
        if !self.has_colors {
            return text.to_string();
        }
        let style = match role {
            Role::Title => Style::new().bold().underline(),
            Role::Name => AnsiColor::Cyan.on_default(),
            Role::Number => AnsiColor::Green.on_default(),
            Role::Faint => Style::new().dimmed(),
            Role::Alarm => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Outcome {
        self.out.write_all(bytes).map_err(Failure::writing)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Outcome {
        writeln!(self.out, "{line}").map_err(Failure::writing)
    }

    /// Writes an object on a line of its own.
    pub(crate) fn object(&mut self, object: &Value) -> Outcome {
        self.line(object)
    }

    /// Rows under headings: a table for people, tab-separated lines for a pipe.
    pub(crate) fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) -> Outcome {
        if !self.is_terminal {
            self.line(headings.join("\t"))?;
            let cell = |text: &String| shown(text.as_bytes()).replace(['\t', '\n'], " ");
            return rows.iter().try_for_each(|row| self.line(row.iter().map(cell).collect::<Vec<_>>().join("\t")));
        }
        // Cells are never broken. Headings are, where that makes the table fit.
        let mut table = table_of(headings.iter().map(|heading| (*heading).to_owned()), rows);
        if widest_line(&table) > self.width() {
            table = table_of(headings.iter().map(|heading| in_two_lines(heading)), rows);
        }
        let heading_lines = table
            .header()
            .map_or(1, |row| row.cell_iter().map(|cell| cell.content().lines().count()).max().unwrap_or(1));
        let text = table.to_string();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            let line = if index < heading_lines { self.paint(Role::Title, line) } else { line.to_owned() };
            self.line(line)?;
        }
        Ok(())
    }

    /// Whether what is printed now is looked at, and not read by a program.
    pub(crate) fn is_for_people(&self) -> bool {
        self.is_terminal && !self.json
    }

    /// Rows under headings, in every form: JSON objects get the headings, in camel case, as keys.
    pub(crate) fn rows(&mut self, headings: &[&str], rows: Vec<Vec<Value>>) -> Outcome {
        if self.json {
            return rows.into_iter().try_for_each(|row| {
                let keys = headings.iter().map(|heading| camel_case(heading));
                self.object(&Value::Object(keys.zip(row).collect()))
            });
        }
        let text = |cell: Value| match cell {
            Value::String(text) => text,
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect();
        self.table(headings, &rows)
    }

    /// Whether nobody is left to read what is printed: the other end of a pipe was closed, or the terminal has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        let stdout = self.out.get_ref();
        let mut asked = [PollFd::new(stdout, PollFlags::empty())];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().intersects(gone)
    }

    pub(crate) fn flush(&mut self) -> Outcome {
        self.out.flush().map_err(Failure::writing)
    }
}

fn table_of(headings: impl Iterator<Item = String>, rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !rows.is_empty() && rows.iter().all(|row| row[index] == "-" || row[index].parse::<i64>().is_ok()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn widest_line(table: &Table) -> usize {
    table.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0)
}

/// A heading of several words, divided before the last of them.
fn in_two_lines(heading: &str) -> String {
    match heading.rfind(|letter: char| letter.is_ascii_uppercase()) {
        None | Some(0) => heading.to_owned(),
        Some(at) => format!("{}\n{}", &heading[..at], &heading[at..]),
    }
}

fn camel_case(heading: &str) -> String {
    let mut letters = heading.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// Says something beside the result: a line on standard error.
pub(crate) fn note(what: impl Display) {
    let _ = writeln!(io::stderr(), "klog: note: {what}"); // the result does not depend on it
}

/// A time as ISO 8601 has it, in UTC, to the second; `-` for none.
pub(crate) fn shown_time(timestamp: i64) -> String {
    match timestamp {
        -1 => "-".into(),
        _ => jiff::Timestamp::from_millisecond(timestamp).map_or(timestamp.to_string(), |at| format!("{at:.0}")),
    }
}

/// Bytes in JSON: text where they are text, else `{"base64": …}`; null for none.
pub(crate) fn json_bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => Value::Null,
        Some((Ok(text), _)) => Value::from(text),
        Some((Err(_), bytes)) => serde_json::json!({ "base64": data_encoding::BASE64.encode(bytes) }),
    }
}

/// Bytes for a terminal: text where they are text, with what would command the terminal escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bytes.escape_ascii().to_string();
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_ascii_control() => shown.extend((c as u8).escape_ascii().map(char::from)),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_record_commands_the_terminal() {
        assert_eq!(shown(b"a\x1b[31mb\x07\0"), "a\\x1b[31mb\\x07\\x00");
        assert_eq!(shown("grün\u{9b}".as_bytes()), "grün\\u{9b}");
        assert_eq!(shown(b"\xff\xfe"), "\\xff\\xfe");
    }
}
