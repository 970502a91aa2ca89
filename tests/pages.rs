//! The pages about settings and columns say what the code says. `UPDATE_DOCS=1 cargo test pages::` writes them anew.

use std::fs;

use edgewalk::config::reference::keys_in_markdown;
use edgewalk::config::resolve;
use edgewalk::folder::columns::in_markdown;
use edgewalk::folder::rows::{CurvatureRow, MetricsRow, OscillationRow};

/// The part of a page from `begin` to `end` is this text.
fn check(page: &str, begin: &str, end: &str, text: &str) {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(&path).unwrap();
    let from = page.find(begin).unwrap() + begin.len();
    let to = from + page[from..].find(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, [&page[..from], text, &page[to..]].concat()).unwrap();
    } else {
        assert_eq!(&page[from..to], text);
    }
}

#[test]
fn the_page_of_settings_has_every_key() {
    let keys = keys_in_markdown();
    check("settings.md", "has the value of `quickstart`.\n\n", "## Options of", &keys);
    let all = resolve(None, &[]).unwrap().config.to_toml();
    assert_eq!(keys.matches("\n| `").count(), all.lines().filter(|line| line.contains(" = ")).count());
}

#[test]
fn the_page_of_a_run_folder_has_every_column() {
    let tables = [
        ("metrics", in_markdown::<MetricsRow>()),
        ("curvature", in_markdown::<CurvatureRow>()),
        ("oscillation", in_markdown::<OscillationRow>()),
    ];
    for (table, columns) in tables {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run-folder.md")).unwrap();
        let heading = page.find(&format!("\n## {table}.csv\n")).unwrap();
        let above = heading + page[heading..].find("|---|---|\n").unwrap() + "|---|---|\n".len();
        check("run-folder.md", &page[..above], "\n\n", columns.trim_end());
    }
}
