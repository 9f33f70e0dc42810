//! The few numbers that many are summed up in.

/// The value in the middle; between the two in the middle if there are two. `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// A share of values, `per_mille` of a thousand, is at most this. `None` if there are too few values for at least one to lie
/// beyond: the highest of ten is no 99th percentile.
pub(super) fn quantile(values: &[u64], per_mille: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * per_mille).div_ceil(1000).checked_sub(1)?;
    if index + 1 >= sorted.len() { None } else { Some(sorted[index]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_quantile_needs_a_value_beyond_it() {
        let thousand: Vec<u64> = (1..=1000).collect();
        assert_eq!(quantile(&thousand, 500), Some(500));
        assert_eq!(quantile(&thousand, 990), Some(990));
        assert_eq!(quantile(&thousand, 999), Some(999));
        assert_eq!(quantile(&thousand[..999], 999), None);
        assert_eq!(quantile(&[], 500), None);
        assert_eq!(quantile(&[7], 500), None);
    }
}
