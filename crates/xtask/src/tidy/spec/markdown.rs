//! Just enough Markdown: tables, sections, words in backticks.

/// A table: the cells of its head and of its rows, and the heading it stands under.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) section: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// The row's cell in the column of that name.
    pub(super) fn cell<'a>(&self, row: &'a [String], column: &str) -> Option<&'a str> {
        let place = self.head.iter().position(|name| name == column)?;
        row.get(place).map(String::as_str)
    }
}

/// Every table of a document.
pub(super) fn tables(document: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut section = String::new();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            section = line.trim_start_matches('#').trim().to_owned();
        }
        let rule = lines
            .peek()
            .is_some_and(|next| next.starts_with("|-") || next.starts_with("| -"));
        if !line.starts_with('|') || !rule {
            continue;
        }
        lines.next();
        let mut rows = Vec::new();
        while let Some(row) = lines.next_if(|next| next.starts_with('|')) {
            rows.push(cells(row));
        }
        tables.push(Table {
            section: section.clone(),
            head: cells(line),
            rows,
        });
    }
    tables
}

/// The cells of a row; `\|` is no border.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().replace("\\|", "\u{1}");
    let row = row.strip_prefix('|').unwrap_or(&row);
    let row = row.strip_suffix('|').unwrap_or(row);
    row.split('|')
        .map(|cell| cell.trim().replace('\u{1}', "|"))
        .collect()
}

/// The words in backticks.
pub(super) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What stands under the headings that begin so, down to the next heading of the same or a higher level.
pub(super) fn section<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let level = heading.chars().take_while(|c| *c == '#').count();
    let mut inside = false;
    let mut fenced = false;
    let mut found = Vec::new();
    for line in document.lines() {
        fenced ^= line.starts_with("```");
        let depth = line.chars().take_while(|c| *c == '#').count();
        if !fenced && (1..=level).contains(&depth) {
            inside = line.starts_with(heading);
        } else if inside {
            found.push(line);
        }
    }
    found
}

/// Whether a text is a code such as `NOT_ALLOWED`: upper snake case, long enough to be no word.
pub(super) fn is_code(text: &str) -> bool {
    let shape = text.starts_with(|c: char| c.is_ascii_uppercase())
        && !text.ends_with('_')
        && !text.contains("__")
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    shape && (text.contains('_') || text.len() >= 7 || text == "BANNED")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n\n## B\n\n| code | what |\n|---|---|\n| `X_Y`, `Z_Z` | a \\| b |\n\n\
        ```\n# no heading\n```\n### C\ntext\n## D\n| no | table |\n";

    #[test]
    fn tables_have_a_head_a_section_and_rows() {
        let tables = tables(DOCUMENT);
        assert_eq!(tables.len(), 1);
        let table = &tables[0];
        assert_eq!(table.section, "B");
        assert_eq!(table.cell(&table.rows[0], "what"), Some("a | b"));
        assert_eq!(table.cell(&table.rows[0], "why"), None);
        let codes: Vec<_> = quoted(&table.rows[0][0]).collect();
        assert_eq!(codes, ["X_Y", "Z_Z"]);
    }

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        let lines = section(DOCUMENT, "## B");
        assert!(lines.contains(&"### C") || lines.contains(&"text"));
        assert!(lines.contains(&"# no heading") && !lines.contains(&"| no | table |"));
    }

    #[test]
    fn codes_are_told_from_other_words() {
        for code in ["NOT_ALLOWED", "INTERNAL", "EXPIRED"] {
            assert!(is_code(code), "{code}");
        }
        for word in [
            "GET",
            "PATCH",
            "Not_allowed",
            "A__B",
            "X_",
            "_X",
            "not_allowed",
        ] {
            assert!(!is_code(word), "{word}");
        }
    }
}
