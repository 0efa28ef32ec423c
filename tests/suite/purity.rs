//! Law 1: the core is pure. It depends on nothing that reads a clock, does I/O, or knows a wire format.

use std::process::Command;

#[test]
fn law_1_the_core_depends_on_nothing_but_dates_and_hashes() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "pipeline", "-e", "normal", "--prefix", "none", "-f", "{p} {f}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("pipeline"), "{tree}");
    for forbidden in
        ["tokio", "rdkafka", "serde_json", "serde ", "arrow", "datafusion", "fjall", "apache-avro", "rand", "getrandom"]
    {
        assert!(!tree.lines().any(|line| line.starts_with(forbidden)), "pipeline depends on {forbidden}:\n{tree}");
    }
    let chrono = tree.lines().find(|line| line.starts_with("chrono ")).unwrap();
    for feature in ["clock", "now", "std"] {
        let features = chrono.rsplit(' ').next().unwrap();
        assert!(!features.split(',').any(|on| on == feature), "the core's chrono can tell the time: {chrono}");
    }
}

#[test]
fn law_1_the_core_names_no_clock_and_no_input_or_output() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipeline/src");
    let mut seen = 0;
    let mut folders = vec![std::path::PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for forbidden in ["std::time", "std::fs", "std::net", "std::env", "std::thread", "::now()", "println!"] {
                assert!(!source.contains(forbidden), "{} names {forbidden}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 10);
}
