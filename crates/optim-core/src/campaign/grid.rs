//! The whole life on one page: every command in every phase, kept in the documentation by a test.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use expect_test::expect_file;

use super::command::Command;
use super::tests::comparing::{better, sequential};
use super::tests::{Driven, campaign, cx, mutation};
use super::transition::decide;
use super::{Campaign, Hold, Phase};
use crate::experiment::ExperimentState;
use crate::policy::Extension;

/// A campaign in each phase, and paused in those that work.
fn stations() -> Vec<(&'static str, Campaign)> {
    let fresh = || campaign(5, 4);
    let searching = || Driven::searching(fresh(), 6);
    let replaying = {
        let mut driven = Driven::new(fresh());
        driven.command(Command::Start { reason: None }).unwrap();
        driven.campaign
    };
    let evaluating = || {
        let mut driven = searching();
        driven.propose(1);
        driven
    };
    let confirming = || {
        let mut driven = evaluating();
        driven.land(Some(9));
        driven
    };
    let awaiting = || {
        let mut driven = confirming();
        driven.land(Some(4));
        driven.land(Some(4));
        driven
    };
    let applied = || {
        let mut driven = awaiting();
        let experiment = driven.pending();
        driven.command(Command::Approve { experiment, reason: None }).unwrap();
        driven.apply();
        driven.command(Command::Cancel { reason: None }).unwrap();
        driven
    };
    let measuring = {
        let mut driven = applied();
        let live = driven.campaign.live.expected;
        driven.command(Command::Measure { live, reason: None }).unwrap();
        driven.campaign
    };
    // Decided by pairs: eight that are all better are promising, and no proof.
    let comparing = || {
        let mut campaign = sequential(20, |rules| rules.n_max = 8);
        campaign.frozen.holdout_cases = 4;
        let mut driven = Driven::searching(campaign, 6);
        driven.propose(1);
        driven
    };
    let confirming_pairs = || {
        let mut driven = comparing();
        driven.round(better);
        driven
    };
    let under_review = || {
        let mut driven = confirming_pairs();
        driven.compare(better);
        driven
    };
    let after = |mut driven: Driven, command: Command| {
        driven.command(command).unwrap();
        driven.campaign
    };
    let pause = || Command::Pause { reason: None, cancel_runs: false };
    let failed = {
        let mut driven = evaluating();
        for _ in 0..3 {
            driven.days_pass();
        }
        driven.campaign
    };
    vec![
        ("draft", fresh()),
        ("replaying", replaying),
        ("searching", searching().campaign),
        ("evaluating", evaluating().campaign),
        ("evaluating, paused", after(evaluating(), pause())),
        ("comparing", comparing().campaign),
        ("confirming", confirming().campaign),
        ("confirming by pairs", confirming_pairs().campaign),
        ("awaiting approval", awaiting().campaign),
        ("under review", under_review().campaign),
        ("awaiting approval, paused", after(awaiting(), pause())),
        ("evaluating, failed", failed),
        ("closed", after(searching(), Command::Cancel { reason: None })),
        ("closed, applied", applied().campaign),
        ("closed, measuring", measuring),
    ]
}

fn commands(campaign: &Campaign) -> Vec<(&'static str, Command)> {
    let named = campaign.current_experiment().map(|experiment| experiment.id);
    let experiment = named.unwrap_or_else(|| crate::id::ExperimentId::derive(&[b"none"]));
    vec![
        ("start", Command::Start { reason: None }),
        ("pause", Command::Pause { reason: None, cancel_runs: false }),
        ("resume", Command::Resume { reason: None }),
        ("suggest", Command::Suggest { mutation: mutation(7) }),
        ("approve", Command::Approve { experiment, reason: None }),
        ("approve anyway", Command::ApproveAnyway { experiment, reason: "why".to_owned() }),
        ("add pairs", Command::AddPairs { pairs: NonZeroU32::MIN, reason: "why".to_owned() }),
        ("reject", Command::Reject { experiment, reason: "why".to_owned() }),
        ("queue replay", Command::QueueReplay { reason: None }),
        ("extend", Command::Extend { by: one_experiment(), reason: "why".to_owned() }),
        ("reset failures", Command::ResetFailures { reason: "why".to_owned() }),
        ("measure", Command::Measure { live: campaign.live.expected, reason: None }),
        ("close", Command::Close { reason: None }),
        ("cancel", Command::Cancel { reason: None }),
        ("archive", Command::Archive { reason: None }),
    ]
}

fn one_experiment() -> Extension {
    Extension { experiments: 1, ..Extension::default() }
}

fn phase(campaign: &Campaign) -> String {
    let name = match &campaign.phase {
        Phase::Draft => "draft",
        Phase::Replaying { .. } => "replaying",
        Phase::Searching => "searching",
        Phase::Evaluating { .. } => "evaluating",
        Phase::Comparing { .. } if campaign.winner().is_some() => "confirming by pairs",
        Phase::Comparing { .. } => "comparing",
        Phase::Confirming { .. } => "confirming",
        Phase::AwaitingApproval { experiment } => match experiment.state {
            ExperimentState::NeedsReview(_) => "under review",
            _ => "awaiting approval",
        },
        Phase::Closed { .. } => "closed",
    };
    let held = match campaign.hold {
        None => "",
        Some(Hold::Failures { .. }) => ", failed",
        Some(_) => ", paused",
    };
    let live = match &campaign.live {
        live if live.measuring.is_some() => ", measuring",
        live if !live.applied.is_empty() => ", applied",
        _ => "",
    };
    format!("{name}{held}{live}")
}

#[test]
fn every_command_in_every_phase_is_documented() {
    let mut page = "# Campaign transitions\n\n\
        What each command does in each phase: the phase that follows, `=` when it stays, or the code of the\n\
        refusal. Written by a test; `UPDATE_EXPECT=1 cargo test -p optim-core` brings it up to date.\n\n"
        .to_owned();
    let stations = stations();
    let header: Vec<_> = commands(&stations[0].1).into_iter().map(|(name, _)| name).collect();
    writeln!(page, "| phase | {} |", header.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(header.len())).unwrap();
    for (name, campaign) in &stations {
        assert_eq!(phase(campaign), *name);
        let cells = commands(campaign).into_iter().map(|(_, command)| {
            match decide(campaign, &command, &cx(99)) {
                Ok(decision) if phase(&decision.next) == *name => "=".to_owned(),
                Ok(decision) => phase(&decision.next),
                Err(rejection) => format!("`{}`", rejection.code()),
            }
        });
        writeln!(page, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | ")).unwrap();
    }
    expect_file!["../../../../docs/reference/campaign-transitions.md"].assert_eq(&page);
}
