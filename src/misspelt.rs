//! Which known name a misspelt one is meant to be.

/// Returns the known name that `name` becomes by two changes at most, and by one if it is short.
///
/// A change puts a letter in, leaves one out, replaces one, or swaps two neighbours.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = |known: &str| if known.len() < 8 { 1 } else { 2 };
    known.into_iter().find(|known| distance(name.as_bytes(), known.as_bytes()) <= allowed(known))
}

/// The number of changes, no part being changed twice: the optimal string alignment.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (at, letter) in one.iter().enumerate() {
        let mut row = vec![at + 1];
        for (column, known) in other.iter().enumerate() {
            let replaced = rows[at][column] + usize::from(letter != known);
            let mut least = replaced.min(rows[at][column + 1] + 1).min(row[column] + 1);
            if at > 0 && column > 0 && letter == &other[column - 1] && &one[at - 1] == known {
                least = least.min(rows[at - 1][column - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_counts_once() {
        let pairs =
            [("cancel", "cancel", 0), ("cancl", "cancel", 1), ("cancell", "cancel", 1), ("cancle", "cancel", 1)];
        for (name, known, changes) in pairs.into_iter().chain([("debag", "debug", 1), ("", "off", 3), ("trace", "", 5)])
        {
            assert_eq!(distance(name.as_bytes(), known.as_bytes()), changes, "{name} for {known}");
        }
    }

    #[test]
    fn short_names_are_meant_by_one_change_and_long_ones_by_two() {
        assert_eq!(meant("wran", ["error", "warn"]), Some("warn"));
        assert_eq!(meant("wrna", ["error", "warn"]), None);
        assert_eq!(meant("trnsprt", ["transport"]), Some("transport"));
    }
}
