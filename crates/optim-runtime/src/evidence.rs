//! What proposers may learn from a replay: which search cases pass, which fail, and how.

use optim_core::pack::Case;
use optim_core::proposal::FailingCase;
use optim_core::run::Run;
use optim_core::workflow::Workflow;
