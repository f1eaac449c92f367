//! Load: clients that ask again as soon as they are answered, each counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::ScgiClient;
use crate::eventually::eventually;

/// Failures after which a client gives up: the test has failed, and memory is finite.
const FAILURES_MAX: usize = 1000;

/// Clients at work; they go on until they are stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Outcome>>,
}

/// What came of all requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Requests answered as they should be.
    pub ok: u64,
    /// What went wrong, once for each request that failed.
    pub failed: Vec<String>,
}

impl Load {
    /// Starts `clients` threads, each of which does `request` over and over.
    pub fn start<F>(clients: usize, request: F) -> Self
    where
        F: Fn() -> Result<(), String> + Send + Sync + 'static,
    {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let request = Arc::new(request);
        let client = || {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let request = Arc::clone(&request);
            std::thread::spawn(move || work(&*request, &stop, &answered))
        };
        let clients = (0..clients).map(|_| client()).collect();
        Self { stop, answered, clients }
    }

    /// Starts `clients` that ask for `/hello` and take nothing but the whole right answer.
    pub fn hello(client: ScgiClient, clients: usize) -> Self {
        Self::start(clients, move || match client.get("/hello") {
            Ok(answer) if answer.status == 200 && answer.text() == "hello\n" => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Waits until `more` further requests were answered as they should be.
    pub fn until_answered(&self, more: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        eventually("requests are answered", || self.answered.load(Ordering::Relaxed) >= goal);
    }

    /// Lets every client finish its request, and counts.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Outcome::default();
        for client in self.clients {
            let Outcome { ok, failed } = client.join().unwrap();
            sum.ok += ok;
            sum.failed.extend(failed);
        }
        sum
    }
}

fn work(
    request: &impl Fn() -> Result<(), String>,
    stop: &AtomicBool,
    answered: &AtomicU64,
) -> Outcome {
    let mut outcome = Outcome::default();
    while !stop.load(Ordering::Relaxed) && outcome.failed.len() < FAILURES_MAX {
        match request() {
            Ok(()) => {
                outcome.ok += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(why) => outcome.failed.push(why),
        }
    }
    outcome
}
