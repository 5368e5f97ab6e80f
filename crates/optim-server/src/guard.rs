//! This binary as the guard of a program that it starts, and as the process that becomes the program behind
//! a wall: see [`optim_runtime::executor::guard`] and [`optim_runtime::executor::walls`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use optim_runtime::executor::guard::{self, Guard, WALL};
use optim_runtime::executor::walls::inside;

/// The word that makes this binary a guard. It is no verb: only optim says it, to itself.
const WORD: &str = "guard";
/// Where Linux keeps the binary of this process, also when its file was moved or replaced meanwhile.
const OWN_BINARY: &str = "/proc/self/exe";

/// How this binary is started as a guard; `None` when nobody knows where it is.
pub(crate) fn of_this_binary() -> Option<Guard> {
    let linked = Some(PathBuf::from(OWN_BINARY)).filter(|link| link.exists());
    let binary = linked.or_else(|| std::env::current_exe().ok())?;
    Some(Guard::new(binary, vec![WORD.into()]))
}

/// Guards, or becomes another program, if this process was started for that; how it exits then.
pub(crate) fn if_asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let word = words.next()?;
    let wall = match word {
        word if word == WORD => None,
        word if word == WALL => Some(words.next()?),
        _ => return None,
    };
    let (program, arguments) = (words.next()?, words.collect::<Vec<OsString>>());
    Some(match wall {
        None => guard::run(&program, &arguments),
        Some(wall) => inside::run(&wall, &program, &arguments),
    })
}
