//! A simulated world for decision rules: packs, definitions, and case runs with known noise.
//!
//! Everything is drawn from one sequence of random numbers, in a fixed order, so that another program
//! that simulates the same world arrives at the same counts.

use optim_core::judge::split_mix::SplitMix64;

/// What a definition really does, case by case.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The probability that a run of the case passes.
    pub pass: Vec<f64>,
    /// How far the distribution of unmet requirements is shifted to fewer, 0 to 1.
    pub shift: f64,
    /// The probability that a run has a blocked node.
    pub blocked: f64,
    /// What its cost is multiplied with.
    pub cost: f64,
}

/// What one case run shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CaseRun {
    /// Whether it passed.
    pub passed: bool,
    /// Unmet requirements.
    pub unmet: u8,
    /// Whether a node was blocked.
    pub blocked: bool,
    /// Its cost.
    pub cost: f64,
}

/// What a candidate changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// The mean pass rate rises by so much, where there is room.
    Gain(f64),
    /// The mean pass rate changes by so much, which is below zero.
    Harm(f64),
    /// Half of the flaky cases become better, the other half worse: no gain on average.
    Uneven,
    /// A gain, with more blocked nodes.
    GainAndBlocked(f64),
    /// A gain, at a higher cost.
    GainAndCost(f64),
    /// Fewer unmet requirements, and as many passes.
    FewerUnmet,
}

impl Change {
    /// Whether to promote it is an error.
    #[must_use]
    pub fn is_no_better(self) -> bool {
        matches!(self, Self::Nothing | Self::Harm(_) | Self::Uneven)
    }

    /// Whether it breaks a guardrail.
    #[must_use]
    pub fn is_violator(self) -> bool {
        matches!(self, Self::GainAndBlocked(_) | Self::GainAndCost(_))
    }
}

/// A uniform number from 0 to below 1.
#[expect(clippy::as_conversions, reason = "53 bits fit into a float")]
pub fn uniform(random: &mut SplitMix64) -> f64 {
    (random.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
}

/// The mean of `values`; there is at least one.
#[must_use]
#[expect(clippy::as_conversions, reason = "the number of cases is small")]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Definition {
    /// A pack of `cases`, by the share of the cases that have each pass probability.
    #[must_use]
    pub fn of_pack(cases: u32, classes: &[(f64, f64)]) -> Self {
        let class = |case: u32| {
            let place = (f64::from(case) + 0.5) / f64::from(cases);
            let mut end = 0.0;
            let mut classes = classes.iter();
            let found = classes.find(|(share, _)| {
                end += share;
                place < end
            });
            found.or(classes.last()).map_or(0.0, |(_, pass)| *pass)
        };
        Self { pass: (0..cases).map(class).collect(), shift: 0.0, blocked: 0.02, cost: 1.0 }
    }

    /// The change, as far as it is still possible: one whose effect is used up changes nothing.
    #[must_use]
    pub fn possible(&self, change: Change) -> Change {
        let is_used_up = match change {
            Change::Gain(_) | Change::GainAndBlocked(_) | Change::GainAndCost(_) => {
                mean(&self.pass) >= 1.0 - 1e-9
            }
            Change::FewerUnmet => self.shift >= 1.0,
            Change::Nothing | Change::Harm(_) | Change::Uneven => false,
        };
        if is_used_up { Change::Nothing } else { change }
    }

    /// Whether all of the change's effect is still possible: what power is counted over.
    #[must_use]
    pub fn has_room_for(&self, change: Change) -> bool {
        match change {
            Change::Gain(gain) => gain <= 1.0 - mean(&self.pass),
            Change::FewerUnmet => true,
            _ => false,
        }
    }

    /// The definition with `change`.
    #[must_use]
    pub fn with(&self, change: Change) -> Self {
        let mut next = self.clone();
        match change {
            Change::Nothing => {}
            Change::Gain(gain) => next.gain(gain),
            Change::Harm(gain) => {
                let share = (gain / mean(&self.pass)).max(-1.0);
                next.pass.iter_mut().for_each(|pass| *pass *= 1.0 + share);
            }
            Change::Uneven => next.shuffle_flaky(),
            Change::GainAndBlocked(gain) => {
                next.gain(gain);
                next.blocked += 0.08;
            }
            Change::GainAndCost(gain) => {
                next.gain(gain);
                next.cost *= 1.6;
            }
            Change::FewerUnmet => next.shift = 1.0,
        }
        next
    }

    fn gain(&mut self, gain: f64) {
        let mean = mean(&self.pass);
        let share = if mean < 1.0 { (gain / (1.0 - mean)).min(1.0) } else { 0.0 };
        self.pass.iter_mut().for_each(|pass| *pass += share * (1.0 - *pass));
    }

    fn shuffle_flaky(&mut self) {
        let mut flaky = self.pass.iter_mut().filter(|pass| **pass > 0.3 && **pass < 0.7);
        while let (Some(better), Some(worse)) = (flaky.next(), flaky.next()) {
            *better += 0.3;
            *worse -= 0.3;
        }
    }

    /// One run of the case with this index. Always draws five numbers.
    #[must_use]
    pub fn run(&self, case: usize, random: &mut SplitMix64) -> CaseRun {
        let [first, second, third, fourth, fifth] = std::array::from_fn(|_| uniform(random));
        let passed = self.pass.get(case).is_some_and(|pass| first < *pass);
        let unmet = match second {
            _ if passed => 0,
            share if share < 0.6 + 0.3 * self.shift => 1,
            share if share < 0.9 + 0.1 * self.shift => 2,
            _ => 3,
        };
        let cost = self.cost * (0.6 * (fourth + fifth - 1.0)).exp();
        CaseRun { passed, unmet, blocked: third < self.blocked, cost }
    }
}
