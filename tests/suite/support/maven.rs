//! Decides how what the tests need is fetched from Maven Central: once for each user, into the user's cache.
//!
//! Guarantees: two test runs at once fetch once, and a fetch that was cut short is begun anew. Needs `mvn` on the path.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder `name` of the cache, filled by Maven. `goal` gives Maven's arguments, told where its files belong; `what`
/// identifies what is fetched, so that another version is fetched anew.
pub fn fetched(name: &str, what: &str, goal: impl FnOnce(&Path) -> Vec<String>) -> PathBuf {
    let folder = cache_folder().join(name);
    let contents = folder.join("contents");
    fs::create_dir_all(&folder).unwrap();
    // Whoever comes second waits here, and then finds the marker. The lock goes with the file, also when a process dies.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let complete = folder.join("complete");
    if contents.is_dir() && fs::read_to_string(&complete).is_ok_and(|of| of == what) {
        return contents;
    }
    _ = fs::remove_dir_all(&contents);
    let mut command = Command::new("mvn");
    command.args(["-q", "-B"]).args(goal(&contents)).current_dir(&folder).stdin(Stdio::null());
    let output = needed(command.output(), "mvn");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{name} could not be fetched:\n{}", String::from_utf8_lossy(&said));
    fs::write(&complete, what).unwrap();
    contents
}

/// Starts a program that the tests need, or says how to get it.
pub fn needed<T>(result: std::io::Result<T>, program: &str) -> T {
    result.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            panic!("`{program}` is not on the path: the tests on a real Kafka need Java 17 and Maven")
        }
        _ => panic!("`{program}` could not be started: {error}"),
    })
}

fn cache_folder() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("ayumi")
}
