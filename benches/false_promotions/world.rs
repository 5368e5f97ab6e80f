//! The worlds that campaigns are run in: what the cases are, what the outside does, and which condition of
//! the rule is broken.
//!
//! A condition is broken from outside, by an executor that does what the case runs would show if the
//! runtime did not keep it. The runtime is the same in every row.

/// A world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// How often a run of each case passes.
    pub(crate) cases: Cases,
    /// What every candidate does.
    pub(crate) effect: Effect,
    /// How often the provider fails, per mille of the case runs.
    pub(crate) faults: u32,
    /// How often a case run is slow enough for its timeout, per mille.
    pub(crate) slow: u32,
    /// Whether all case runs fail in one of ten windows of time.
    pub(crate) outages: bool,
    /// The condition that is broken.
    pub(crate) broken: Option<Condition>,
}

/// The cases of the pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cases {
    /// 55 % that nearly always pass, 25 % that pass half of the time, and 20 % that hardly ever do.
    Mixed,
    /// All pass half of the time.
    Coins,
    /// A single one, which passes half of the time.
    One,
}

/// What a candidate does. None is better on average over the pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// Half of the cases always pass and the others never do.
    Halves,
}

/// What the rule relies on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Condition {
    /// Both sides of a pair are fresh. Broken: the baseline's first outcome of each case is used again.
    FreshBaseline,
    /// What a definition does itself is a result. Broken: so many per mille of the case runs crash, and a
    /// crash of a candidate drops the pair, one of the baseline fails the case. The outside drops as many
    /// runs of the baseline at random, so that nothing shows.
    CrashesCount(u32),
    /// Both sides of a pair share their window. Broken: each side has its own.
    SameWindow,
    /// Each batch is a random sample. Broken: the cases come in the order of the pack, and those that
    /// candidates improve come first.
    RandomOrder,
    /// Each candidate has its own samples. Broken: the cases always come in the order in which they came
    /// to the first candidate, and the proposer improves those that came first.
    OwnOrder,
    /// A fault of the outside has nothing to do with the outcome. Broken: so many per mille of a
    /// candidate's failing runs end as faults.
    FaultsAreBlind {
        /// The share.
        per_mille: u32,
        /// Whether the baseline has as many faults, at random, so that nothing shows.
        hidden: bool,
    },
}

/// The cases of a pack that has more than one.
pub(crate) const CASES: usize = 40;

impl Cases {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Mixed | Self::Coins => CASES,
            Self::One => 1,
        }
    }

    /// How often a run of the case with this index passes, per mille.
    pub(crate) fn pass_per_mille(self, case: usize) -> u32 {
        match self {
            Self::Mixed if case < 22 => 970,
            Self::Mixed if case < 32 => 500,
            Self::Mixed => 60,
            Self::Coins | Self::One => 500,
        }
    }
}

impl Effect {
    /// How often a candidate's run of a case passes, per mille; `place` says where the case came among
    /// those that the candidate knows to be first.
    pub(crate) fn pass_per_mille(self, baseline: u32, place: usize) -> u32 {
        match self {
            Self::Nothing => baseline,
            Self::Halves if place < CASES / 2 => 1000,
            Self::Halves => 0,
        }
    }
}

/// Nothing is wrong.
const CALM: World = World {
    name: "",
    cases: Cases::Mixed,
    effect: Effect::Nothing,
    faults: 0,
    slow: 0,
    outages: false,
    broken: None,
};

/// What is measured: a provider that fails, cases that run into their timeouts.
pub(crate) const MEASURED: World = World { name: "measured", faults: 30, slow: 10, ..CALM };

/// Worlds in which a condition matters: first with all of them kept, then with one broken.
pub(crate) const CONDITIONS: [&[World]; 5] = [
    &[
        World { name: "nothing special", ..CALM },
        CALM.without("the baseline's outcomes are used again", Condition::FreshBaseline),
        CALM.without("a crash drops the candidate's pair", Condition::CrashesCount(80)),
        CALM.without(
            "a candidate's failing runs end as faults",
            Condition::FaultsAreBlind { per_mille: 300, hidden: false },
        ),
    ],
    &[
        World { name: "outages", ..OUTAGES },
        OUTAGES.without("each side has windows of its own", Condition::SameWindow),
    ],
    &[
        World { name: "gains and losses cancel out", ..HALVES },
        HALVES.without("one order, gains first", Condition::RandomOrder),
        HALVES.without("one order, learnt by the proposer", Condition::OwnOrder),
    ],
    &[
        World { name: "all cases pass half of the time", ..COINS },
        COINS.without(
            "failing runs end as faults",
            Condition::FaultsAreBlind { per_mille: 300, hidden: true },
        ),
    ],
    &[World { name: "a pack of one case", cases: Cases::One, ..CALM }],
];

const OUTAGES: World = World { outages: true, ..CALM };
const COINS: World = World { cases: Cases::Coins, ..CALM };
const HALVES: World = World { effect: Effect::Halves, ..COINS };

impl World {
    const fn without(self, name: &'static str, condition: Condition) -> Self {
        Self { name, broken: Some(condition), ..self }
    }

    /// Whether what is broken misleads the rule. A guardrail sees faults that only candidates have.
    pub(crate) fn is_misleading(&self) -> bool {
        match self.broken {
            None | Some(Condition::FaultsAreBlind { hidden: false, .. }) => false,
            Some(_) => true,
        }
    }
}
