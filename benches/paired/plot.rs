//! The plots of `docs/performance.md`, as SVG.

use std::fmt::Write as _;

use crate::report::{Report, SeriesReport};

const COLOURS: [&str; 3] = ["#888888", "#4477aa", "#cc6677"];

const HEAD: &str = r#"<style>text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.axis{stroke:#333}@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.axis{stroke:#ddd}}</style>"#;

fn svg(width: usize, height: usize, body: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{HEAD}{body}</svg>"#
    ) + "\n"
}

/// Every variant of every case as a bar, with its interval; the first variant is 1.
pub fn ratios(report: &Report) -> String {
    const LEFT: f64 = 180.0;
    const UNIT: f64 = 200.0;
    let mut body = String::new();
    let mut y = 10;
    for case in &report.cases {
        y += 20;
        let _ = write!(body, r#"<text x="10" y="{y}" font-weight="bold">{} ({})</text>"#, case.name, case.by);
        for variant in &case.variants {
            y += 18;
            let colour =
                COLOURS[if variant.name.contains("keyslip") { 2 } else { usize::from(variant.name.contains("shim")) }];
            let width = |ratio: f64| (ratio.min(2.5)) * UNIT;
            let _ = write!(
                body,
                r#"<text x="{}" y="{y}" text-anchor="end">{}</text><rect x="{LEFT}" y="{}" width="{:.1}" height="12" fill="{colour}"/><line class="axis" x1="{:.1}" x2="{:.1}" y1="{}" y2="{}"/><text x="{:.1}" y="{y}">{:.3}</text>"#,
                LEFT - 6.0,
                variant.name,
                y - 10,
                width(variant.ratio.median),
                LEFT + width(variant.ratio.low),
                LEFT + width(variant.ratio.high),
                y - 4,
                y - 4,
                LEFT + width(variant.ratio.high) + 6.0,
                variant.ratio.median,
            );
        }
        y += 10;
    }
    let _ =
        write!(body, r#"<line class="axis" x1="{0}" x2="{0}" y1="10" y2="{y}" stroke-dasharray="3"/>"#, LEFT + UNIT);
    svg(780, y + 10, &body)
}

/// A series: processor time against a size, both axes from 0.
pub fn line(report: &Report, name: &str) -> String {
    const WIDTH: f64 = 560.0;
    const HEIGHT: f64 = 240.0;
    const LEFT: f64 = 60.0;
    const TOP: f64 = 20.0;
    let Some(series) = report.series.iter().find(|series| series.name == name) else { return svg(1, 1, "") };
    let most_x = series.points.iter().map(|point| point.at).max().unwrap_or(1) as f64;
    let most_y =
        series.points.iter().flat_map(|point| &point.cpu_us).map(|(_, cpu)| cpu / 1000.0).fold(0.0, f64::max) * 1.1;
    let place = |at: f64, ms: f64| (LEFT + at / most_x * WIDTH, TOP + HEIGHT - ms / most_y * HEIGHT);
    let mut body = String::new();
    for step in 0..=4 {
        let ms = most_y * f64::from(step) / 4.0;
        let (_, y) = place(0.0, ms);
        let _ = write!(
            body,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{ms:.1} ms</text>"#,
            LEFT + WIDTH,
            LEFT - 4.0,
            y + 4.0
        );
        let at = most_x * f64::from(step) / 4.0;
        let (x, _) = place(at, 0.0);
        let _ = write!(body, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{at:.0}</text>"#, TOP + HEIGHT + 16.0);
    }
    let _ = write!(
        body,
        r#"<text x="{}" y="{}" text-anchor="middle">{}</text>"#,
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 34.0,
        series.unit
    );
    for (index, variant) in names(series).into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<String> = series
            .points
            .iter()
            .filter_map(|point| {
                let (_, cpu) = point.cpu_us.iter().find(|(name, _)| *name == variant)?;
                let (x, y) = place(point.at as f64, cpu / 1000.0);
                Some(format!("{x:.1},{y:.1}"))
            })
            .collect();
        let y = TOP + HEIGHT + 54.0 + 16.0 * index as f64;
        let _ = write!(
            body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><rect x="{LEFT}" y="{:.1}" width="20" height="3" fill="{colour}"/><text x="{}" y="{y:.1}">{variant}</text>"#,
            points.join(" "),
            y - 6.0,
            LEFT + 26.0
        );
    }
    svg(660, 380, &body)
}

fn names(series: &SeriesReport) -> Vec<&'static str> {
    series.points.first().map(|point| point.cpu_us.iter().map(|(name, _)| *name).collect()).unwrap_or_default()
}
