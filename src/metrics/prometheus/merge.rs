//! One text out of those of several processes: the format wants all values of a metric together, below one head.

use std::collections::BTreeMap;

/// A metric: its head, and its values in all processes.
#[derive(Default)]
struct Family<'a> {
    help: Option<&'a str>,
    kind: Option<&'a str>,
    values: Vec<&'a str>,
}

/// Puts the values of each metric together, in the order of their names. Of heads that differ, the first one counts.
pub(super) fn merge(texts: &[String]) -> String {
    let mut families = BTreeMap::<&str, Family<'_>>::new();
    for text in texts {
        let mut family = "";
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(head) = line.strip_prefix("# ") {
                family = head.split(' ').nth(1).unwrap_or_default();
                families.entry(family).or_default().take_head(line, head);
            } else {
                families.entry(family).or_default().values.push(line);
            }
        }
    }
    let lines = families.into_values().filter(|family| !family.values.is_empty()).flat_map(Family::into_lines);
    lines.fold(String::new(), |text, line| text + line + "\n")
}

impl<'a> Family<'a> {
    fn take_head(&mut self, line: &'a str, head: &str) {
        let known = if head.starts_with(TYPE) { &mut self.kind } else { &mut self.help };
        known.get_or_insert(line);
    }

    fn into_lines(self) -> impl Iterator<Item = &'a str> {
        self.help.into_iter().chain(self.kind).chain(self.values)
    }
}

/// What the head with the type of a metric begins with.
const TYPE: &str = "TYPE ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_metric_stand_together() {
        let of = |pid: u32, more: &str| {
            format!("# HELP b_total of b\n# TYPE b_total counter\nb_total{{pid=\"{pid}\"}} {pid}\n\n{more}")
        };
        let texts = [of(1, "# TYPE a gauge\na{pid=\"1\"} 7\n\n"), of(2, ""), String::new()];
        let merged = "# TYPE a gauge\na{pid=\"1\"} 7\n# HELP b_total of b\n# TYPE b_total counter\nb_total{pid=\"1\"} 1\n\
                      b_total{pid=\"2\"} 2\n";
        assert_eq!(merge(&texts), merged);
        assert_eq!(merge(&[]), "");
    }
}
