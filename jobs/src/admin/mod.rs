//! Decides what an operator's tools can ask a running process: `/metrics` (Prometheus), `/livez` and `/readyz`.
//!
//! Guarantees: answers on a thread of its own, so that it answers while a worker is busy; nothing of a member is in any
//! answer. Does not guarantee who asks: listen on an address that only the operator's tools reach. On failure: a port
//! that can't be had ends the start, with the remedy; a connection that breaks is its own affair.

mod health;
pub mod metrics;
pub mod observe;
pub mod statistics;

use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use ::metrics::Unit;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::sync::oneshot;

pub use self::health::Health;
use self::metrics::{Kind, METRICS};

/// Why the admin port could not be opened.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address.
    #[error("can't listen on {listen} for metrics: {source}; give a free address as `admin.listen`")]
    Listen {
        /// The configured address.
        listen: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The metrics.
    #[error("the metrics can't be gathered: {0}")]
    Metrics(String),
}

/// A client that sends nothing for so long is hung up on.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often what was observed is gathered up; else it would lie about until somebody asks.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The admin port. Closed when dropped.
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Gathers metrics from now on, and serves them and the process's health.
    ///
    /// # Errors
    ///
    /// If the address can't be had.
    pub fn start(listen: &str, health: Health) -> Result<Admin, AdminError> {
        let metrics = recorder()?;
        let failed = |source| AdminError::Listen { listen: listen.to_owned(), source };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, &metrics, routes(&metrics, health)) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Admin { address, stop: Some(stop), thread: Some(thread.map_err(failed)?) })
    }

    /// Where it listens: the port is the system's choice if it was configured as 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// What gathers metrics, once for the process.
fn recorder() -> Result<PrometheusHandle, AdminError> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let install = || {
        let mut builder = PrometheusBuilder::new();
        for metric in &METRICS {
            if let Kind::Histogram(buckets) = metric.kind {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets).map_err(|error| error.to_string())?;
            }
        }
        let handle = builder.install_recorder().map_err(|error| error.to_string())?;
        for metric in &METRICS {
            match metric.kind {
                Kind::Counter => ::metrics::describe_counter!(metric.name, Unit::Count, metric.help),
                Kind::Gauge => ::metrics::describe_gauge!(metric.name, Unit::Count, metric.help),
                Kind::Histogram(_) => ::metrics::describe_histogram!(metric.name, Unit::Seconds, metric.help),
            }
        }
        Ok(handle)
    };
    RECORDER.get_or_init(install).clone().map_err(AdminError::Metrics)
}

/// What can be asked.
fn routes(metrics: &PrometheusHandle, health: Health) -> Router {
    let metrics = metrics.clone();
    let ready = move || async move {
        match health.not_ready() {
            None => text(StatusCode::OK, "ready\n".to_owned()),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    };
    Router::new()
        .route("/metrics", get(move || async move { text(StatusCode::OK, metrics.render()) }))
        .route("/livez", get(|| async { text(StatusCode::OK, "alive\n".to_owned()) }))
        .route("/readyz", get(ready))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "there is /metrics, /livez and /readyz\n".to_owned()) })
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

/// Answers whoever asks, a few at a time on one thread.
async fn serve(listener: TcpListener, metrics: &PrometheusHandle, routes: Router) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut upkeep = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = upkeep.tick() => metrics.run_upkeep(),
            accepted = listener.accept() => {
                // One that could not be accepted may try again.
                let Ok((stream, _)) = accepted else { continue };
                let service = TowerToHyperService::new(routes.clone());
                tokio::spawn(async move {
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                    _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }
    }
}
