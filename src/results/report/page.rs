//! The parts of all reports: the page with its typography, pictures inside it, and tables of key numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::results::figure::Figure;
use crate::results::{Format, PlotError};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #555; --line: #e3e3e3; --rule: #ccc; --head: #888;
  --code: #f6f6f6; --good: #f2faf7; --open: #fdf7ea; --bad: #fdf1ea; --bad-ink: #a03c00; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e2e2e2; --paper: #141414; --soft: #a8a8a8; --line: #303030; --rule: #444; --head: #777;
    --code: #1f1f1f; --good: #10241d; --open: #2a220f; --bad: #2e1a10; --bad-ink: #ff9d66; }
  figure img { filter: invert(.92) hue-rotate(180deg); }
  figure img.natural { filter: none; }
}
body { margin: 0 auto; max-width: 58rem; padding: 2.5rem 1.5rem 4rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 'Source Serif 4', Charter, 'Bitstream Charter', Georgia, 'DejaVu Serif', serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .7rem; padding-bottom: .25rem; border-bottom: 1px solid var(--rule);
  break-after: avoid; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; break-after: avoid; }
p { margin: .6rem 0; overflow-wrap: anywhere; }
.made { color: var(--soft); margin: 0 0 1.2rem; }
dl.head { display: flex; flex-wrap: wrap; gap: .2rem 2.2rem; margin: 0 0 1.2rem; }
dl.head dt { color: var(--soft); font-weight: 400; font-size: .85rem; margin: 0; }
dl.head dd { margin: 0; overflow-wrap: anywhere; }
.state { border-left: .35rem solid #009E73; background: var(--good); padding: .6rem .9rem; margin: 1.2rem 0; }
.state.open { border-color: #E69F00; background: var(--open); }
.state.bad { border-color: #D55E00; background: var(--bad); }
.state ul { margin: .4rem 0 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .38rem .7rem .38rem 0; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 1.5px solid var(--head); white-space: nowrap; }
tbody th { font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.value { font-variant-numeric: tabular-nums; padding-right: 1.4rem; min-width: 9rem; }
td.meaning { color: var(--soft); min-width: 12rem; }
tr { break-inside: avoid; }
.wide { overflow-x: auto; }
figure { margin: 1.4rem 0; break-inside: avoid; }
figure img { width: 100%; height: auto; display: block; }
figure img.natural { width: auto; max-width: 100%; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .3rem; }
.formula { display: block; margin: .35rem 0; font-style: italic; font-size: 1.04rem; }
dt { font-weight: 600; margin-top: .8rem; }
dd { margin: .1rem 0 0 1.2rem; overflow-wrap: anywhere; }
code, pre { font: .85rem/1.45 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
pre { background: var(--code); padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.columns { columns: 3 13rem; }
.bad-text { color: var(--bad-ink); }
@media (max-width: 40rem) { body { padding: 1.2rem .9rem 3rem; } }
@page { margin: 16mm 14mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } pre { background: none; border: 1px solid #ccc; } }
";

/// A whole page.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "edgewalk " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string() + "\n"
}

/// A picture in the page, with `alt` as its text alternative.
pub(crate) fn picture(bytes: &[u8], media_type: &str, class: &str, alt: &str, caption: &Markup) -> Markup {
    html! {
        figure {
            img class=[(!class.is_empty()).then_some(class)] alt=(alt) src={ "data:" (media_type) ";base64," (STANDARD.encode(bytes)) };
            figcaption { (caption) }
        }
    }
}

/// A drawn figure in the page, with its title as text alternative.
///
/// # Errors
/// [`PlotError::Draw`].
pub(crate) fn drawn(figure: &Figure, stem: &str, caption: &Markup) -> Result<Markup, PlotError> {
    let svg = figure.render(&Format::Svg.into()).map_err(|message| PlotError::Draw { path: stem.into(), message })?;
    Ok(picture(&svg, "image/svg+xml", "", &figure.title, caption))
}

/// A table of names, values and meanings.
pub(crate) fn key_values(rows: &[(&str, String, &str)]) -> Markup {
    html! {
        div.wide {
            table {
                tbody {
                    @for (name, value, meaning) in rows {
                        tr { th scope="row" { (name) } td.value { (value) } td.meaning { (meaning) } }
                    }
                }
            }
        }
    }
}
