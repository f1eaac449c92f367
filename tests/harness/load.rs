//! Load: clients that ask again as soon as they are answered, each counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
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
    failed: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
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
        let load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            failed: Arc::default(),
            clients: Vec::new(),
        };
        let request = Arc::new(request);
        let client = || {
            let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.answered));
            let (failed, request) = (Arc::clone(&load.failed), Arc::clone(&request));
            std::thread::spawn(move || work(&*request, &stop, &answered, &failed))
        };
        let clients = (0..clients).map(|_| client()).collect();
        Self { clients, ..load }
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
    ///
    /// # Panics
    ///
    /// If they are not, with what went wrong instead.
    #[track_caller]
    pub fn until_answered(&self, more: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        eventually("requests are answered, or a client gives up", || {
            self.answered.load(Ordering::Relaxed) >= goal || self.failed().len() >= FAILURES_MAX
        });
        let failed = self.failed();
        assert!(failed.len() < FAILURES_MAX, "clients give up: {:?} …", &failed[..4]);
    }

    /// Lets every client finish its request, and counts.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        Outcome { ok: self.answered.load(Ordering::Relaxed), failed }
    }

    fn failed(&self) -> MutexGuard<'_, Vec<String>> {
        self.failed.lock().unwrap()
    }
}

fn work(
    request: &impl Fn() -> Result<(), String>,
    stop: &AtomicBool,
    answered: &AtomicU64,
    failed: &Mutex<Vec<String>>,
) {
    let mut failures = 0;
    while !stop.load(Ordering::Relaxed) && failures < FAILURES_MAX {
        match request() {
            Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
            Err(why) => {
                failures += 1;
                failed.lock().unwrap().push(why);
            }
        }
    }
}
