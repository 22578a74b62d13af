//! The power with which a cost grows.

/// Returns the exponent `p` of `cost = a * x^p`, by least squares over the logarithms of the upper half of the points:
/// at the lower end a fixed cost hides how it grows.
pub(crate) fn exponent(points: &[(f64, f64)]) -> f64 {
    let upper = &points[(points.len() - 1) / 2..];
    let logarithms: Vec<_> = upper.iter().map(|(x, cost)| (x.ln(), cost.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logarithms.iter().map(of).sum::<f64>() / logarithms.len() as f64;
    let (mean_x, mean_cost) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = logarithms.iter().map(|(x, cost)| (x - mean_x) * (cost - mean_cost)).sum();
    let variance: f64 = logarithms.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    covariance / variance
}
