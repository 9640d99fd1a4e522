//! Medians and spreads.

/// What several runs of the same thing came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    /// A quarter of the runs came to less.
    pub(crate) low: f64,
    /// A quarter of the runs came to more.
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(!sorted.is_empty(), "there is a run at least");
        sorted.sort_by(f64::total_cmp);
        Spread { median: quantile(&sorted, 0.5), low: quantile(&sorted, 0.25), high: quantile(&sorted, 0.75) }
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The value that `share` of the sorted `values` do not exceed.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> f64 {
    f64::from(sorted[(share * (sorted.len() - 1) as f64) as usize])
}
