//! Line charts as SVG, for a page that shows figures: readable on light and on dark paper, told apart by colour, mark
//! and dash, named where they end. It draws numbers and knows none of their meaning.

use std::fmt::Write as _;

use crate::figure::readable;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
/// Where the lines end and their names begin.
const RIGHT: f64 = 580.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 360.0;
/// Between the names of two lines.
const NAME_GAP: f64 = 18.0;

pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// The first is what the chart is about: it is drawn thick, and over the others.
    pub series: Vec<Series>,
}

pub struct Axis {
    pub label: String,
    pub scale: Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// From 0.
    Linear,
    /// Leaves out what is not above 0.
    Log,
}

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Chart {
    pub fn svg(&self) -> String {
        let lines = self.lines();
        let points = || lines.iter().flat_map(|line| &line.points);
        let x = Ticks::new(self.x.scale, points().map(|point| point.0));
        let y = Ticks::new(self.y.scale, points().map(|point| point.1));
        let title = escaped(&self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n<style>{}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
             <text class=\"title\" x=\"16\" y=\"28\">{title}</text>\n",
            style()
        );
        self.draw_axes(&mut svg, &x, &y);
        if lines.is_empty() {
            let (middle, half) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
            let _ = writeln!(svg, r#"<text class="quiet middle" x="{middle}" y="{half}">nothing measured</text>"#);
        }
        for line in lines.iter().rev() {
            line.draw(&mut svg, &x, &y);
        }
        draw_names(&mut svg, &lines, &x, &y);
        svg + "</svg>\n"
    }

    /// What can be drawn, in the order of x.
    fn lines(&self) -> Vec<Line<'_>> {
        let drawn = |scale, value: f64| value.is_finite() && (scale == Scale::Linear || value > 0.0);
        let line = |(number, series): (usize, &'_ Series)| {
            let mut points = series.points.clone();
            points.retain(|point| drawn(self.x.scale, point.0) && drawn(self.y.scale, point.1));
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            (number, points)
        };
        let lines = self.series.iter().enumerate().map(line).filter(|(_, points)| !points.is_empty());
        lines.map(|(number, points)| Line { number, name: &self.series[number].name, points }).collect()
    }

    fn draw_axes(&self, svg: &mut String, x: &Ticks, y: &Ticks) {
        for tick in &y.ticks {
            let (at, text) = (y.place(*tick, BOTTOM, TOP), readable(*tick));
            let _ = writeln!(svg, r#"<path class="grid" d="M{LEFT} {at:.1}H{RIGHT}"/>"#);
            let _ = writeln!(svg, r#"<text class="quiet end" x="{}" y="{:.1}">{text}</text>"#, LEFT - 8.0, at + 4.0);
        }
        for tick in &x.ticks {
            let (at, text) = (x.place(*tick, LEFT, RIGHT), readable(*tick));
            let _ = writeln!(svg, r#"<path class="axis" d="M{at:.1} {BOTTOM}v5"/>"#);
            let _ = writeln!(svg, r#"<text class="quiet middle" x="{at:.1}" y="{}">{text}</text>"#, BOTTOM + 20.0);
        }
        let _ = writeln!(svg, r#"<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/>"#);
        let (x, y) = (escaped(&self.x.label), escaped(&self.y.label));
        let _ = writeln!(svg, r#"<text class="quiet" x="16" y="{}">{y}</text>"#, TOP - 20.0);
        let middle = f64::midpoint(LEFT, RIGHT);
        let _ = writeln!(svg, r#"<text class="quiet middle" x="{middle}" y="{}">{x}</text>"#, BOTTOM + 44.0);
    }
}

struct Line<'a> {
    /// Its place among all series, which keeps its looks whatever is left out.
    number: usize,
    name: &'a str,
    points: Vec<(f64, f64)>,
}

impl Line<'_> {
    fn draw(&self, svg: &mut String, x: &Ticks, y: &Ticks) {
        let place = |point: &(f64, f64)| (x.place(point.0, LEFT, RIGHT), y.place(point.1, BOTTOM, TOP));
        let class = self.class();
        let points: Vec<String> =
            self.points.iter().map(place).map(|(left, top)| format!("{left:.1},{top:.1}")).collect();
        let _ = writeln!(svg, r#"<polyline class="{class} line" points="{}"/>"#, points.join(" "));
        for (left, top) in self.points.iter().map(place) {
            let mark = MARKS[self.number % MARKS.len()];
            let _ = writeln!(svg, r#"<path class="{class}" transform="translate({left:.1} {top:.1})" d="{mark}"/>"#);
        }
    }

    fn class(&self) -> String {
        let place = if self.number == 0 { " first" } else { "" };
        format!("s{}{place}", self.number % LOOKS.len())
    }
}

/// Writes each name beside the end of its line, or as near to it as the other names allow.
fn draw_names(svg: &mut String, lines: &[Line], x: &Ticks, y: &Ticks) {
    let mut ends: Vec<(f64, f64, &Line)> = Vec::new();
    for line in lines {
        let Some(last) = line.points.last() else { continue };
        ends.push((x.place(last.0, LEFT, RIGHT), y.place(last.1, BOTTOM, TOP), line));
    }
    ends.sort_by(|one, other| one.1.total_cmp(&other.1));
    let places = spread(&ends.iter().map(|end| end.1).collect::<Vec<_>>());
    for ((left, top, line), place) in ends.into_iter().zip(places) {
        let (class, mark) = (line.class(), MARKS[line.number % MARKS.len()]);
        let (to, at) = (RIGHT + 16.0, RIGHT + 24.0);
        let _ = writeln!(svg, r#"<path class="{class} leader" d="M{left:.1} {top:.1}L{to} {place:.1}"/>"#);
        let _ = writeln!(svg, r#"<path class="{class}" transform="translate({at} {place:.1})" d="{mark}"/>"#);
        let bold = if line.number == 0 { r#" class="bold""# } else { "" };
        let name = escaped(line.name);
        let _ = writeln!(svg, r#"<text{bold} x="{}" y="{:.1}">{name}</text>"#, at + 10.0, place + 4.5);
    }
}

/// Moves ascending places apart by [`NAME_GAP`], and keeps them above the bottom.
fn spread(places: &[f64]) -> Vec<f64> {
    let mut places = places.to_vec();
    for at in 1..places.len() {
        places[at] = places[at].max(places[at - 1] + NAME_GAP);
    }
    let mut bottom = BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(bottom);
        bottom = *place - NAME_GAP;
    }
    places
}

/// An axis with the numbers that stand at it; the first and the last are its ends.
struct Ticks {
    scale: Scale,
    ticks: Vec<f64>,
}

impl Ticks {
    fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| (least.min(it), most.max(it)));
        let ticks = match scale {
            _ if least > most => vec![1.0, 10.0],
            Scale::Linear => linear_ticks(most),
            Scale::Log => log_ticks(least, most),
        };
        Self { scale, ticks }
    }

    /// Where a value stands between two ends of a picture.
    fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        let measure = |value: f64| if self.scale == Scale::Log { value.ln() } else { value };
        let (first, last) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        start + (measure(value) - measure(first)) / (measure(last) - measure(first)) * (end - start)
    }
}

/// Four to eight even steps of 1, 2 or 5 times a power of ten, from 0 to `most` or a little beyond.
fn linear_ticks(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let mut ticks = vec![0.0];
    while ticks[ticks.len() - 1] < most * 0.999 {
        ticks.push(ticks.len() as f64 * step);
    }
    ticks
}

/// 1, 2 and 5 times the powers of ten around these, or the powers alone where that would be many.
fn log_ticks(least: f64, most: f64) -> Vec<f64> {
    let (mut power, end) = (10_f64.powf(least.log10().floor()), most * 0.999);
    let steps: &[f64] = if most / least > 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ticks = Vec::new();
    loop {
        for step in steps {
            let tick = step * power;
            if ticks.len() == 1 && tick <= least * 1.001 {
                ticks.clear();
            }
            ticks.push(tick);
            if tick >= end && ticks.len() > 1 {
                return ticks;
            }
        }
        power *= 10.0;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A disc, a square, a triangle, a diamond.
const MARKS: [&str; 4] =
    ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.5-3.5h7v7h-7z", "M0-5L4.6 3.4H-4.6z", "M0-5L5 0L0 5L-5 0z"];

/// Colours on light paper and on dark, after Okabe and Ito and after Tol, told apart without red and green, too; dashes.
const LOOKS: [(&str, &str, &str); 10] = [
    ("#d55e00", "#ff8a3d", "none"),
    ("#6e7781", "#9aa4af", "none"),
    ("#0072b2", "#4db2ff", "none"),
    ("#009e73", "#2fd0a0", "7 4"),
    ("#aa4499", "#e08fc8", "7 4"),
    ("#b58900", "#f0c93a", "7 4"),
    ("#3399cc", "#9adcff", "7 4"),
    ("#882255", "#e0709c", "2 3"),
    ("#2e8b84", "#7fe0d2", "2 3"),
    ("#332288", "#a99bff", "2 3"),
];

fn style() -> String {
    let (mut light, mut dark) = (String::new(), String::new());
    for (at, (on_light, on_dark, dash)) in LOOKS.iter().enumerate() {
        let _ = write!(light, ".s{at}{{stroke:{on_light};fill:{on_light}}}.s{at}.line{{stroke-dasharray:{dash}}}");
        let _ = write!(dark, ".s{at}{{stroke:{on_dark};fill:{on_dark}}}");
    }
    format!(
        "text{{font:13px system-ui,sans-serif;fill:#1f2328}}.title{{font-size:17px;font-weight:600}}\
         .bold{{font-weight:600}}.quiet{{fill:#59636e}}.end{{text-anchor:end}}.middle{{text-anchor:middle}}\
         .paper{{fill:#fff}}.grid{{stroke:#e4e8ec}}.axis{{stroke:#818b98}}{light}\
         @media(prefers-color-scheme:dark){{text{{fill:#f0f6fc}}.quiet{{fill:#9198a1}}.paper{{fill:#0d1117}}\
         .grid{{stroke:#262c36}}.axis{{stroke:#656c76}}{dark}}}\
         polyline.line{{fill:none;stroke-width:2;stroke-linejoin:round}}polyline.first{{stroke-width:4}}\
         .leader{{opacity:.45;stroke-width:1}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> Chart {
        let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Log };
        Chart { title: "A <b> & \"c\"".to_owned(), x: axis("readers"), y: axis("µs"), series }
    }

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series { name: name.to_owned(), points: points.to_vec() }
    }

    #[test]
    fn what_is_written_is_escaped() {
        let svg = chart(vec![series("<x> & y", &[(1.0, 1.0)])]).svg();
        assert!(svg.contains(">A &lt;b&gt; &amp; &quot;c&quot;</text>"), "{svg}");
        assert!(svg.contains(">&lt;x&gt; &amp; y</text>"), "{svg}");
    }

    #[test]
    fn a_log_axis_has_round_numbers_around_all_values() {
        assert_eq!(log_ticks(100.0, 5000.0), [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);
        assert_eq!(log_ticks(3.0, 4.0), [2.0, 5.0]);
        assert_eq!(log_ticks(10.0, 10.0), [10.0, 20.0]);
        assert_eq!(log_ticks(1.0, 50_000.0), [1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0]);
    }

    #[test]
    fn a_linear_axis_goes_from_nothing_to_beyond_the_most() {
        assert_eq!(linear_ticks(9.3), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(linear_ticks(500.0), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(linear_ticks(0.0).first(), Some(&0.0));
    }

    #[test]
    fn values_stand_where_their_axis_says() {
        let log = Ticks::new(Scale::Log, [1.0, 100.0].into_iter());
        assert!((log.place(10.0, 0.0, 200.0) - 100.0).abs() < 1e-9);
        let linear = Ticks::new(Scale::Linear, [1.0, 10.0].into_iter());
        assert!((linear.place(5.0, 300.0, 100.0) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn names_keep_apart_and_within_the_chart() {
        assert_eq!(spread(&[100.0, 101.0, 200.0]), [100.0, 118.0, 200.0]);
        assert_eq!(spread(&[350.0, 355.0, 360.0]), [324.0, 342.0, 360.0]);
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out_and_the_others_keep_their_looks() {
        let svg = chart(vec![
            series("none", &[]),
            series("below", &[(1.0, 0.0), (2.0, f64::NAN)]),
            series("third", &[(2.0, 2.0), (1.0, 1.0)]),
        ])
        .svg();
        assert!(!svg.contains(">none<") && !svg.contains(">below<"), "{svg}");
        assert!(svg.contains(r#"<polyline class="s2 line""#), "{svg}");
        assert!(svg.contains(r#"points="64.0,360.0 580.0,72.0""#), "{svg}");
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        assert!(chart(vec![series("none", &[])]).svg().contains("nothing measured"));
    }
}
