//! The server's thread, its routes, and its end.

use std::{
    future::IntoFuture,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, Uri},
    response::Response,
    routing::{get, post},
    serve::ListenerExt,
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
};

use crate::{
    api::Api, app::App, background::Poll, config::Config, deliver, error::ApiError, ledger::Ledger,
};

/// A server on 127.0.0.1, on a thread and a runtime of its own, so that it can be used with or without one. Dropping it
/// breaks all connections and frees the port.
#[derive(Debug)]
pub struct MockServer {
    app: Arc<App>,
    address: SocketAddr,
    /// Dropped to stop the thread; `None` only while that happens.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockServer {
    /// Starts a server; it accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the system gives no thread or socket.
    pub fn start(config: Config) -> io::Result<MockServer> {
        let port = config.port;
        let app = Arc::new(App::new(config));
        let router = router(app.clone());
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::channel();
        let thread = thread::Builder::new().name("mockapi".into()).spawn(move || {
            let sent = bound.clone();
            if let Err(error) = serve(port, router, &bound, stopped) {
                // Nobody listens when the server had started well; then there is nobody to tell.
                let _ = sent.send(Err(error));
            }
        })?;
        let address =
            address.recv().map_err(|_| io::Error::other("the mock server's thread ended"))??;
        Ok(MockServer { app, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where clients send requests: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was asked, and what came of it.
    pub fn ledger(&self) -> &Ledger {
        self.app.ledger()
    }

    /// Changes the settings for requests that arrive from now on; those marked as read once stay as they are.
    pub fn change(&self, change: impl FnOnce(&mut Config)) {
        self.app.change(change);
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; a second one here would hide the test's own failure.
            let _ = thread.join();
        }
    }
}

/// Serves until `stopped` ends, having said through `bound` where.
fn serve(
    port: u16,
    router: Router,
    bound: &mpsc::Sender<io::Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = listen(port)?;
        let _ = bound.send(listener.local_addr());
        let listener = listener.tap_io(|connection| {
            // Without it, small replies may wait for the acknowledgement of earlier ones.
            let _ = connection.set_nodelay(true);
        });
        tokio::select! {
            served = axum::serve(listener, router).into_future() => served,
            _ = stopped => Ok(()),
        }
    })
}

/// A backlog long enough for every client of a benchmark to connect at once.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(4096)
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/responses", post(responses))
        .route("/v1/responses/{id}", get(read_response).delete(delete_response))
        .route("/v1/responses/{id}/cancel", post(cancel_response))
        .route("/v1/messages", post(messages))
        .route("/v1/models", get(models))
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

async fn chat_completions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    app.answer(Api::Chat, &headers, &body).await
}

async fn responses(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    app.answer(Api::Responses, &headers, &body).await
}

async fn messages(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    app.answer(Api::Messages, &headers, &body).await
}

async fn read_response(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    app.poll(Poll::Read, &id, &headers).await
}

async fn cancel_response(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    app.poll(Poll::Cancel, &id, &headers).await
}

async fn delete_response(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    app.poll(Poll::Delete, &id, &headers).await
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let config = app.config();
    let known = ["mock/grader", "mock/p50", "mock/p80", "mock/p100"];
    let names = known.into_iter().chain(config.roles.keys().map(String::as_str));
    let model =
        |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "mockapi"});
    Json(json!({"object": "list", "data": names.map(model).collect::<Vec<_>>()}))
}

async fn unknown_path(uri: Uri) -> Response {
    let message = format!("Nothing is served at {}.", uri.path());
    let error = ApiError::new(404, "invalid_request_error", None, message);
    deliver::error(&error, error.openai())
}
