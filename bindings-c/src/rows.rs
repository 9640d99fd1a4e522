//! Tables of results.

use std::ffi::{CString, c_char};

use klog::{Cut, Damage, Report};

use crate::error::{c_text, klog_error};
use crate::guard::{Caller, Failure, enter, look, release};
use crate::handle::Handle;
use crate::status::klog_status;

/// A table of results: rows counted from 0, columns known by name. New columns may come with any version; none is ever
/// removed or given another meaning.
#[derive(Debug)]
pub struct klog_rows {
    columns: Vec<(CString, Kind)>,
    /// Row after row.
    cells: Vec<Cell>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
}

/// One value.
#[derive(Debug)]
pub(crate) enum Cell {
    Null,
    Text(CString),
    Int(i64),
}

/// What every function does that gives a table: `make` it and hand it out.
///
/// # Safety
/// As [`enter`], and `out` is NULL or points to a place for one pointer.
pub(crate) unsafe fn list(
    out: *mut *mut klog_rows,
    error: *mut *mut klog_error,
    make: impl for<'c> FnOnce(&Caller<'c>) -> Result<klog_rows, Failure>,
) -> klog_status {
    // SAFETY: by the caller.
    unsafe {
        enter(error, |c| {
            let out = c.out(out, "out", std::ptr::null_mut())?;
            out.give(make(c)?);
            Ok(())
        })
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(c_text(text))
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Cell {
        Cell::Int(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Cell {
        Cell::Int(number.into())
    }
}

/// Sizes and positions, which are below 2^63.
impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Int(number as i64)
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Cell {
        Cell::Int(truth.into())
    }
}

/// Ids with commas between.
impl From<&[i32]> for Cell {
    fn from(ids: &[i32]) -> Cell {
        let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
        ids.join(",").as_str().into()
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

impl Handle for klog_rows {
    const NAME: &'static str = "rows";
}

impl klog_rows {
    pub(crate) fn new<const N: usize>(columns: [(&str, Kind); N]) -> klog_rows {
        klog_rows { columns: columns.iter().map(|(name, kind)| (c_text(name), *kind)).collect(), cells: Vec::new() }
    }

    pub(crate) fn push<const N: usize>(&mut self, row: [Cell; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell for every column");
        self.cells.extend(row);
    }

    fn len(&self) -> usize {
        self.cells.len() / self.columns.len()
    }

    fn cell(&self, row: usize, column: &str) -> Option<&Cell> {
        let index = self.columns.iter().position(|(name, _)| name.as_bytes() == column.as_bytes())?;
        self.cells.get(row.checked_mul(self.columns.len())?.checked_add(index)?)
    }
}

/// What an engine or a check found, as a table.
pub(crate) fn report_rows(report: &Report) -> klog_rows {
    use Kind::{Int, Text};
    let mut rows = klog_rows::new([
        ("kind", Text),
        ("topic", Text),
        ("partition", Int),
        ("file", Text),
        ("position", Int),
        ("bytes", Int),
        ("first_offset", Int),
        ("next_offset", Int),
        ("kept_in", Text),
        ("message", Text),
    ]);
    for cut in &report.cuts {
        rows.push(cut_row(cut));
    }
    for damage in &report.damage {
        rows.push(damage_row(damage));
    }
    for finding in &report.findings {
        let (file, what) = (finding.file.as_str(), finding.what.as_str());
        let null = || Cell::Null;
        rows.push(["finding".into(), null(), null(), file.into(), null(), null(), null(), null(), null(), what.into()]);
    }
    rows
}

fn cut_row(cut: &Cut) -> [Cell; 10] {
    [
        "cut".into(),
        cut.partition.topic.as_str().into(),
        cut.partition.partition.into(),
        cut.file.as_str().into(),
        cut.position.into(),
        cut.bytes.into(),
        cut.offsets.map(|(first, _)| first.0).into(),
        cut.offsets.map(|(_, last)| last.0 + 1).into(),
        cut.kept_in.as_deref().into(),
        cut.to_string().as_str().into(),
    ]
}

fn damage_row(damage: &Damage) -> [Cell; 10] {
    [
        "damage".into(),
        damage.topic.as_str().into(),
        damage.partition.into(),
        damage.file.as_str().into(),
        damage.position.into(),
        damage.bytes.into(),
        damage.first_offset.into(),
        damage.next_offset.into(),
        Cell::Null,
        klog::Error::corrupt(damage.clone()).message().into(),
    ]
}

/// How many rows. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_len(rows: *const klog_rows) -> usize {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| Some(c.handle(rows).ok()?.len())) }
}

/// How many columns. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_column_count(rows: *const klog_rows) -> usize {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| Some(c.handle(rows).ok()?.columns.len())) }
}

/// The name of a column, counted from 0. NULL past the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_column_name(rows: *const klog_rows, column: usize) -> *const c_char {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(std::ptr::null(), |c| Some(c.handle(rows).ok()?.columns.get(column)?.0.as_ptr())) }
}

/// 1 for a column of numbers, 0 for one of text and past the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_column_is_int(rows: *const klog_rows, column: usize) -> i32 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe { look(0, |c| Some(i32::from(c.handle(rows).ok()?.columns.get(column)?.1 == Kind::Int))) }
}

/// The text of a cell. NULL when the cell is null, not text, or out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_text(rows: *const klog_rows, row: usize, column: *const c_char) -> *const c_char {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        look(std::ptr::null(), |c| match c.handle(rows).ok()?.cell(row, c.text(column, "column").ok()?)? {
            Cell::Text(text) => Some(text.as_ptr()),
            Cell::Int(_) | Cell::Null => None,
        })
    }
}

/// The number of a cell. missing when the cell is null, not a number, or out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_int(rows: *const klog_rows, row: usize, column: *const c_char, missing: i64) -> i64 {
    // SAFETY: the body hands on nothing but the arguments.
    unsafe {
        look(missing, |c| match c.handle(rows).ok()?.cell(row, c.text(column, "column").ok()?)? {
            Cell::Int(number) => Some(*number),
            Cell::Text(_) | Cell::Null => None,
        })
    }
}

/// Free a table. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn klog_rows_free(rows: *mut klog_rows) {
    // SAFETY: as the header says of every X_free.
    unsafe { release(rows) }
}
