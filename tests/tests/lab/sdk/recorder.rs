//! A cloud that records every request byte for byte and answers in such a way that a client continues with the next
//! request.
//!
//! The answers come from `tests/sdk/answers.json`, one per action; a listing has a second page. They check nothing, and
//! an action without an answer gets an empty object: only the requests matter here.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
};
use serde_json::{Map, Value, json};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

/// A page token whose characters every encoding must preserve.
const NEXT_PAGE: &str = "a/b+c=d e*~二";

struct Recorder {
    answers: Map<String, Value>,
    requests: Mutex<Vec<Value>>,
}

/// A running recorder.
pub(super) struct Recording {
    recorder: Arc<Recorder>,
    listener: TcpListener,
    serving: tokio::task::JoinHandle<()>,
    /// Its URL.
    pub(super) endpoint: String,
}

impl Recording {
    pub(super) fn start(answers: Map<String, Value>) -> Self {
        let recorder = Arc::new(Recorder { answers, requests: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&recorder));
        let serving = tokio::task::spawn(async move { axum::serve(served, router).await.unwrap() });
        Self { recorder, listener, serving, endpoint }
    }

    /// Stops answering. Returns the recorded requests and the listening socket, whose next owner keeps the address.
    pub(super) async fn stop(self) -> (Vec<Value>, TcpListener) {
        self.serving.abort();
        let _ = self.serving.await;
        (std::mem::take(&mut self.recorder.requests.lock().unwrap()), self.listener)
    }
}

async fn answer(
    State(recorder): State<Arc<Recorder>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let query = uri.query().unwrap_or_default();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let parameter = |name: &str| {
        query.split('&').chain(body.split('&')).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let action = headers.get("x-acs-action").map(|value| value.to_str().unwrap());
    let action = action.or_else(|| parameter("Action")).unwrap().to_owned();
    let mut answer = recorder.answers.get(&action).cloned().unwrap_or_else(|| json!({}));
    answer["RequestId"] = json!("RECORDED");
    if parameter("NextToken").is_none() {
        answer["NextToken"] = json!(NEXT_PAGE);
    }
    let headers: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
    recorder.requests.lock().unwrap().push(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": query,
        "headers": headers,
        "body": body,
    }));
    Json(answer)
}
