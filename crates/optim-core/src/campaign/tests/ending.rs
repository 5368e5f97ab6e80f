//! How campaigns end, and what becomes of them then.

use super::*;

fn closed_by_operator(campaign: &Campaign) -> bool {
    matches!(campaign.phase, Phase::Closed { ending: Ending::ClosedByOperator { .. }, .. })
}

#[test]
fn a_campaign_is_closed_as_completed_when_what_is_in_flight_has_landed() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.command(Command::Close { reason: Some("good enough".to_owned()) }).unwrap();
    assert_eq!(driven.campaign.in_flight().count(), 1, "what is paid for is not thrown away");
    driven.land(Some(2));
    let Phase::Closed { ending: Ending::ClosedByOperator { by }, .. } = &driven.campaign.phase
    else {
        panic!("not closed")
    };
    assert_eq!(by.reason.as_deref(), Some("good enough"));
    assert_eq!(driven.campaign.status(), Status::Completed);
}

#[test]
fn a_winner_is_decided_before_its_campaign_is_closed() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.command(Command::Close { reason: None }).unwrap();
    driven.land(Some(9));
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
    let again = driven.command(Command::Close { reason: None });
    assert_eq!(again.unwrap_err().code(), "campaign_wrong_status");
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    assert!(closed_by_operator(&driven.campaign));
    assert_eq!(driven.campaign.baseline.version, 1, "what is approved stays so");
}

#[test]
fn a_paused_campaign_with_nothing_in_flight_is_closed_at_once() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert_eq!(
        Driven::new(campaign(5, 0)).command(Command::Close { reason: None }).unwrap_err().code(),
        "campaign_wrong_status",
        "a draft has nothing to complete"
    );
    driven.command(Command::Pause { reason: None, cancel_runs: false }).unwrap();
    driven.command(Command::Close { reason: None }).unwrap();
    assert!(closed_by_operator(&driven.campaign));
}

#[test]
fn only_what_is_over_is_archived_and_stays_as_it_ended() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    let archive = Command::Archive { reason: Some("done with it".to_owned()) };
    assert_eq!(driven.command(archive.clone()).unwrap_err().code(), "campaign_wrong_status");
    driven.command(Command::Cancel { reason: None }).unwrap();
    driven.command(archive.clone()).unwrap();
    let archived = driven.campaign.clone();
    let reason = archived.archived.as_ref().and_then(|by| by.reason.as_deref());
    assert_eq!(reason, Some("done with it"));
    driven.command(archive).unwrap();
    assert_eq!(driven.campaign, archived, "once is enough");
}
