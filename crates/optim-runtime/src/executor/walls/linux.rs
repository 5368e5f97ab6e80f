//! What Linux offers: Landlock for files, TCP ports, signals and abstract sockets, seccomp for all sockets.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::{Connect, Wall};

/// The newest rights that are asked for; an older kernel is asked for those that it has.
const KNOWN: ABI = ABI::V6;
/// Devices that hold nothing of anybody.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
/// The bit that marks the numbers of the second set of calls on x86-64.
const X32: i64 = 0x4000_0000;

/// Restricts this thread, and what it becomes and starts.
pub(super) fn confine(wall: &Wall) -> Result<(), String> {
    without_capabilities().map_err(|error| error.to_string())?;
    landlock(wall).map_err(|error| error.to_string())?;
    if wall.connect.is_nobody() {
        without_sockets().map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Gives up what root, and programs with capabilities, may do beyond others: among it, to read the memory and
/// the environment of others.
fn without_capabilities() -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        // Who has none may not take one away either; and there are fewer than numbers.
        let capability = CapabilitySet::from_bits_retain(1 << number);
        remove_capability_from_bounding_set(capability).unwrap_or_default();
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

fn landlock(wall: &Wall) -> Result<(), RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    if let Connect::Ports(_) = &wall.connect {
        rules = rules.handle_access(AccessNet::ConnectTcp | AccessNet::BindTcp)?;
    }
    let mut rules = rules
        .create()?
        .add_rules(path_beneath_rules(&wall.read, AccessFs::from_read(KNOWN)))?
        .add_rules(path_beneath_rules(&wall.write, writing()))?
        .add_rules(path_beneath_rules(DEVICES, writing()))?;
    if let Connect::Ports(ports) = &wall.connect {
        let ports = ports.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
        rules = rules.add_rules(ports.collect::<Vec<Result<_, RulesetError>>>())?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// All that one may do in a folder of one's own, but for making devices: whoever may make one has the disk.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_all(KNOWN) & !(AccessFs::MakeBlock | AccessFs::MakeChar)
}

/// Refuses every new socket, whatever its family; pairs of connected ones can be had.
fn without_sockets() -> Result<(), seccompiler::Error> {
    // The second way to a socket is a ring of requests, which no filter sees.
    let calls = [libc::SYS_socket, libc::SYS_io_uring_setup];
    let refused: BTreeMap<_, _> = calls
        .into_iter()
        .flat_map(|call| [call, call | X32])
        .map(|call| (call, Vec::new()))
        .collect();
    let denied = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, denied, ARCH.try_into()?)?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)
}

pub(super) fn gaps(connect: &Connect) -> Vec<&'static str> {
    let mut gaps = Vec::new();
    let has_files = offers(|rules| rules.handle_access(AccessFs::from_all(ABI::V1)));
    if !has_files {
        gaps.push("files outside the scratch copy (needs Linux 5.13 with Landlock)");
    } else if !offers(|rules| rules.handle_access(AccessFs::Truncate)) {
        gaps.push("cutting files short outside the scratch copy (needs Linux 6.2)");
    }
    match connect {
        Connect::Anybody(_) => {}
        Connect::Ports(ports) if ports.is_empty() => {
            if seccompiler::TargetArch::try_from(ARCH).is_err() {
                gaps.push("the network (not on this processor)");
            }
        }
        Connect::Ports(_) => {
            gaps.push("UDP and sockets in the file system, as executor.walls.connect allows ports");
            if !offers(|rules| rules.handle_access(AccessNet::ConnectTcp)) {
                gaps.push("other TCP ports than those allowed (needs Linux 6.7)");
            }
        }
    }
    if !offers(|rules| rules.scope(Scope::Signal)) {
        gaps.push("signals to other processes (needs Linux 6.12)");
    }
    gaps
}

/// Whether the kernel knows what `asked` for.
fn offers(asked: impl FnOnce(Ruleset) -> Result<Ruleset, RulesetError>) -> bool {
    let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    asked(strict).and_then(Ruleset::create).is_ok()
}
