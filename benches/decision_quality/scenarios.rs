//! The twelve worlds, and what an independent simulation counted in them.

use crate::counts::Found;
use crate::world::Change;

/// A world, with what must be found in it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) cases: u32,
    /// The share of the cases that have each pass probability.
    pub(crate) pack: &'static [(f64, f64)],
    /// The probability of each kind of candidate.
    pub(crate) mix: &'static [(f64, Change)],
    pub(crate) candidates: u32,
    pub(crate) campaigns: u32,
    /// The least power of the sequential rule.
    pub(crate) power_min: f64,
    /// The most candidates that break a guardrail and are promoted by the sequential rule.
    pub(crate) violators_max: u32,
    /// By the point rule, the sequential rule, and the sequential rule with groups of four.
    pub(crate) wanted: [Found; 3],
}

const MID: &[(f64, f64)] = &[(0.55, 0.97), (0.25, 0.5), (0.20, 0.06)];
const QUIET: &[(f64, f64)] = &[(0.62, 0.99), (0.10, 0.5), (0.28, 0.02)];
const NOISY: &[(f64, f64)] = &[(1.0, 0.7)];
const SATURATED: &[(f64, f64)] = &[(0.5, 0.995), (0.5, 0.01)];

/// Campaigns with a false promotion; false promotions; promoted candidates that are worse; those that
/// break a guardrail; found candidates with a full gain, and all such candidates; reviews; case runs.
#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn found(
    any_false: u32,
    false_promotions: u32,
    regressions: u32,
    violators: u32,
    found: u32,
    good: u32,
    reviews: u32,
    evaluations: u64,
) -> Found {
    Found { any_false, false_promotions, regressions, violators, found, good, reviews, evaluations }
}

pub(crate) const SCENARIOS: [Scenario; 12] = [
    Scenario {
        name: "A null20",
        seed: 101,
        cases: 64,
        pack: MID,
        mix: &[(1.0, Change::Nothing)],
        candidates: 20,
        campaigns: 2000,
        power_min: 0.0,
        violators_max: 0,
        wanted: [
            found(1975, 9369, 0, 0, 0, 0, 0, 4_233_216),
            found(60, 60, 0, 0, 0, 0, 9, 6_736_208),
            found(37, 37, 0, 0, 0, 0, 5, 4_732_432),
        ],
    },
    Scenario {
        name: "B null100",
        seed: 102,
        cases: 64,
        pack: MID,
        mix: &[(1.0, Change::Nothing)],
        candidates: 100,
        campaigns: 600,
        power_min: 0.0,
        violators_max: 0,
        wanted: [
            found(600, 13_810, 0, 0, 0, 0, 0, 6_051_904),
            found(11, 11, 0, 0, 0, 0, 5, 10_058_816),
            found(14, 14, 0, 0, 0, 0, 0, 7_112_800),
        ],
    },
    Scenario {
        name: "C harm100",
        seed: 103,
        cases: 64,
        pack: MID,
        mix: &[(0.6, Change::Nothing), (0.3, Change::Harm(-0.03)), (0.1, Change::Uneven)],
        candidates: 100,
        campaigns: 600,
        power_min: 0.0,
        violators_max: 0,
        wanted: [
            found(600, 11_842, 2261, 0, 0, 0, 0, 5_839_616),
            found(14, 14, 0, 0, 0, 0, 2, 9_184_656),
            found(8, 8, 0, 0, 0, 0, 2, 6_480_928),
        ],
    },
    Scenario {
        name: "D plus10",
        seed: 104,
        cases: 64,
        pack: MID,
        mix: &[(0.7, Change::Nothing), (0.2, Change::Harm(-0.03)), (0.1, Change::Gain(0.10))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.65,
        violators_max: 0,
        wanted: [
            found(1450, 5732, 755, 0, 1504, 2898, 0, 3_196_864),
            found(28, 28, 0, 0, 1971, 2828, 188, 5_921_472),
            found(24, 24, 1, 0, 1773, 2914, 164, 4_284_344),
        ],
    },
    Scenario {
        name: "E plus20",
        seed: 105,
        cases: 64,
        pack: MID,
        mix: &[(0.7, Change::Nothing), (0.2, Change::Harm(-0.03)), (0.1, Change::Gain(0.20))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.95,
        violators_max: 0,
        wanted: [
            found(1405, 5125, 663, 0, 1024, 1793, 0, 3_126_528),
            found(18, 18, 0, 0, 1285, 1322, 27, 4_452_832),
            found(11, 11, 0, 0, 1304, 1565, 23, 3_203_856),
        ],
    },
    Scenario {
        name: "F plus5",
        seed: 106,
        cases: 64,
        pack: QUIET,
        mix: &[(0.7, Change::Nothing), (0.2, Change::Harm(-0.03)), (0.1, Change::Gain(0.05))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.15,
        violators_max: 0,
        wanted: [
            found(1454, 5565, 586, 0, 1424, 2952, 0, 3_166_912),
            found(16, 16, 0, 0, 552, 3043, 38, 3_550_272),
            found(16, 16, 0, 0, 506, 3038, 38, 2_557_416),
        ],
    },
    Scenario {
        name: "G small8",
        seed: 107,
        cases: 8,
        pack: MID,
        mix: &[(0.7, Change::Nothing), (0.2, Change::Harm(-0.03)), (0.1, Change::Gain(0.10))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.62,
        violators_max: 0,
        wanted: [
            found(1489, 8979, 1727, 0, 1704, 2994, 0, 447_712),
            found(35, 35, 1, 0, 1900, 2820, 214, 6_407_632),
            found(22, 22, 1, 0, 1738, 2952, 198, 4_555_824),
        ],
    },
    Scenario {
        name: "H noisy500",
        seed: 108,
        cases: 500,
        pack: NOISY,
        mix: &[(0.8, Change::Nothing), (0.1, Change::Harm(-0.05)), (0.1, Change::Gain(0.20))],
        candidates: 20,
        campaigns: 1000,
        power_min: 0.95,
        violators_max: 0,
        wanted: [
            found(921, 3112, 12, 0, 613, 1278, 0, 15_925_000),
            found(18, 18, 0, 0, 894, 918, 16, 4_064_320),
            found(5, 5, 0, 0, 870, 1035, 12, 2_883_048),
        ],
    },
    Scenario {
        name: "I weak null",
        seed: 109,
        cases: 32,
        pack: MID,
        mix: &[(1.0, Change::Uneven)],
        candidates: 20,
        campaigns: 2000,
        power_min: 0.0,
        violators_max: 0,
        wanted: [
            found(1981, 10_364, 0, 0, 0, 0, 0, 2_168_864),
            found(37, 37, 0, 0, 0, 0, 3, 6_594_464),
            found(34, 34, 0, 0, 0, 0, 6, 4_590_696),
        ],
    },
    Scenario {
        name: "J blocked",
        seed: 110,
        cases: 64,
        pack: QUIET,
        mix: &[(0.9, Change::Nothing), (0.1, Change::GainAndBlocked(0.10))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.0,
        violators_max: 10,
        wanted: [
            found(1476, 6367, 0, 36, 0, 0, 0, 3_105_408),
            found(19, 19, 0, 1, 0, 0, 17, 3_351_696),
            found(9, 9, 0, 2, 0, 0, 21, 2_328_256),
        ],
    },
    Scenario {
        name: "K cost",
        seed: 111,
        cases: 64,
        pack: QUIET,
        mix: &[(0.9, Change::Nothing), (0.1, Change::GainAndCost(0.10))],
        candidates: 20,
        campaigns: 1500,
        power_min: 0.0,
        violators_max: 0,
        wanted: [
            found(1475, 6375, 0, 1585, 0, 0, 0, 3_275_008),
            found(19, 19, 0, 0, 0, 0, 2608, 3_568_816),
            found(11, 11, 0, 0, 0, 0, 2564, 2_543_504),
        ],
    },
    Scenario {
        name: "L secondary",
        seed: 112,
        cases: 64,
        pack: SATURATED,
        mix: &[(0.9, Change::Nothing), (0.1, Change::FewerUnmet)],
        candidates: 20,
        campaigns: 1000,
        power_min: 0.45,
        violators_max: 0,
        wanted: [
            found(967, 3861, 0, 0, 444, 1593, 0, 2_077_120),
            found(2, 2, 0, 0, 647, 1268, 130, 1_861_312),
            found(2, 2, 0, 0, 642, 1359, 112, 1_332_968),
        ],
    },
];
