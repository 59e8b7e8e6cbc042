//! The programs: what real software does that a runner must be able to repeat.

use std::path::Path;
use std::process::Command;

/// One program.
pub struct Program {
    pub name: &'static str,
    runtime: Runtime,
    source: &'static str,
}

/// What a source is and how it is run.
enum Runtime {
    Python,
    Node,
    Bash,
    C,
    Java,
    Go,
}

/// Where programs write: a folder that is not there before.
const WORK: &str = "/tmp/real-programs-work";

impl Runtime {
    fn preamble(&self) -> &'static str {
        match self {
            Self::Python => "import os;os.makedirs('/tmp/real-programs-work',exist_ok=True)\n",
            Self::Node => "require('fs').mkdirSync('/tmp/real-programs-work',{recursive:true});",
            Self::Bash => "mkdir -p /tmp/real-programs-work\n",
            Self::C | Self::Java | Self::Go => "",
        }
    }
}

impl Program {
    /// Writes and compiles what is needed into `folder`; the command, or none where its tool is missing.
    pub fn prepare(&self, folder: &Path) -> Option<Vec<String>> {
        let path = |name: &str| folder.join(name).to_str().map(str::to_owned);
        let source = format!("{}{}", self.runtime.preamble(), self.source.replace("/tmp", WORK));
        let write = |name: &str| std::fs::write(folder.join(name), &source).ok();
        match self.runtime {
            Runtime::Python => {
                write("program.py")?;
                let ask = "import os,sys; print(os.path.realpath(sys.executable))";
                Some(vec![says("python3", &["-c", ask])?, path("program.py")?])
            }
            Runtime::Node => {
                write("program.js")?;
                Some(vec![says("node", &["-p", "process.execPath"])?, path("program.js")?])
            }
            Runtime::Bash => {
                write("program.sh")?;
                Some(vec!["/bin/bash".to_owned(), path("program.sh")?])
            }
            Runtime::C => {
                write("program.c")?;
                let flags = ["-D_GNU_SOURCE", "-O1", "-w", "-pthread", "-o"];
                says(
                    "cc",
                    &[&flags[..], &[&path("program")?, &path("program.c")?, "-lrt", "-lutil"]].concat(),
                )?;
                Some(vec![path("program")?])
            }
            Runtime::Java => {
                write("Program.java")?;
                says("javac", &["-d", folder.to_str()?, &path("Program.java")?])?;
                let java = Path::new("/usr/bin/java").canonicalize().ok()?;
                Some(vec![java.to_str()?.to_owned(), "-cp".to_owned(), path("")?, "Program".to_owned()])
            }
            Runtime::Go => {
                write("program.go")?;
                says("go", &["build", "-o", &path("program")?, &path("program.go")?])?;
                Some(vec![path("program")?])
            }
        }
    }
}

/// What a command prints, if it succeeds.
fn says(name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(name).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

const fn program(name: &'static str, runtime: Runtime, source: &'static str) -> Program {
    Program { name, runtime, source }
}

pub const PROGRAMS: &[Program] = &[
    program(
        "python-values",
        Runtime::Python,
        "import random,uuid,time,os,tempfile\nprint(random.random(),uuid.uuid4(),time.time(),id([]),hash('x'),open('/tmp/a','w').name,os.listdir('/tmp'),tempfile.mkdtemp())",
    ),
    program(
        "python-asyncio-tcp",
        Runtime::Python,
        "import asyncio\nasync def serve(r,w):\n  d=await r.readline(); w.write(b'hello '+d); await w.drain(); w.close()\nasync def main():\n  s=await asyncio.start_server(serve,'127.0.0.1',0); p=s.sockets[0].getsockname(); print(p)\n  for i in range(5):\n    r,w=await asyncio.open_connection(*p); print(w.get_extra_info('sockname')); w.write(b'%d\\n'%i); print(await r.read()); w.close()\n  await asyncio.sleep(0.5); s.close()\nasyncio.run(main())",
    ),
    program(
        "python-threads",
        Runtime::Python,
        "import threading,queue,time\nq=queue.Queue()\ndef f(i):\n for k in range(30): q.put((i,k)); time.sleep(0.001*i)\nts=[threading.Thread(target=f,args=(i,)) for i in range(6)]\n[t.start() for t in ts];[t.join(timeout=10) for t in ts]\nprint(list(q.queue))",
    ),
    program(
        "python-thread-spin",
        Runtime::Python,
        "import threading\ndone=[]\ndef f(i):\n n=0\n for k in range(400000): n+=k\n done.append(i)\nts=[threading.Thread(target=f,args=(i,)) for i in range(3)]\n[t.start() for t in ts];[t.join() for t in ts]\nprint(done)",
    ),
    program(
        "python-multi-fork",
        Runtime::Python,
        "import multiprocessing as m\ndef f(x): return x*x\nif __name__=='__main__':\n m.set_start_method('fork')\n with m.Pool(2) as p: print(p.map(f,range(20)))\n q=m.Queue(); a=m.Process(target=q.put,args=([1,2],)); a.start(); print(q.get()); a.join()",
    ),
    program(
        "python-multi-spawn",
        Runtime::Python,
        "import multiprocessing as m\ndef f(q): q.put('from child')\nif __name__=='__main__':\n m.set_start_method('spawn')\n q=m.Queue(); a=m.Process(target=f,args=(q,)); a.start(); print(q.get()); a.join()",
    ),
    program(
        "python-subprocess",
        Runtime::Python,
        "import subprocess as s\na=s.Popen(['sort'],stdin=s.PIPE,stdout=s.PIPE); b=s.Popen(['head','-3'],stdin=a.stdout,stdout=s.PIPE)\na.stdin.write(b''.join(b'%d\\n'%(i*7919%1000) for i in range(1000))); a.stdin.close(); a.stdout.close()\nprint(b.communicate(),a.wait()); print(s.run('echo $((1+2)); exit 3',shell=True,capture_output=True))\ntry: s.run(['sleep','100'],timeout=2)\nexcept s.TimeoutExpired as e: print('timeout')",
    ),
    program(
        "python-signals",
        Runtime::Python,
        "import signal,time,os\nn=0\ndef on(s,f):\n global n; n+=1\nsignal.signal(signal.SIGALRM,on); signal.signal(signal.SIGUSR1,on); signal.alarm(1); signal.pause(); signal.setitimer(signal.ITIMER_REAL,.1,.1)\nwhile n<5: time.sleep(1)\nsignal.setitimer(signal.ITIMER_REAL,0); os.kill(os.getpid(),signal.SIGUSR1); print(n); signal.pthread_sigmask(signal.SIG_BLOCK,[signal.SIGUSR1]); os.kill(os.getpid(),signal.SIGUSR1); print(signal.sigwait([signal.SIGUSR1]))",
    ),
    program(
        "python-cpu-timer",
        Runtime::Python,
        "import signal\nn=0\ndef on(s,f):\n global n; n+=1\nsignal.signal(signal.SIGPROF,on); signal.setitimer(signal.ITIMER_PROF,.01,.01)\nprint('set')",
    ),
    program(
        "python-selectors",
        Runtime::Python,
        "import selectors,socket,os\ns=selectors.DefaultSelector(); a,b=socket.socketpair(); c,d=socket.socketpair(socket.AF_UNIX,socket.SOCK_DGRAM); r,w=os.pipe()\nfor x in (a,c,r): s.register(x,selectors.EVENT_READ)\nprint(s.select(0.5)); b.send(b'1'); d.send(b'2'); os.write(w,b'3'); print(sorted(k.fd for k,_ in s.select())); print(a.recv(9),c.recv(9),os.read(r,9))",
    ),
    program(
        "python-udp",
        Runtime::Python,
        "import socket\na=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); a.bind(('127.0.0.1',0)); b=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); b.bind(('::1',0)); print(a.getsockname(),b.getsockname()); a.sendto(b'x',a.getsockname()); print(a.recvfrom(10)); b.sendto(b'y',b.getsockname()); print(b.recvfrom(10)); a.settimeout(1)\ntry: a.recv(5)\nexcept TimeoutError: print('timeout')",
    ),
    program(
        "python-refused",
        Runtime::Python,
        "import socket\nfor t in (('127.0.0.1',9),('10.1.2.3',80),('8.8.8.8',53)):\n try: socket.create_connection(t,3)\n except OSError as e: print(t,e)\ntry: print(socket.getaddrinfo('localhost',80,type=socket.SOCK_STREAM))\nexcept OSError as e: print(e)\ntry: socket.getaddrinfo('example.com',80)\nexcept OSError as e: print(e)",
    ),
    program(
        "python-http",
        Runtime::Python,
        "import threading,http.server,urllib.request\nclass H(http.server.BaseHTTPRequestHandler):\n def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b'body '+s.path.encode())\n def log_message(s,*a): print('log',s.client_address,a)\ns=http.server.ThreadingHTTPServer(('127.0.0.1',0),H); t=threading.Thread(target=s.serve_forever); t.start()\nfor i in range(3): print(urllib.request.urlopen('http://127.0.0.1:%d/%d'%(s.server_port,i)).read())\ns.shutdown(); t.join()",
    ),
    program(
        "python-unix-sockets",
        Runtime::Python,
        "import socket,threading,os\ns=socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen()\ndef f():\n c,_=s.accept(); c.sendall(c.recv(100).upper()); c.close()\nt=threading.Thread(target=f); t.start(); c=socket.socket(socket.AF_UNIX); c.connect('/tmp/s'); c.sendall(b'hello'); print(c.recv(100)); t.join()\na,b=socket.socketpair(socket.AF_UNIX,socket.SOCK_SEQPACKET); a.send(b'one'); a.send(b'two'); print(b.recv(9),b.recv(9)); a,b=socket.socketpair(); r,w=os.pipe(); socket.send_fds(a,[b'f'],[w]); m,f,_,_=socket.recv_fds(b,10,2); os.write(f[0],b'through'); print(os.read(r,20)); s=socket.socket(socket.AF_UNIX); s.bind(b'\\0abstract'); s.listen(); c=socket.socket(socket.AF_UNIX); c.connect(b'\\0abstract'); print('abstract')",
    ),
    program(
        "python-sqlite",
        Runtime::Python,
        "import sqlite3\nc=sqlite3.connect('/tmp/db'); c.execute('pragma journal_mode=wal'); c.execute('create table t(a,b)'); c.executemany('insert into t values(?,?)',[(i,str(i)) for i in range(1000)]); c.commit(); print(c.execute('select sum(a),count(*),random() is not null from t').fetchone())",
    ),
    program(
        "python-ssl-hash",
        Runtime::Python,
        "import ssl,hashlib,secrets; print(ssl.OPENSSL_VERSION,hashlib.sha256(b'x').hexdigest(),secrets.token_hex(8)); ssl.create_default_context()",
    ),
    program(
        "python-pty",
        Runtime::Python,
        "import os,pty\nm,s=os.openpty(); print(os.ttyname(s),os.isatty(s)); os.write(m,b'line\\n'); print(os.read(s,20)); os.write(s,b'out\\n'); print(os.read(m,40))\npid,fd=pty.fork()\nif pid==0:\n print('child tty',os.isatty(0),os.get_terminal_size()); os._exit(3)\nd=b''\nwhile 1:\n try: x=os.read(fd,100)\n except OSError: break\n if not x: break\n d+=x\nprint(d,os.waitpid(pid,0)[1]); pty.spawn(['/bin/echo','spawned'],lambda f:os.read(f,100))",
    ),
    program(
        "python-fifo",
        Runtime::Python,
        "import os,threading\nos.mkfifo('/tmp/f')\ndef w():\n with open('/tmp/f','w') as f: f.write('through the fifo')\nt=threading.Thread(target=w); t.start(); print(open('/tmp/f').read()); t.join()\nif os.fork()==0:\n open('/tmp/f','w').write('again'); os._exit(0)\nprint(open('/tmp/f').read()); os.wait(); fd=os.open('/tmp/f',os.O_RDONLY|os.O_NONBLOCK); print(os.read(fd,5))\ntry: os.open('/tmp/f2',os.O_WRONLY|os.O_NONBLOCK)\nexcept OSError as e: print(e)",
    ),
    program(
        "python-files",
        Runtime::Python,
        "import os,shutil,glob,mmap,fcntl\nos.makedirs('/tmp/a/b'); open('/tmp/a/x','w').write('x'*100000); shutil.copytree('/tmp/a','/tmp/c'); shutil.copyfile('/tmp/a/x','/tmp/y'); os.makedirs('/tmp/cc',exist_ok=True); print(sorted(glob.glob('/tmp/**',recursive=True))); f=open('/tmp/y','r+b'); m=mmap.mmap(f.fileno(),0); m[0:3]=b'abc'; m.flush(); fcntl.flock(f,fcntl.LOCK_EX); fcntl.lockf(f,fcntl.LOCK_EX); print(open('/tmp/y').read(4),os.statvfs('/tmp').f_bsize,os.stat('/tmp/y').st_size); shutil.move('/tmp/y','/tmp/z'); shutil.rmtree('/tmp/c'); print(os.scandir('/tmp/a'),os.path.getmtime('/tmp/z')); os.sendfile(os.open('/tmp/o',os.O_CREAT|os.O_WRONLY),os.open('/tmp/z',0),0,50000); print(os.path.getsize('/tmp/o')); os.copy_file_range(os.open('/tmp/z',0),os.open('/tmp/p',os.O_CREAT|os.O_WRONLY),1000)",
    ),
    program(
        "python-proc",
        Runtime::Python,
        "import os,resource,platform,sys,time\nfor p in ['status','stat','statm','limits','cgroup','mountinfo','mounts','io','smaps','oom_score_adj','sched','environ','fd','fdinfo/0','task','cmdline','comm','exe']:\n try: print(p, len(os.listdir('/proc/self/'+p)) if p in('fd','task') else open('/proc/self/'+p).read()[:60])\n except Exception as e: print(p,e)\nfor p in ['/proc/meminfo','/proc/cpuinfo','/proc/stat','/proc/loadavg','/proc/self/task/self/status','/sys/fs/cgroup/memory.max','/proc/sys/net/core/somaxconn','/proc/sys/kernel/random/uuid','/proc/sys/kernel/random/boot_id','/proc/sys/vm/max_map_count']:\n try: print(p,open(p).read(50))\n except Exception as e: print(p,e)\nprint(resource.getrusage(0),resource.getrlimit(resource.RLIMIT_NOFILE),platform.uname(),os.cpu_count(),os.getlogin if 0 else '',time.get_clock_info('monotonic'),time.thread_time(),os.times(),os.getloadavg())",
    ),
    program(
        "python-jobs",
        Runtime::Python,
        "import os,signal,time\np=os.fork()\nif p==0:\n os.setpgid(0,0)\n while 1: time.sleep(1)\ntry: os.setpgid(p,p)\nexcept OSError: pass\nos.kill(p,signal.SIGSTOP); print(os.WIFSTOPPED(os.waitpid(p,os.WUNTRACED)[1])); os.kill(p,signal.SIGCONT); print(os.WIFCONTINUED(os.waitpid(p,os.WCONTINUED)[1])); os.killpg(p,signal.SIGTERM); print(os.waitpid(-p,0)[1]); q=os.fork()\nif q==0: os.setsid(); print('sid',os.getsid(0)==os.getpid(),flush=True); time.sleep(5); os._exit(4)\nprint(os.waitid(os.P_PID,q,os.WEXITED))",
    ),
    program("node-print", Runtime::Node, "console.log(Math.random(),Date.now(),process.pid)"),
    program(
        "node-http",
        Runtime::Node,
        "const h=require('http');const s=h.createServer((q,r)=>r.end('hello '+q.url));s.listen(0,'127.0.0.1',()=>{let n=0;const go=()=>h.get({port:s.address().port,host:'127.0.0.1',path:'/'+n},r=>{let d='';r.on('data',c=>d+=c);r.on('end',()=>{console.log(d);if(++n<5)go();else s.close()})});go()})",
    ),
    program(
        "node-http-localhost",
        Runtime::Node,
        "const h=require('http');const s=h.createServer((q,r)=>r.end('hello'));s.listen(0,()=>{console.log(s.address());h.get('http://localhost:'+s.address().port,r=>{r.on('data',c=>console.log(''+c));r.on('end',()=>s.close())})})",
    ),
    program(
        "node-workers",
        Runtime::Node,
        "const {Worker,isMainThread,parentPort,workerData}=require('worker_threads');if(isMainThread){for(let i=0;i<3;i++){const w=new Worker(__filename,{workerData:i});w.on('message',m=>console.log(m));w.on('exit',c=>console.log('exit',c))}}else{let n=0;for(let i=0;i<1e6;i++)n+=i*workerData;parentPort.postMessage([workerData,n])}",
    ),
    program(
        "node-atomics",
        Runtime::Node,
        "const {Worker,isMainThread,workerData}=require('worker_threads');if(isMainThread){const b=new SharedArrayBuffer(8),a=new Int32Array(b);const w=new Worker(__filename,{workerData:b});w.on('online',()=>{});Atomics.wait(a,0,0,2000);console.log(a[0]);}else{const a=new Int32Array(workerData);Atomics.store(a,0,42);Atomics.notify(a,0)}",
    ),
    program(
        "node-child",
        Runtime::Node,
        "const c=require('child_process');console.log(''+c.execSync('echo sync; ls / | wc -l >/dev/null'));const p=c.spawn('cat');p.stdout.on('data',d=>console.log('got '+d));p.on('close',c=>console.log('close',c));p.stdin.end('input');c.exec('exit 7',(e)=>console.log('code',e.code));const f=c.fork(__filename.replace('program.js','program.js'),['x'],{execArgv:['-e','process.send({a:1});process.disconnect()']});f.on('message',m=>console.log(m))",
    ),
    program(
        "node-timers",
        Runtime::Node,
        "let n=0;const t=setInterval(()=>{console.log('tick',++n,Date.now());if(n==5)clearInterval(t)},100);setTimeout(()=>console.log('timeout',performance.now()>250),250);setImmediate(()=>console.log('immediate'));process.nextTick(()=>console.log('next'))",
    ),
    program(
        "node-async",
        Runtime::Node,
        "const f=require('fs').promises,z=require('zlib'),y=require('crypto');(async()=>{await f.writeFile('/tmp/n','data');console.log(''+await f.readFile('/tmp/n'),(await f.stat('/tmp/n')).size,await f.readdir('/tmp'));z.gzip('x'.repeat(100000),(e,b)=>{console.log(b.length);z.gunzip(b,(e,d)=>console.log(d.length))});console.log(y.randomBytes(8).toString('hex'),y.randomUUID());y.pbkdf2('a','b',1000,20,'sha1',(e,k)=>console.log(k.toString('hex')));y.scrypt('a','b',16,(e,k)=>console.log(k.toString('hex')));require('dns').lookup('localhost',(e,a)=>console.log(e&&e.code,a));try{require('fs').watch('/tmp').close()}catch(e){console.log(e.code)}})()",
    ),
    program(
        "java-hello",
        Runtime::Java,
        "public class Program{public static void main(String[] a){System.out.println(\"hello \"+System.nanoTime()+\" \"+new Object().hashCode()+\" \"+Math.random());}}",
    ),
    program(
        "java-18-threads",
        Runtime::Java,
        "import java.util.concurrent.*;import java.util.concurrent.atomic.*;public class Program{public static void main(String[] a)throws Exception{var p=Executors.newFixedThreadPool(18);var s=new AtomicLong();var l=new CountDownLatch(180);for(int i=0;i<180;i++){final int n=i;p.submit(()->{long x=0;for(int k=0;k<20000;k++)x+=k*n;s.addAndGet(x);try{Thread.sleep(n%5);}catch(Exception e){}l.countDown();});}l.await();p.shutdown();p.awaitTermination(5,TimeUnit.SECONDS);System.out.println(s);}}",
    ),
    program(
        "java-http",
        Runtime::Java,
        "import java.net.*;import java.io.*;public class Program{public static void main(String[] a)throws Exception{var s=new ServerSocket(0,5,InetAddress.getLoopbackAddress());var t=new Thread(()->{try{var c=s.accept();c.getOutputStream().write(\"hello\\n\".getBytes());c.close();}catch(Exception e){e.printStackTrace();}});t.start();var c=new Socket(InetAddress.getLoopbackAddress(),s.getLocalPort());System.out.println(new BufferedReader(new InputStreamReader(c.getInputStream())).readLine());t.join();}}",
    ),
    program(
        "java-gc",
        Runtime::Java,
        "import java.util.*;public class Program{public static void main(String[] a){long n=0;for(int i=0;i<200;i++){var l=new ArrayList<byte[]>();for(int k=0;k<100;k++)l.add(new byte[10000]);n+=l.size();}System.gc();System.out.println(n);}}",
    ),
    program(
        "javac",
        Runtime::Bash,
        "cd /tmp; echo 'public class A{public static void main(String[] a){System.out.println(\"compiled\");}}' > A.java; javac -d /tmp A.java && java -cp /tmp A; java -version",
    ),
    program(
        "go-hello",
        Runtime::Go,
        "package main\nimport (\"fmt\";\"os\";\"time\")\nfunc main(){fmt.Println(\"hello\",os.Getpid(),time.Now().Unix());m:=map[int]int{};for i:=0;i<20;i++{m[i]=i};for k:=range m{fmt.Print(k,\" \")};fmt.Println()}",
    ),
    program(
        "go-http",
        Runtime::Go,
        "package main\nimport (\"fmt\";\"io\";\"net\";\"net/http\";\"sync\")\nfunc main(){l,e:=net.Listen(\"tcp\",\"127.0.0.1:0\");if e!=nil{panic(e)};go http.Serve(l,http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){fmt.Fprint(w,\"hi \",r.URL.Path)}));var g sync.WaitGroup;for i:=0;i<8;i++{g.Add(1);go func(i int){defer g.Done();r,e:=http.Get(fmt.Sprintf(\"http://%s/%d\",l.Addr(),i));if e!=nil{panic(e)};b,_:=io.ReadAll(r.Body);fmt.Println(string(b))}(i)};g.Wait()}",
    ),
    program(
        "go-spin",
        Runtime::Go,
        "package main\nimport (\"fmt\";\"runtime\";\"sync\";\"time\")\nfunc main(){runtime.GOMAXPROCS(4);var g sync.WaitGroup;var s [4]int;for i:=0;i<4;i++{g.Add(1);go func(i int){defer g.Done();for k:=0;k<20000000;k++{s[i]+=k}}(i)};g.Wait();fmt.Println(s);t:=time.NewTicker(time.Millisecond);for i:=0;i<5;i++{<-t.C};runtime.GC();fmt.Println(\"done\")}",
    ),
    program(
        "bash-pipes",
        Runtime::Bash,
        "seq 1 2000 | sort -rn | awk '{s+=$1} END {print s}' ; for i in 1 2 3; do echo $i & done; wait; echo $RANDOM $SECONDS $$ $(date +%s); cat <(echo sub) ; coproc cat; echo hi >&${COPROC[1]}; read -u ${COPROC[0]} x; echo $x; kill $COPROC_PID; trap 'echo trapped' USR1; kill -USR1 $$; ls -la / >/dev/null; find /tmp | sort; tr a-z A-Z <<< word; timeout 2 sleep 100; echo $?; sleep 1 & wait $!; yes | head -2; mkfifo /tmp/q; echo x > /tmp/q & cat /tmp/q; xargs -P2 -n1 echo <<< 'a b c'; grep -c . /proc/meminfo; stty -a </dev/null",
    ),
    program(
        "bash-jobs",
        Runtime::Bash,
        "set -m; sleep 3 & sleep 5 & jobs; kill %1; wait %2; echo waited; (sleep 1; echo sub) & fg; kill -STOP $$ & sleep 1; kill -CONT $$; echo end",
    ),
    program(
        "perl",
        Runtime::Bash,
        "perl -e 'use Time::HiRes qw(time); use IO::Socket::INET; printf \"%s %s\\n\", rand(), time; $SIG{ALRM}=sub{print \"alarm\\n\"}; alarm 1; sleep 5; my $p=open(my $f,\"-|\",\"echo piped\"); print <$f>; my $s=IO::Socket::INET->new(Listen=>1,LocalAddr=>\"127.0.0.1\") or die $!; if(!fork){my $c=IO::Socket::INET->new(PeerAddr=>\"127.0.0.1\",PeerPort=>$s->sockport); print $c \"x\\n\"; exit} my $c=$s->accept; print <$c>; wait; print keys %{{a=>1,b=>2,c=>3}}, \"\\n\"'",
    ),
    program(
        "gcc",
        Runtime::Bash,
        "cd /tmp; echo 'int main(){return 42;}' > a.c; gcc -pipe -O2 a.c -o a && ./a; echo $?; ls",
    ),
    program(
        "sqlite3",
        Runtime::Bash,
        "sqlite3 /tmp/x.db 'create table t(a); insert into t values (1),(random()); select count(*), datetime(\"now\") from t;'",
    ),
    program(
        "redis",
        Runtime::Bash,
        "cd /tmp; redis-server --port 6399 --save '' --daemonize no > log 2>&1 & for i in 1 2 3 4 5 6 7 8 9; do redis-cli -p 6399 ping 2>/dev/null && break; sleep 0.1; done; redis-cli -p 6399 set a 1; redis-cli -p 6399 incr a; redis-cli -p 6399 eval 'return redis.call(\"time\")' 0; redis-cli -p 6399 shutdown nosave; wait; echo $?",
    ),
    program(
        "nginx",
        Runtime::Bash,
        "mkdir -p /tmp/n/logs; cd /tmp/n; echo page > index.html; printf 'daemon on; pid /tmp/n/pid; error_log /tmp/n/e; events { worker_connections 64; } http { access_log /tmp/n/a; client_body_temp_path /tmp/n/1; proxy_temp_path /tmp/n/2; fastcgi_temp_path /tmp/n/3; uwsgi_temp_path /tmp/n/4; scgi_temp_path /tmp/n/5; server { listen 127.0.0.1:8099; root /tmp/n; } }' > c; nginx -c /tmp/n/c -p /tmp/n; sleep 1; exec 3<>/dev/tcp/127.0.0.1/8099; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3; nginx -c /tmp/n/c -p /tmp/n -s stop; sleep 1; cat a; cat e",
    ),
    program("c-timers", Runtime::C, include_str!("timers.c")),
    program("c-pi-mutex", Runtime::C, include_str!("pi.c")),
    program("c-signalfd", Runtime::C, include_str!("signalfd.c")),
    program(
        "c-spin",
        Runtime::C,
        "#include <pthread.h>\n#include <stdio.h>\nstatic volatile int go; static void *f(void *a){ go = 1; return 0; }\nint main(){ pthread_t t; pthread_create(&t, 0, f, 0); while (!go); pthread_join(t, 0); puts(\"seen\"); return 0; }",
    ),
];
