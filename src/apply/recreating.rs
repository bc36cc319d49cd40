//! A StatefulSet that is made again around its pods.

use std::time::Duration;

use super::Run;
use super::execute::done;
use crate::client::Removal;
use crate::object::{Object, ObjectId};
use crate::plan::{ActionResult, Propagation};

/// The garbage collector lets go of the pods and then of the StatefulSet, which takes it moments.
const PAUSE: Duration = Duration::from_millis(100);
/// Then the next pass makes it, when the watch says that it is gone.
const PATIENCE: u32 = 50;

impl Run<'_> {
    /// Deletes the StatefulSet without its pods, waits for it to be gone, and creates it.
    ///
    /// *Effects*: one DELETE, a GET every 100 ms for up to 5 s, one create. Stopped anywhere, what is left is either the
    /// old StatefulSet or none, and a plan of what is there then creates it.
    pub(super) async fn recreate(
        &self,
        id: &ObjectId,
        body: &Object,
        uid: &str,
        resource_version: &str,
    ) -> ActionResult {
        let removal = Removal {
            uid: uid.to_owned(),
            resource_version: Some(resource_version.to_owned()),
            propagation: Propagation::Orphan,
        };
        if let Err(error) = self.client.delete(id, &removal).await {
            return done(Err(error));
        }
        for _ in 0..PATIENCE {
            match self.client.get_metadata(id).await {
                Ok(Some(live)) if live.uid() == Some(uid) => tokio::time::sleep(PAUSE).await,
                Ok(_) => return self.create(id, body, None).await,
                Err(error) => return ActionResult::Failed(error.to_failure()),
            }
        }
        ActionResult::Skipped {
            because: "it is deleted without its pods and not gone yet; it is made again when it is"
                .to_owned(),
        }
    }
}
