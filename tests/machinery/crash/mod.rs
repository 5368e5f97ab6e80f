//! The world stops before and after the k-th operation of the store, for every k of every scenario; the
//! next process takes over, and everything must be as if nothing had happened.

mod end;
mod scenarios;
mod step;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use optim_core::invariants::check_invariants;
use optim_store::testing::faulty::Fault;
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::tally::Tally;
use crate::world::{Backend, Process, World};

use end::End;
use scenarios::{SCENARIOS, Scenario};
use step::Step;

/// A step that has not ended after so much virtual time hangs.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs every scenario, or the one with the number of `--seed`.
pub(crate) fn run(arguments: &Arguments) -> Outcome<Tally> {
    let only = arguments.get("--seed").map(usize::try_from).transpose()?;
    let chosen = |(number, _): &(usize, &Scenario)| only.is_none_or(|only| only == *number);
    let scenarios: Vec<_> = SCENARIOS.iter().enumerate().filter(chosen).collect();
    let jobs = scenarios.iter().flat_map(|it| Backend::ALL.map(|backend| (*it, backend)));
    let (jobs, sums) = (Mutex::new(jobs), Mutex::new((Tally::of("crash"), 0)));
    std::thread::scope(|scope| {
        let worker = || -> Outcome<()> {
            loop {
                let Some(((number, scenario), backend)) = locked(&jobs).next() else {
                    return Ok(());
                };
                let begun = Instant::now();
                let points = all_points(number, scenario, backend, &sums)?;
                let (backend, took) = (backend.name(), begun.elapsed().as_secs_f64());
                println!(
                    "{number:2} {:46} {backend:7} {points:5} points {took:6.1} s",
                    scenario.name
                );
                locked(&sums).1 += points;
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().map_err(|_| "a panic")?);
        ended.collect::<Outcome<Vec<()>>>()
    })?;
    let (mut tally, points) = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.more = format!("; {points} crash points in {} scenarios", scenarios.len());
    Ok(tally)
}

/// What has been counted, and the crash points.
type Sums = Mutex<(Tally, u32)>;

fn locked<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the world at each point; says how many there were.
fn all_points(number: usize, scenario: &Scenario, backend: Backend, sums: &Sums) -> Outcome<u32> {
    let mut world = World::new(backend, scenario.project)?;
    let prepared = live(&world, scenario.before, &mut 0, None, false)?;
    let Life::Ended(_) = prepared else { return Err("nothing stops what is prepared".into()) };
    let saved = world.save()?;
    let Life::Ended(calm) = live(&world, scenario.act, &mut 0, None, false)? else {
        return Err("nothing stops what is not to be stopped".into());
    };
    locked(sums).0.count(&number.to_string(), calm.is_sound())?;
    let mut points = 0;
    for fault in [Fault::Before, Fault::After] {
        for count in 1.. {
            world.restore(&saved)?;
            let ended = one_point(&world, scenario, (count, fault), &calm);
            let Some(ended) = ended.transpose() else { break };
            points += 1;
            let seed = format!("{number} {} {fault:?} {count}", backend.name());
            locked(sums)
                .0
                .count(&seed, ended.map_err(|error| format!("{}: {error}", scenario.name)))?;
        }
    }
    Ok(points)
}

/// Stops the world at one point, and compares what comes of it; `None` when it ends before.
fn one_point(
    world: &World,
    scenario: &Scenario,
    stop: (u64, Fault),
    calm: &End,
) -> Result<Option<()>, String> {
    let mut acknowledged = 0;
    let first = live(world, scenario.act, &mut acknowledged, Some(stop), false);
    if let Life::Ended(_) = first.map_err(|error| format!("before the crash: {error}"))? {
        return Ok(None);
    }
    let second = live(world, scenario.act, &mut acknowledged, None, true);
    let Life::Ended(end) = second.map_err(|error| format!("after the crash: {error}"))? else {
        return Err("the second process stops".to_owned());
    };
    end.is_sound()?;
    if scenario.same_end {
        end.is_like(calm)?;
    }
    Ok(Some(()))
}

/// How a process came to its end.
enum Life {
    /// The world stopped.
    Stopped,
    /// All was done, and nothing goes on by itself.
    Ended(Box<End>),
}

/// One process, from its start to the end of `steps` or of the world. Steps that were acknowledged are not
/// taken again; after a crash the next one may have taken effect.
fn live(
    world: &World,
    steps: &[Step],
    acknowledged: &mut usize,
    stop: Option<(u64, Fault)>,
    is_second: bool,
) -> Outcome<Life> {
    let runtime = paused()?;
    let ended = runtime.block_on(async {
        let opened = world.open()?;
        if let Some((count, fault)) = stop {
            opened.stop(count, fault);
        }
        let life = async {
            let process = Process::start(world, &opened).await?;
            let in_doubt = is_second.then_some(*acknowledged);
            for (place, step) in steps.iter().enumerate().skip(*acknowledged) {
                // One that was under way at the crash may have taken effect.
                let is_late = is_second && step.may_come_too_late();
                let may_be_refused = is_late || in_doubt == Some(place);
                let taken = step.take(world, &process, may_be_refused);
                match tokio::time::timeout(PATIENCE, taken).await {
                    Ok(taken) => taken?,
                    Err(_) => return Err(stuck(*step, &process).await?.into()),
                }
                *acknowledged = place + 1;
            }
            End::of(world, &process).await
        };
        tokio::select! {
            biased;
            () = opened.stopped() => Ok(Life::Stopped),
            ended = life => Ok(Life::Ended(Box::new(ended?))),
        }
    });
    // Nobody says goodbye: what the process was doing is dropped where it stands.
    drop(runtime);
    ended
}

/// What a step waits for that does not come to an end.
async fn stuck(step: Step, process: &Process) -> Outcome<String> {
    let all = optim_store::snapshot(process.engine.store().as_ref()).await?;
    let runs: Vec<_> = all.workflow_runs.iter().map(|run| (&run.state, run.epoch)).collect();
    let campaigns: Vec<_> = all.campaigns.iter().map(|campaign| campaign.status()).collect();
    let waiting = process.service.status().waiting;
    Ok(format!("{step:?} hangs: {campaigns:?}, {runs:?}, waiting: {waiting:?}"))
}

fn paused() -> Outcome<Runtime> {
    Ok(Builder::new_current_thread().enable_all().start_paused(true).build()?)
}

impl End {
    fn is_sound(&self) -> Result<(), String> {
        let violations = check_invariants(&self.snapshot);
        match violations.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} violations: {first}", violations.len())),
        }
    }
}
