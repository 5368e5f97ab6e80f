//! Whether the workflow that a campaign optimizes is still there.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use optim_core::campaign::Campaign;
use optim_core::campaign::location::Location;

/// How long after the first look the second one is. Editors replace a file by another one, and for a
/// moment there is none.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// Why the workflow file of `campaign` is gone for good; `None` while it is there, or while its whole
/// folder is out of reach, as on a disk that is not mounted. The end of a stored workflow is told to
/// its campaigns in the commit that makes it.
pub async fn gone(campaign: &Campaign) -> Option<String> {
    let Location::File(file) = &campaign.source.location else {
        return None;
    };
    let file = Path::new(file);
    if !missing(file) {
        return None;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    missing(file).then(|| format!("the workflow file {} is not there any more", file.display()))
}

fn missing(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let absent = file.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    absent && folder.is_dir()
}

#[cfg(test)]
mod tests {
    use optim_store::testing::sample;

    use super::*;

    fn at(file: &Path) -> Campaign {
        let mut campaign = sample::campaign("c");
        campaign.source.location = Location::File(file.display().to_string());
        campaign
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_gone_when_it_is_missing_twice_and_its_folder_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("workflow.yaml");
        let campaign = at(&file);
        std::fs::write(&file, "text").unwrap();
        assert_eq!(gone(&campaign).await, None);
        std::fs::remove_file(&file).unwrap();
        let reason = gone(&campaign).await.unwrap();
        assert!(reason.contains("workflow.yaml is not there any more"), "{reason}");
        drop(folder);
        assert_eq!(gone(&campaign).await, None, "a folder that is out of reach says nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_replaced_meanwhile_is_not_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("workflow.yaml");
        let campaign = at(&file);
        let editor = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::fs::write(&file, "text").unwrap();
        };
        let (found, ()) = tokio::join!(gone(&campaign), editor);
        assert_eq!(found, None);
    }
}
