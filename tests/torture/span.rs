//! Stretches of time since the torture began, so that what happened at once can be told.

use std::time::Duration;

/// From one moment to another, both since the torture began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

impl Span {
    /// How long it is.
    pub(crate) fn length(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }

    /// Whether `moment` lies within it.
    pub(crate) fn holds(&self, moment: Duration) -> bool {
        self.began <= moment && moment <= self.ended
    }

    /// Whether any part of it lies within one of `others`, which are in order and do not overlap.
    pub(crate) fn touches(&self, others: &[Self]) -> bool {
        let next = others.partition_point(|other| other.ended < self.began);
        others.get(next).is_some_and(|other| other.began <= self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(began: u64, ended: u64) -> Span {
        Span { began: Duration::from_millis(began), ended: Duration::from_millis(ended) }
    }

    #[test]
    fn a_span_touches_others_if_any_part_of_it_lies_within_one() {
        let others = [span(100, 200), span(300, 400)];
        let touches = |began, ended| span(began, ended).touches(&others);

        assert!(touches(90, 110) && touches(150, 151) && touches(190, 210) && touches(90, 490));
        assert!(!touches(10, 30) && !touches(210, 230) && !touches(410, 430));
    }
}
