//! A chart with lines, as SVG: both axes logarithmic, or the horizontal one with the places of percentiles.

use std::fmt::Write as _;

/// One line of a chart.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart without a title.
pub(crate) struct Chart {
    x: String,
    y: &'static str,
    /// Whether the horizontal positions are those of percentiles.
    percentiles: bool,
    series: Vec<Series>,
}

impl Chart {
    pub(crate) fn new(x: &str, y: &'static str) -> Self {
        Self { x: x.to_owned(), y, percentiles: false, series: Vec::new() }
    }

    /// Places the points by percentile: `x` is `-log10(1 - p)`.
    pub(crate) fn by_percentile(self) -> Self {
        Self { percentiles: true, ..self }
    }

    pub(crate) fn add(&mut self, series: Series) {
        self.series.push(series);
    }

    /// Draws it.
    pub(crate) fn svg(&self, title: &str) -> String {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::over(all().map(|point| self.place(point.0)), LEFT, WIDTH - RIGHT);
        let y = Axis::over(all().map(|point| point.1.log10()), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        text(&mut svg, LEFT, TOP - 24.0, "start", title);
        text(&mut svg, WIDTH - RIGHT, HEIGHT - 8.0, "end", &self.x);
        text(&mut svg, LEFT, TOP - 8.0, "start", self.y);
        for (value, label) in self.x_ticks(&x) {
            let at = x.at(value);
            line(&mut svg, (at, TOP), (at, HEIGHT - BOTTOM));
            text(&mut svg, at, HEIGHT - BOTTOM + 16.0, "middle", &label);
        }
        for power in y.powers() {
            let at = y.at(f64::from(power));
            line(&mut svg, (LEFT, at), (WIDTH - RIGHT, at));
            text(&mut svg, LEFT - 6.0, at + 4.0, "end", &short(10_f64.powi(power)));
        }
        for (number, series) in self.series.iter().enumerate() {
            self.draw(&mut svg, series, number, (&x, &y));
        }
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String, series: &Series, number: usize, (x, y): (&Axis, &Axis)) {
        let colour = COLOURS[number % COLOURS.len()];
        let dashes = if number >= COLOURS.len() { " stroke-dasharray=\"5 3\"" } else { "" };
        let mut path = String::new();
        for point in &series.points {
            let (x, y) = (x.at(self.place(point.0)), y.at(point.1.log10()));
            append(&mut path, format_args!("{x:.1},{y:.1} "));
            append(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>\n"));
        }
        let path = path.trim_end();
        append(
            svg,
            format_args!(
                "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{dashes}/>\n"
            ),
        );
        let at = TOP + 16.0 * number as f64;
        append(
            svg,
            format_args!(
                "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\n",
                WIDTH - RIGHT + 12.0,
                at
            ),
        );
        text(svg, WIDTH - RIGHT + 28.0, at + 10.0, "start", &series.name);
    }

    fn place(&self, x: f64) -> f64 {
        if self.percentiles { x } else { x.log10() }
    }

    fn x_ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        if self.percentiles {
            let percent = |percent: f64| (-(1.0 - percent / 100.0).log10(), format!("{percent} %"));
            return [50.0, 75.0, 90.0, 99.0, 99.9].map(percent).into();
        }
        axis.powers().map(|power| (f64::from(power), short(10_f64.powi(power)))).collect()
    }
}

/// From positions to places on the page.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// One that has room for all of them.
    fn over(positions: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = positions
            .filter(|position| position.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), position| (low.min(position), high.max(position)));
        // A line without a slope needs room, too.
        let (low, high) = if high - low < 0.5 { (low - 0.25, high + 0.25) } else { (low, high) };
        Self { low, high, from, to }
    }

    fn at(&self, position: f64) -> f64 {
        self.from + (position - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The powers of ten on it.
    fn powers(&self) -> impl Iterator<Item = i32> + use<> {
        (self.low.ceil() as i32)..=(self.high.floor() as i32)
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x, y), (x_to, y_to)) = (from, to);
    append(
        svg,
        format_args!("<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x_to:.1}\" y2=\"{y_to:.1}\" stroke=\"#ddd\"/>\n"),
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    append(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"));
}

fn append(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes everything");
}

/// A number with few digits.
fn short(value: f64) -> String {
    match value {
        1e9.. => format!("{} G", value / 1e9),
        1e6.. => format!("{} M", value / 1e6),
        1e3.. => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 44.0;
const COLOURS: [&str; 7] = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#7f7f7f"];
