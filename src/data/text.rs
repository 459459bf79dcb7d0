//! Text tables: CSV by the `csv` crate, and blank-separated columns as numpy.savetxt writes them.

use super::{DataError, LEAVE_OUT, Table};
use std::path::Path;

/// One line of data: its number in the file (from 1) and its fields.
struct Row {
    line: usize,
    fields: Vec<String>,
}

pub(super) fn read_table(path: &Path) -> Result<Table, DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::new(path, format!("cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| DataError {
        help: Some("tables are CSV or blank-separated UTF-8 text, or HDF5 files named .h5 or .hdf5".into()),
        ..DataError::new(path, "is not text")
    })?;
    parse(path, text.trim_start_matches('\u{feff}'))
}

/// `path` is for messages only.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table, DataError> {
    let first = text.lines().find(|l| !is_comment(l) && !l.trim().is_empty());
    let Some(first) = first else {
        return Err(DataError::new(path, "has no lines of data"));
    };
    let mut rows = match [',', ';', '\t'].into_iter().find(|d| first.contains(*d)) {
        Some(delimiter) => separated(path, text, delimiter)?,
        None => blank_separated(text),
    };
    let width = rows[0].fields.len();
    let has_header = rows[0].fields.iter().any(|f| number(f).is_none() && !is_missing(f));
    let names = if has_header {
        rows.remove(0).fields
    } else {
        names_in_comment(text, width).unwrap_or_else(|| (1..=width).map(|i| format!("c{i}")).collect())
    };
    columns(path, names, &rows)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn number(field: &str) -> Option<f64> {
    field.parse().ok()
}

fn is_missing(field: &str) -> bool {
    ["", "na", "n/a", "null", "none", "-", "--", "?"].contains(&field.to_ascii_lowercase().as_str())
}

fn separated(path: &Path, text: &str, delimiter: char) -> Result<Vec<Row>, DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .comment(Some(b'#'))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| DataError::new(path, format!("is not valid CSV: {e}")))?;
        let line = record.position().map_or(0, |p| p.line() as usize);
        let fields: Vec<String> = record.iter().map(String::from).collect();
        if fields.iter().any(|f| !f.is_empty()) {
            rows.push(Row { line, fields });
        }
    }
    Ok(rows)
}

fn blank_separated(text: &str) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, l)| !is_comment(l));
    let row = |(i, l): (usize, &str)| {
        let before_comment = l.split('#').next().unwrap_or("");
        Row { line: i + 1, fields: before_comment.split_whitespace().map(String::from).collect() }
    };
    lines.map(row).filter(|r| !r.fields.is_empty()).collect()
}

/// The last comment line before the data, if it has as many names as there are columns.
fn names_in_comment(text: &str, width: usize) -> Option<Vec<String>> {
    let comments = text.lines().take_while(|l| is_comment(l) || l.trim().is_empty());
    let last = comments.filter(|l| is_comment(l)).last()?.trim_start().trim_start_matches('#');
    let by_comma: Vec<String> = last.split([',', ';', '\t']).map(|w| w.trim().to_string()).collect();
    let by_blank: Vec<String> = last.split_whitespace().map(String::from).collect();
    [by_comma, by_blank].into_iter().find(|names| names.len() == width && names.iter().all(|n| !n.is_empty() && number(n).is_none()))
}

fn columns(path: &Path, names: Vec<String>, rows: &[Row]) -> Result<Table, DataError> {
    let fault = |row: &Row, column: Option<&String>, message: String, help: Option<&str>| DataError {
        line: Some(row.line),
        column: column.map(|name| format!("`{name}`")),
        help: help.map(String::from),
        ..DataError::new(path, message)
    };
    let mut columns: Vec<(String, Vec<f64>)> = names.into_iter().map(|name| (name, Vec::with_capacity(rows.len()))).collect();
    for row in rows {
        if row.fields.len() != columns.len() {
            let message = format!("{} values, where {} columns are expected", row.fields.len(), columns.len());
            return Err(fault(row, None, message, None));
        }
        for ((name, values), field) in columns.iter_mut().zip(&row.fields) {
            match number(field) {
                Some(value) if value.is_finite() => values.push(value),
                Some(value) => return Err(fault(row, Some(name), format!("the value is {value}"), Some(LEAVE_OUT))),
                None if is_missing(field) => return Err(fault(row, Some(name), "the value is missing".into(), Some(LEAVE_OUT))),
                None => {
                    let help = field.contains(',').then_some("decimal points are `.`, not `,`");
                    return Err(fault(row, Some(name), format!("\"{field}\" is not a number"), help));
                }
            }
        }
    }
    Ok(Table { source: path.display().to_string(), columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, String> {
        parse(Path::new("d.txt"), text).map_err(|e| e.to_string())
    }

    fn column(text: &str, name: &str) -> Vec<f64> {
        read(text).unwrap().column(name).unwrap().to_vec()
    }

    #[test]
    fn csv_with_quotes_comments_and_blank_lines_is_read() {
        let text = "# made by hand\n\"t, s\" , y\n0, 1.5\n\n# a remark\n1,-2e3\r\n";
        assert_eq!(column(text, "t, s"), [0.0, 1.0]);
        assert_eq!(column(text, "y"), [1.5, -2000.0]);
    }

    #[test]
    fn semicolons_and_tabs_separate_too() {
        assert_eq!(column("a;b\n1;2\n", "b"), [2.0]);
        assert_eq!(column("a\tb\n1\t2\n", "b"), [2.0]);
    }

    #[test]
    fn columns_of_savetxt_take_their_names_from_its_header() {
        assert_eq!(column("# x y\n 1.0e+00 2.0e+00\n3 4\n", "y"), [2.0, 4.0]);
        assert_eq!(column("# x, y\n1,2\n3,4\n", "y"), [2.0, 4.0]);
        assert_eq!(column("x y\n1 2\n3 4 # four\n", "y"), [2.0, 4.0]);
    }

    #[test]
    fn columns_without_names_are_numbered() {
        assert_eq!(column("1 2\n3 4\n", "c2"), [2.0, 4.0]);
        assert_eq!(column("# a remark of four words\n1 2\n3 4\n", "c1"), [1.0, 3.0]);
        assert_eq!(column("7\n8\n", "c1"), [7.0, 8.0]);
    }

    #[test]
    fn faults_name_file_line_and_column() {
        assert_eq!(read("a,b\n1,2\n3,x\n").unwrap_err(), "d.txt, line 3, column `b`: \"x\" is not a number");
        assert!(read("a,b\n1,2\n3,\n").unwrap_err().starts_with("d.txt, line 3, column `b`: the value is missing"));
        assert!(read("# c\na b\n1 nan\n").unwrap_err().starts_with("d.txt, line 3, column `b`: the value is NaN"));
        assert_eq!(read("a,b\n1,2\n3\n").unwrap_err(), "d.txt, line 3: 1 values, where 2 columns are expected");
        assert!(read("# nothing\n").unwrap_err().contains("no lines of data"));
        assert!(read("a b\n1,5 2\n").is_err());
    }
}
