//! The programs that are measured.

use std::path::Path;
use std::process::Command;

/// A program and how often it is run.
pub struct Program {
    pub name: &'static str,
    pub command: Vec<String>,
    pub rounds: usize,
    /// Calls that one run makes, where one call is what is measured.
    pub calls: Option<u64>,
}

impl Program {
    pub fn of(name: &'static str, command: &[&str], rounds: usize) -> Self {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Self { name, command, rounds, calls: None }
    }
}

const PYTHON: &str = "\
import os, random, time, uuid
print(time.time(), random.random(), uuid.uuid4(), id(object()))
print(os.stat('/usr/bin/python3').st_ino, open('/etc/hostname').read() if os.path.exists('/etc/hostname') else '')
print(sorted(os.listdir('/usr/lib/python3.11'))[:3], os.listdir('/usr/lib/python3.11')[:3])
";
const PYTHON_THREADS: &str = "\
import queue, threading
jobs, done = queue.Queue(), queue.Queue()
def work():
    while (n := jobs.get()) is not None:
        done.put(sum(range(n)))
threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]
[jobs.put(n) for n in range(300)]
[jobs.put(None) for _ in threads]
[t.join() for t in threads]
print(sum(done.get() for _ in range(300)))
";
const NODE_HTTP: &str = "\
const http = require('http');
const server = http.createServer((request, response) => response.end('hello ' + request.url));
server.listen(0, '127.0.0.1', async () => {
    for (let i = 0; i < 20; i++) {
        await new Promise((done) => http.get({ port: server.address().port, path: '/' + i }, (response) => {
            response.on('data', () => {}); response.on('end', done);
        }));
    }
    server.close(); console.log('done'); process.exit(0);
});
";
const SQL: &str = "\
create table t (a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
  insert into t select i, hex(randomblob(16)) from n;
create index u on t (b);
select count(*), max(length(b)), sum(a) from t;
";
const JAVA: &str = "\
public class Threads {
    static long total;
    static synchronized void add(long value) { total += value; }
    public static void main(String[] arguments) throws Exception {
        Thread[] threads = new Thread[18];
        for (int i = 0; i < 18; i++) {
            final int n = i;
            threads[i] = new Thread(() -> { for (int k = 0; k < 1000; k++) add(n * k); });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        System.out.println(total);
    }
}
";
const CLOCK: &str = "\
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    struct timespec now;
    for (int i = 0; i < 20000; i++) syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return 0;
}
";
const CLOCK_LIBRARY: &str = "\
#include <time.h>
int main(void) {
    struct timespec now;
    for (int i = 0; i < 20000; i++) clock_gettime(CLOCK_MONOTONIC, &now);
    return 0;
}
";
const CLOCK_CALLS: u64 = 20_000;

/// All of them; what they need is made in `folder`.
pub fn all(folder: &Path) -> std::io::Result<Vec<Program>> {
    let file = |name: &str, text: &str| -> std::io::Result<String> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let compiled = |name: &str, text: &str| -> std::io::Result<String> {
        let source = file(&format!("{name}.c"), text)?;
        let program = folder.join(name).to_string_lossy().into_owned();
        Command::new("cc").args(["-O1", "-o", &program, &source]).status()?;
        Ok(program)
    };
    let clocks = [
        ("clock_gettime", compiled("clock", CLOCK)?),
        ("clock_gettime, C library", compiled("clock_library", CLOCK_LIBRARY)?),
    ];
    let java = file("Threads.java", JAVA)?;
    // Without a compiler the row is skipped by its own failure.
    let _ = Command::new("javac").arg("-d").arg(folder).arg(&java).status();
    let folder = folder.to_string_lossy().into_owned();
    let (node, java) = (real("node"), real("java"));
    let mut all = vec![
        Program::of("true", &["/bin/true"], 60),
        Program::of(
            "CPython: time, random, uuid, id, stat, open, order",
            &["/usr/bin/python3", "-c", PYTHON],
            15,
        ),
        Program::of("CPython, 6 threads", &["/usr/bin/python3", "-c", PYTHON_THREADS], 9),
        Program::of("Node: print", &[&node, "-e", "console.log('hello')"], 9),
        Program::of("Node: HTTP on loopback", &[&node, "-e", NODE_HTTP], 7),
        Program::of("JVM, 18 threads", &[&java, "-XX:+UseSerialGC", "-cp", &folder, "Threads"], 5),
        Program::of("sqlite3", &["/usr/bin/sqlite3", ":memory:", SQL], 15),
    ];
    for (name, program) in clocks {
        let mut clock = Program::of(name, &[&program], 15);
        clock.calls = Some(CLOCK_CALLS);
        all.push(clock);
    }
    Ok(all)
}

/// Where a runtime's own executable is, past links and version managers' shims.
fn real(name: &str) -> String {
    let usual = std::fs::canonicalize(format!("/usr/bin/{name}"));
    usual.map_or_else(|_| name.to_owned(), |path| path.to_string_lossy().into_owned())
}
