//! The proposer `rules`: curated changes, led by `objective.md`.
//!
//! Text fields get a clause more, another clause in place of one that was added before, or a
//! redundant sentence less; knobs get steps in both directions. Every change is made to fit the
//! limits; what fits in no length is refused aloud.

use super::order::Order;
use super::prepared::refusal;
use super::wording::{Idea, Wording};
use super::{Cursor, Identity, Offer, Prepared, shorten};
use crate::mutation::fields::{Current, Direction, Step, Stride, Violation, text_allowance};
use crate::mutation::{Family, FieldValue, MutableField};
use crate::policy::{MutationPolicy, Objective};
use crate::workflow::Node;

/// Who this proposer is.
pub const IDENTITY: Identity = Identity { name: "rules", version: 1 };

/// The proposer with what it has learnt from an objective.
#[derive(Debug, Clone)]
pub struct Rules {
    seed: u64,
    /// What it does with each field, in the order of the fields.
    plans: Vec<Plan>,
    /// The most ranks that any field has.
    ranks: usize,
}

/// What is done with one field.
#[derive(Debug, Clone)]
struct Plan {
    field: MutableField,
    /// Moves of equal standing, best first.
    ranks: Vec<Vec<Move>>,
    wording: Wording,
}

/// One kind of change.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// Adds the idea in the `tier`-th longest of the lengths that fit.
    Append { idea: usize, tier: usize },
    /// Puts the idea in the place of a clause that was added before.
    Replace { idea: usize },
    /// Leaves a redundant sentence out.
    Shorten,
    /// Moves a knob.
    Step(Step),
}

/// Nodes that are gone through together: each has its turn with every field before others follow.
/// Few enough to stay in the processor's cache, many enough to be diverse.
const WINDOW: u64 = 16;
/// The lengths of an idea.
const TIERS: usize = 3;
/// The most moves of a field in one rank.
const MOVES_MAX: usize = 3;

impl Rules {
    /// Reads what `objective` asks for. `seed` decides which of equally good options come first.
    #[must_use]
    pub fn new(objective: &Objective, seed: u64) -> Self {
        let plans: Vec<Plan> =
            MutableField::ALL.into_iter().map(|field| Plan::new(field, objective, seed)).collect();
        let ranks = plans.iter().map(|plan| plan.ranks.len()).max().unwrap_or(0);
        Self { seed, plans, ranks }
    }

    /// The options for a baseline from `cursor` on.
    ///
    /// They come in ranks: the best move of every field on every node, then the second best, and so
    /// on. Within a rank neighbours differ in node and field, so the first few options are diverse.
    #[must_use]
    pub fn stream<'a>(&'a self, prepared: &'a Prepared, cursor: Cursor) -> Stream<'a> {
        Stream {
            rules: self,
            prepared,
            order: Order::new(prepared.baseline().nodes().len(), self.seed),
            cursor,
            rank: Rank::default(),
        }
    }

    /// The turns of one rank: the first move of every allowed field, then the second of each.
    fn turns_at<'a>(
        &'a self,
        rank: usize,
        prepared: &'a Prepared,
    ) -> impl Iterator<Item = Turn<'a>> {
        let allowed = |plan: &&Plan| prepared.policy().allowed.contains(&plan.field);
        (0..MOVES_MAX).flat_map(move |number| {
            self.plans.iter().filter(allowed).filter_map(move |plan| {
                Some(Turn {
                    plan,
                    action: *plan.ranks.get(rank)?.get(number)?,
                    is_first: rank == 0 && number == 0,
                })
            })
        })
    }
}

impl Plan {
    fn new(field: MutableField, objective: &Objective, seed: u64) -> Self {
        let wording = Wording::new(objective.as_str(), field.spec(), seed);
        let ranks = match field.spec().family() {
            Family::Knob => Step::ALL.map(|step| vec![Move::Step(step)]).to_vec(),
            Family::Text => text_ranks(wording.ideas.len()),
        };
        Self { field, ranks, wording }
    }

    /// What `action` has to offer for the node at `index`. An obstacle that is the same for every
    /// action is reported with the first.
    fn offer(
        &self,
        prepared: &Prepared,
        index: usize,
        action: Move,
        is_first: bool,
    ) -> Option<Offer> {
        let node = prepared.baseline().nodes().get(index)?;
        if let Err(error) = prepared.check_field(node, self.field) {
            return is_first.then(|| refusal(node.id(), self.field, error));
        }
        match self.attempt(node, action, is_first, prepared.policy())? {
            Ok((after, idea)) => prepared.propose(index, self.field, after, idea),
            Err(violation) => {
                let error = violation.at(node.id(), self.field);
                Some(refusal(node.id(), self.field, error))
            }
        }
    }

    /// The value that `action` leads to, and the idea behind it.
    fn attempt(
        &self,
        node: &Node,
        action: Move,
        is_first: bool,
        policy: &MutationPolicy,
    ) -> Option<Result<(FieldValue, &'static str), Violation>> {
        if let Move::Step(step) = action {
            return match self.field.spec().step(node, step, policy) {
                Ok(after) => Some(Ok((FieldValue::Integer(after), idea_of(step)))),
                Err(violation) => {
                    is_worth_telling(&violation, step, is_first).then_some(Err(violation))
                }
            };
        }
        let Current::Text(text) = self.field.spec().current(node) else {
            return None;
        };
        let idea = |index: usize| self.wording.ideas.get(index);
        let (after, name) = match action {
            Move::Append { idea: index, tier } => {
                let idea = idea(index)?;
                (appended(text, idea, tier, policy)?, idea.name)
            }
            Move::Replace { idea: index } => {
                let idea = idea(index)?;
                (replaced(text, idea, &self.wording, policy)?, idea.name)
            }
            Move::Shorten => (
                shorten::without(text, &shorten::redundant(text)?),
                "leave out a sentence that adds nothing",
            ),
            Move::Step(_) => return None,
        };
        Some(Ok((FieldValue::Text(after), name)))
    }
}

/// What is done with a text: every idea in its longest form, then all of them in shorter ones.
fn text_ranks(ideas: usize) -> Vec<Vec<Move>> {
    let longest =
        (0..ideas).map(|idea| vec![Move::Append { idea, tier: 0 }, Move::Replace { idea }]);
    let shorter =
        (0..ideas).map(|idea| (1..TIERS).map(|tier| Move::Append { idea, tier }).collect());
    let mut ranks: Vec<Vec<Move>> = longest.chain(shorter).collect();
    if let Some(first) = ranks.first_mut() {
        first.push(Move::Shorten);
    }
    ranks
}

/// `text` with the idea at its end; `None` when it says it already, or has no such tier.
///
/// When no length fits, the shortest comes back, for the limits to refuse.
fn appended(text: &str, idea: &Idea, tier: usize, policy: &MutationPolicy) -> Option<String> {
    let body = text.trim_end();
    let joint = joint(body);
    let room = text_allowance(text, policy).saturating_sub(u64::try_from(joint.len()).unwrap_or(0));
    let mut fitting = idea.clauses.iter().filter(|clause| clause.chars <= room);
    let clause = match fitting.nth(tier) {
        Some(clause) => clause,
        None if tier == 0 => idea.clauses.last()?,
        None => return None,
    };
    let said = idea.clauses.iter().any(|clause| clause.is_in(text));
    (!said).then(|| [body, joint, &clause.text].concat())
}

/// `text` with the idea in place of the clause at its end; `None` when it does not end with a
/// clause, or would say the same twice.
fn replaced(text: &str, idea: &Idea, wording: &Wording, policy: &MutationPolicy) -> Option<String> {
    let body = wording.without_last_clause(text)?;
    let joint = joint(body);
    let room = text_allowance(text, policy);
    let mut candidates = idea.clauses.iter().filter(|clause| !clause.is_in(text));
    let gone = text.get(body.len()..).unwrap_or_default().chars().count();
    let room = room.saturating_sub(u64::try_from(gone).unwrap_or(u64::MAX));
    let clause =
        candidates.clone().find(|clause| clause.chars <= room).or(candidates.next_back())?;
    Some([body, joint, &clause.text].concat())
}

/// What goes between a text and a sentence after it. A list ends with its line, so that the
/// sentence does not become part of the last item.
fn joint(body: &str) -> &'static str {
    let last_line = body.rsplit('\n').next().unwrap_or_default();
    if shorten::is_list_item(last_line) {
        "\n"
    } else if body.is_empty() {
        ""
    } else if body.ends_with(char::is_alphanumeric) {
        ". "
    } else {
        " "
    }
}

fn idea_of(step: Step) -> &'static str {
    match (step.direction, step.stride) {
        (Direction::Up, Stride::Large) => "raise it",
        (Direction::Down, Stride::Large) => "lower it",
        (Direction::Up, Stride::Small) => "raise it a little",
        (Direction::Down, Stride::Small) => "lower it a little",
    }
}

/// A small step fails with its large one, which has told why.
fn is_worth_telling(violation: &Violation, step: Step, is_first: bool) -> bool {
    if matches!(violation, Violation::NoRoom { .. }) {
        step.stride == Stride::Large
    } else {
        is_first
    }
}

/// The options for one baseline, one at a time.
#[derive(Debug)]
pub struct Stream<'a> {
    rules: &'a Rules,
    prepared: &'a Prepared,
    order: Order,
    cursor: Cursor,
    rank: Rank<'a>,
}

/// A field, and what is done with it.
#[derive(Debug, Clone, Copy)]
struct Turn<'a> {
    plan: &'a Plan,
    action: Move,
    /// Whether it is the first one of the field.
    is_first: bool,
}

/// The turns that the stream is at. In a rank every node has every turn once.
#[derive(Debug, Default)]
struct Rank<'a> {
    turns: Vec<Turn<'a>>,
    /// The cursor at which the rank begins, and at which the next one does.
    begin: u64,
    end: u64,
    /// The number of the next rank.
    next: usize,
}

impl<'a> Stream<'a> {
    /// Where to go on after what has been taken so far.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The option at the cursor: a turn and a node. `None` past the last one.
    fn option(&mut self) -> Option<(Turn<'a>, usize)> {
        self.enter_rank()?;
        let at = self.cursor.0.checked_sub(self.rank.begin)?;
        let turns = u64::try_from(self.rank.turns.len()).ok()?;
        let window = at.checked_div(turns.saturating_mul(WINDOW))?;
        let first = window.saturating_mul(WINDOW);
        let at = at.checked_sub(first.saturating_mul(turns))?;
        let nodes = self.order.count().checked_sub(first)?.min(WINDOW);
        let (round, place) = (at.checked_div(nodes)?, first.saturating_add(at.checked_rem(nodes)?));
        let turn = round.saturating_add(place).checked_rem(turns)?;
        let turn = self.rank.turns.get(usize::try_from(turn).ok()?)?;
        Some((*turn, self.order.at(place)?))
    }

    /// Goes to the rank that holds the cursor.
    fn enter_rank(&mut self) -> Option<()> {
        let (rules, prepared) = (self.rules, self.prepared);
        if self.cursor.0 < self.rank.end {
            return Some(());
        }
        while self.cursor.0 >= self.rank.end {
            if self.rank.next >= rules.ranks {
                return None;
            }
            let turns = rules.turns_at(self.rank.next, prepared).count();
            let options = u64::try_from(turns).ok()?.saturating_mul(self.order.count());
            self.rank.begin = self.rank.end;
            self.rank.end = self.rank.begin.saturating_add(options);
            self.rank.next += 1;
        }
        self.rank.turns = rules.turns_at(self.rank.next - 1, prepared).collect();
        Some(())
    }
}

impl Iterator for Stream<'_> {
    type Item = Offer;

    fn next(&mut self) -> Option<Offer> {
        loop {
            let (Turn { plan, action, is_first }, index) = self.option()?;
            self.cursor.0 = self.cursor.0.saturating_add(1);
            if let Some(offer) = plan.offer(self.prepared, index, action, is_first) {
                return Some(offer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
