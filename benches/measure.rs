//! Processor times as medians of repeated runs, and how they grow.

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this process in nanoseconds: what a busy machine does beside it hardly
/// counts.
#[must_use]
pub fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec);
    std::time::Duration::from_nanos(nanoseconds.unsigned_abs()).as_secs_f64() * 1e9
}

/// The median processor time in nanoseconds of `runs` runs of `work`, after one that is not counted.
pub fn median_ns(runs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..runs.max(1))
        .map(|_| {
            let start = cpu_ns();
            work();
            cpu_ns() - start
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

/// The exponent of growth between two sizes: 1 is linear, 2 quadratic.
#[must_use]
pub fn exponent((small, small_ns): (usize, f64), (large, large_ns): (usize, f64)) -> f64 {
    (large_ns / small_ns).ln() / (float(large) / float(small)).ln()
}

/// Whether it only matters that the bench runs to its end, as in `cargo test --benches`: then the smallest size
/// will do.
#[must_use]
pub fn is_tried_out() -> bool {
    // As criterion tells it, too.
    !std::env::args().any(|argument| argument == "--bench")
}

/// The sizes to measure at.
#[must_use]
pub fn sizes<T>(all: &[T]) -> &[T] {
    all.get(..1).filter(|_| is_tried_out()).unwrap_or(all)
}

/// A count as a float, for a ratio.
#[must_use]
pub fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// `count` of `all`; 0 when there is nothing.
#[must_use]
#[expect(clippy::as_conversions, reason = "what is counted here fits into a float")]
pub fn share(count: u64, all: u64) -> f64 {
    count as f64 / all.max(1) as f64
}

/// The upper end of the 99 % Wilson interval for a share of which `count` of `all` were seen.
#[must_use]
#[expect(clippy::as_conversions, reason = "what is counted here fits into a float")]
pub fn wilson_upper(count: u64, all: u64) -> f64 {
    let (share, n, z) = (share(count, all), all.max(1) as f64, 2.575_829_303_5_f64);
    let middle = share + z * z / (2.0 * n);
    let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (middle + spread) / (1.0 + z * z / n)
}
