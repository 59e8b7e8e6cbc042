//! What no event in so many trials says.

/// With no event in n trials its rate is below this over n with 95 % confidence (Hanley and Lippman-Hand,
/// "If nothing goes wrong, is everything all right?", 1983).
const RULE_OF_THREE: f64 = 3.0;

/// The 95 % bound on unsound carry-overs among runs that differ; none where one was unsound, or where
/// nothing could have been. `different` are trials in which the proof was asked: others say nothing of it.
pub fn unsound_bound(different: usize, falsely: usize) -> Option<f64> {
    (different > 0 && falsely == 0).then(|| RULE_OF_THREE / different as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_only_where_nothing_went_wrong() {
        assert_eq!(unsound_bound(300, 0), Some(0.01));
        assert_eq!((unsound_bound(300, 1), unsound_bound(0, 0)), (None, None));
    }
}
