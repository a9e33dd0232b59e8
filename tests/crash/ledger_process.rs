//! The ledger's process as the killer of the broker sees it: a command in, an answer out.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a test with a ledger calls its topic.
pub const TOPIC: &str = "ledger";
/// Its partitions.
pub const PARTITIONS: i32 = 4;
/// Unanswered requests at the moment of a kill or cut, at least.
pub const UNANSWERED_MIN: u64 = 100;

/// The requests of a life that ended.
#[derive(Clone, Copy, Debug)]
pub struct Down {
    /// Records promised, in all lives.
    pub acknowledged: u64,
    /// Requests that had no answer when the broker went.
    pub unanswered: u64,
    /// Connections that ended with KAFKA_STORAGE_ERROR, in all lives.
    pub refused: u64,
}

/// See the head of the file.
pub struct Ledger {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Serves as the ledger if this process was started as one.
pub fn serve_if_asked() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_none_or(|word| word != "ledger") {
        return false;
    }
    let address = arguments[2].parse().unwrap();
    crate::ledger::serve(address, &arguments[3], arguments[4].parse().unwrap());
    true
}

impl Ledger {
    pub fn start(address: SocketAddr, topic: &str, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["ledger", &address.to_string(), topic, &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            commands: child.stdin.take().unwrap(),
            answers,
            child,
        }
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// The numbers of its next answer, which must begin with `word`; another one is what it found broken.
    fn answer(&mut self, word: &str) -> Result<Vec<u64>, String> {
        let line = self.answers.next().expect("the ledger lives").unwrap();
        match line.split_once(' ') {
            Some((first, numbers)) if first == word => {
                Ok(numbers.split(' ').map(|n| n.parse().unwrap()).collect())
            }
            _ if line == word => Ok(Vec::new()),
            _ => Err(line),
        }
    }

    fn expect(&mut self, word: &str) -> Vec<u64> {
        let answer = self.answer(word);
        answer.unwrap_or_else(|line| panic!("the ledger says: {line}"))
    }

    /// Reads back what was promised, then produces; returns when enough is unanswered, or says what is broken.
    pub fn try_connect(&mut self) -> Result<(), String> {
        self.tell("connect");
        self.answer("running").map(|_| ())
    }

    /// The same, where nothing may be broken.
    pub fn connect(&mut self) {
        let connected = self.try_connect();
        connected.unwrap_or_else(|line| panic!("the ledger says: {line}"));
    }

    /// After the end of the broker.
    pub fn down(&mut self) -> Down {
        let numbers = self.expect("down");
        Down {
            acknowledged: numbers[0],
            unanswered: numbers[1],
            refused: numbers[2],
        }
    }

    /// Settles what is unanswered and reads everything back: records promised, requests sent again.
    pub fn finish(&mut self) -> (u64, u64) {
        self.tell("finish");
        let numbers = self.expect("verified");
        println!("ledger: {} records verified", numbers[0]);
        (numbers[0], numbers[1])
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// How many segment files the topic has below a broker's log directory.
pub fn segments(data: &Path) -> usize {
    let partitions = (0..PARTITIONS).map(|index| data.join(format!("{TOPIC}-{index}")));
    let files = partitions.flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            Path::new(&name).extension().is_some_and(|ext| ext == "log")
        })
        .count()
}
