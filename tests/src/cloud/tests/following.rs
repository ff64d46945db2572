//! A changing call returns when the data plane has applied the change, unless the cloud is held. If the data plane
//! fails, the call fails.

use super::{A, QINGDAO};
use crate::{
    cloud::{Apply, Cloud, Options, call, router},
    desired::Desired,
};
use futures_util::future::BoxFuture;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<usize>>,
    breaks: AtomicBool,
}

impl Apply for Recorder {
    fn apply(&self, desired: Arc<Desired>) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            anyhow::ensure!(!self.breaks.load(Ordering::SeqCst), "the kernel said no");
            self.seen.lock().expect("lock").push(desired.vpcs.len());
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_changing_call_returns_when_the_plane_has_followed() {
    let recorder = Arc::new(Recorder::default());
    let cloud = Cloud::new(Options::default(), Arc::clone(&recorder) as Arc<dyn Apply>);
    let keys = cloud.create_account("A", A);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let endpoint = format!("http://{}", listener.local_addr().expect("address"));
    let app = router(Arc::clone(&cloud));
    #[expect(clippy::disallowed_methods, reason = "the server lives as long as the test's run time")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    let create = async || call(&endpoint, &keys, "vpc", "CreateVpc", QINGDAO, &BTreeMap::new()).await;
    let seen = || recorder.seen.lock().expect("lock").clone();

    create().await.expect("made");
    assert_eq!(seen(), [1]);
    cloud.hold();
    create().await.expect("made");
    create().await.expect("made");
    assert_eq!(seen(), [1], "nobody waits while held");
    assert_eq!(cloud.subscribe().borrow().vpcs.len(), 3, "the wish is known all the same");
    cloud.release().await.expect("applied");
    assert_eq!(seen(), [1, 3]);
    recorder.breaks.store(true, Ordering::SeqCst);
    let error = create().await.expect_err("the plane broke");
    assert_eq!(error.code(), Some("InternalError"));
    assert!(error.to_string().contains("the kernel said no"), "{error}");
}
