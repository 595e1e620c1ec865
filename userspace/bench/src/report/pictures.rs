// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pictures, each as SVG and as PNG.

use std::collections::BTreeMap;
use std::path::Path;

use iostream_bench::{quantile, Point, Record, Result, Samples};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{register_font, FontStyle, RGBColor};

const SIZE: (u32, u32) = (960, 540);
const FONT: &str = "sans-serif";
const FONT_FILE: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

/// Ours first, then the peers: colours that colour-blind readers can tell apart (Okabe and Ito
/// 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// A picture: its figure, title and axes.
struct Picture {
    figure: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
}

const CURVES: [Picture; 2] = [
    Picture {
        figure: "size",
        title: "Kernel to user: throughput against record size",
        x: "bytes of a record",
        y: "records a second",
    },
    Picture {
        figure: "batch",
        title: "Kernel to user: 8-byte records against records a wake-up",
        x: "records a wake-up",
        y: "records a second",
    },
];

/// Draws every picture that has records.
pub fn draw_all(folder: &Path, records: &[Record]) -> Result<()> {
    let font: &'static [u8] = std::fs::read(FONT_FILE)
        .map_err(|error| format!("{FONT_FILE}: {error}"))?
        .leak();
    register_font(FONT, FontStyle::Normal, font).map_err(|_| "the font cannot be used")?;
    for picture in &CURVES {
        let mut curves: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
        for record in records {
            if let Record::Point(point) = record {
                if point.figure == picture.figure {
                    curves.entry(&point.curve).or_default().push(point);
                }
            }
        }
        if !curves.is_empty() {
            both(folder, picture.figure, |area| {
                draw_curves(area, picture, &curves)
            })?;
        }
    }
    let latencies: Vec<&Samples> = records
        .iter()
        .filter_map(|record| match record {
            Record::Samples(samples) if samples.figure == "latency" => Some(samples),
            _ => None,
        })
        .collect();
    if !latencies.is_empty() {
        both(folder, "latency", |area| draw_latencies(area, &latencies))?;
    }
    Ok(())
}

/// A drawing area of either kind.
enum Area<'a> {
    Svg(DrawingArea<SVGBackend<'a>, Shift>),
    Png(DrawingArea<BitMapBackend<'a>, Shift>),
}

fn both(folder: &Path, name: &str, draw: impl Fn(&Area<'_>) -> Result<()>) -> Result<()> {
    let svg = folder.join(format!("{name}.svg"));
    let area = Area::Svg(SVGBackend::new(&svg, SIZE).into_drawing_area());
    draw(&area)?;
    let png = folder.join(format!("{name}.png"));
    let area = Area::Png(BitMapBackend::new(&png, SIZE).into_drawing_area());
    draw(&area)
}

fn draw_curves(
    area: &Area<'_>,
    picture: &Picture,
    curves: &BTreeMap<&str, Vec<&Point>>,
) -> Result<()> {
    let lines: Vec<(String, Vec<(f64, f64)>)> = ours_first(curves.keys().copied())
        .into_iter()
        .map(|name| {
            let mut points: Vec<(f64, f64)> = curves[name].iter().map(|p| (p.x, p.y)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            (name.to_owned(), points)
        })
        .collect();
    draw(area, picture, &lines, true)
}

/// The share of wake-ups that took at most a given time.
fn draw_latencies(area: &Area<'_>, latencies: &[&Samples]) -> Result<()> {
    let picture = Picture {
        figure: "latency",
        title: "One record to a sleeper in epoll: share of wake-ups that took at most so long",
        x: "microseconds",
        y: "share in per cent",
    };
    let lines: Vec<(String, Vec<(f64, f64)>)> = ours_first(latencies.iter().map(|s| &*s.curve))
        .into_iter()
        .filter_map(|name| latencies.iter().find(|samples| samples.curve == name))
        .map(|samples| {
            let points = (1..=995).map(|permille| {
                let share = f64::from(permille) / 1000.0;
                (quantile(&samples.values, share) / 1000.0, share * 100.0)
            });
            (samples.curve.clone(), points.collect())
        })
        .collect();
    draw(area, &picture, &lines, false)
}

fn ours_first<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_by_key(|name| (*name != "iostream", *name));
    names
}

fn draw(
    area: &Area<'_>,
    picture: &Picture,
    lines: &[(String, Vec<(f64, f64)>)],
    log_y: bool,
) -> Result<()> {
    match area {
        Area::Svg(area) => draw_on(area, picture, lines, log_y),
        Area::Png(area) => draw_on(area, picture, lines, log_y),
    }
}

fn draw_on<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    picture: &Picture,
    lines: &[(String, Vec<(f64, f64)>)],
    log_y: bool,
) -> Result<()>
where
    B::ErrorType: 'static,
{
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let range = |pick: fn((f64, f64)) -> f64| {
        points()
            .map(pick)
            .fold((f64::INFINITY, 0.0f64), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    let ((left, right), (low, high)) = (range(|p| p.0), range(|p| p.1));
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area);
    chart
        .caption(picture.title, (FONT, 22))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(72);
    let x = (left..right).log_scale();
    macro_rules! finish {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart
                .configure_mesh()
                .x_desc(picture.x)
                .y_desc(picture.y)
                .label_style((FONT, 15))
                .axis_desc_style((FONT, 17))
                .light_line_style(WHITE)
                .x_label_formatter(&|value| short(*value))
                .y_label_formatter(&|value| short(*value))
                .draw()?;
            for (i, (name, points)) in lines.iter().enumerate() {
                let style = COLOURS[i % COLOURS.len()].stroke_width(if i == 0 { 4 } else { 2 });
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), style))?
                    .label(name.as_str())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
            }
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.85))
                .border_style(BLACK.mix(0.3))
                .label_font((FONT, 16))
                .position(SeriesLabelPosition::LowerRight)
                .draw()?;
        }};
    }
    if log_y {
        finish!(chart.build_cartesian_2d(x, (low * 0.7..high * 1.4).log_scale())?);
    } else {
        finish!(chart.build_cartesian_2d(x, 0.0..100.0)?);
    }
    area.present()?;
    Ok(())
}

/// A short form: 512, 4k, 10M.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e4 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}
