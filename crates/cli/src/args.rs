//! The command line.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Release control with evidence that can be re-run.
#[derive(Debug, Parser)]
#[command(name = "assay", version = env!("ASSAY_VERSION"), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Folder of the embedded store [default: ~/.local/share/assay]
    #[arg(long, global = true, env = "ASSAY_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Database of the store, postgres://... [default: SQLite in the data folder]
    #[arg(long, global = true, env = "ASSAY_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// Blob store, s3://bucket/prefix or file:///folder [default: a folder in the data folder]
    #[arg(long, global = true, env = "ASSAY_BLOBS", value_name = "URL", hide_env_values = true)]
    pub blobs: Option<String>,
    /// Talk to this server instead of the embedded store
    #[arg(long, global = true, env = "ASSAY_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Token for --server
    #[arg(long, global = true, env = "ASSAY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Tenant of the embedded store
    #[arg(long, global = true, env = "ASSAY_TENANT", value_name = "NAME", default_value = "default")]
    pub tenant: String,
    /// Signing key file [default: keys/signing.key in the data folder; ASSAY_SIGNING_KEY holds a key itself]
    #[arg(long, global = true, env = "ASSAY_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true, env = "ASSAY_JSON", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0, default_missing_value = "true")]
    pub json: bool,
    /// Print data only
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print no colours (NO_COLOR is honoured too)
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Global {
    /// Whether talk on stderr may have colours.
    pub fn colour(&self) -> bool {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        !self.no_color && wanted && std::io::stderr().is_terminal()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and the console
    Serve(Serve),
    /// Record, check and replay micro-witnesses
    #[command(subcommand)]
    Witness(Witness),
    /// Define and look at incidents
    #[command(subcommand)]
    Incident(Incident),
    /// Read, normalise, fingerprint and match stack traces
    #[command(subcommand)]
    Stack(Stack),
    /// Index binaries, compare them, prove what did not change
    #[command(subcommand)]
    Delta(Delta),
    /// Name sets of artifacts
    #[command(subcommand)]
    Release(Release),
    /// Verify a release against every known incident, and decide
    Verify(Verify),
    /// Explain and re-evaluate decisions
    #[command(subcommand)]
    Gate(Gate),
    /// Look at and verify the transparency log
    #[command(subcommand)]
    Log(Log),
    /// Hand over the evidence of a release, and verify it offline
    #[command(subcommand)]
    Evidence(Evidence),
    /// Make and revoke API tokens
    #[command(subcommand)]
    Token(Token),
    /// Show and set what the tenant may use
    #[command(subcommand)]
    Quota(Quota),
    /// Make and show signing keys
    #[command(subcommand)]
    Key(Key),
    /// Check what this machine can do
    Doctor,
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 chooses one and prints it
    #[arg(long, default_value = "127.0.0.1:7878", env = "ASSAY_LISTEN", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Witness {
    /// Run a command once and keep it as a closed capsule
    Record(Box<Record>),
    /// Replay a witness several times and admit it if all replays agree
    Check {
        /// The witness's id, or its incident's for the newest
        witness: String,
        /// Replays; a third, at least three, load everything elsewhere
        #[arg(short = 'n', long = "replays", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        replays: u32,
    },
    /// Replay a witness, on another build if one is given
    Replay {
        /// The witness's id, or its incident's for the newest
        witness: String,
        /// Put this build in the place of the role: a file, or for a tree a directory or an archive
        #[arg(long, value_name = "ROLE=PATH")]
        subject: Vec<String>,
    },
    /// Say why two replays differ: the class of the reason, the first different event, both stacks
    Diff(WitnessDiff),
    /// Drop files, environment and input while the incident still happens
    Minimize(Minimize),
    /// Ask stored verdicts again under this runner and list those that would change
    Requalify {
        /// Of this incident only
        #[arg(long, value_name = "ID")]
        incident: Option<String>,
        /// Take the changes over; otherwise nothing is altered
        #[arg(long)]
        accept: bool,
    },
    /// Look for secrets and personal data in witnesses, bundles, archives and logs
    Scan(Scan),
    /// Stop a replay at its fault or at an event, and serve gdb over its remote protocol
    Debug(WitnessDebug),
    /// Show a witness and its capsule
    Show {
        /// The witness's id, or its incident's for the newest
        witness: String,
    },
    /// Write a witness's capsule as one OCI layout archive, or as a bundle for crun or runc
    Export {
        /// The witness's id, or its incident's for the newest
        witness: String,
        /// The archive to write
        #[arg(short, long, value_name = "FILE", required_unless_present = "oci_bundle")]
        output: Option<PathBuf>,
        /// A folder to make: an OCI runtime bundle. Isolation only: time, randomness and threads are real
        #[arg(long, value_name = "DIR", conflicts_with = "output")]
        oci_bundle: Option<PathBuf>,
    },
    /// Push a witness to an OCI registry (ASSAY_REGISTRY_USER and ASSAY_REGISTRY_PASSWORD log in)
    Push {
        /// The witness's id, or its incident's for the newest
        witness: String,
        /// Where to: oci://HOST[:PORT]/REPOSITORY[:TAG]
        #[arg(value_name = "REFERENCE")]
        reference: String,
        /// Speak HTTP without TLS
        #[arg(long)]
        plain_http: bool,
    },
    /// Pull a witness of an incident from an OCI registry
    Pull {
        /// Where from: oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]
        #[arg(value_name = "REFERENCE")]
        reference: String,
        /// The incident it shows, defined already
        #[arg(long, value_name = "ID")]
        incident: String,
        /// Speak HTTP without TLS
        #[arg(long)]
        plain_http: bool,
    },
    /// Take in a capsule archive as a witness of an incident
    Import {
        /// The archive
        file: PathBuf,
        /// The incident it shows, defined already
        #[arg(long, value_name = "ID")]
        incident: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WitnessDebug {
    /// The witness's id, or its incident's for the newest
    pub witness: String,
    /// Stop after this event of the trace [default: at the first fault; without one, at event 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub event: Option<u64>,
    /// Put this build in the place of the role
    #[arg(long, value_name = "ROLE=PATH")]
    pub subject: Vec<String>,
    /// Where gdb connects; a loopback address, port 0 chooses one and prints it
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct WitnessDiff {
    /// The witness's id, or its incident's for the newest
    pub a: String,
    /// Another witness [default: the same one, with other subjects]
    pub b: Option<String>,
    /// Put this build into the second replay
    #[arg(long, value_name = "ROLE=PATH")]
    pub subject: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Minimize {
    /// The witness's id, or its incident's for the newest
    pub witness: String,
    /// At most this many replays
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub budget: u32,
    /// At most this many seconds
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Drop arguments of the command too
    #[arg(long)]
    pub arguments: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Witnesses (an id, or an incident's for its newest) or files
    #[arg(required = true, value_name = "WITNESS|FILE")]
    pub targets: Vec<String>,
    /// What is sought [default: every built-in kind]
    #[arg(long, value_name = "FILE", env = "ASSAY_REDACTION_POLICY")]
    pub policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// The incident that the command shows
    #[arg(
        long,
        value_name = "ID",
        required = false,
        required_unless_present = "attach_core",
        default_value_if("attach_core", clap::builder::ArgPredicate::IsPresent, "")
    )]
    pub incident: String,
    /// Open a draft from a core file, or from the text that a tool printed, and say what is missing
    #[arg(long, value_name = "FILE")]
    pub attach_core: Option<PathBuf>,
    /// The artifact under test, a file or a whole directory [default: the command itself, its file
    /// name being the role]
    #[arg(long, value_name = "[ROLE=]PATH")]
    pub subject: Vec<String>,
    /// What the run shows, key=value; proposed from the run if not given and the incident is new
    #[arg(long, value_name = "SPEC")]
    pub expect: Vec<String>,
    /// What a fixed build shows, key=value
    #[arg(long, value_name = "SPEC")]
    pub expect_fixed: Vec<String>,
    /// DSSE envelope with an in-toto statement about one of the subjects, such as its SLSA provenance; the
    /// capsule points to it and holds it
    #[arg(long, value_name = "FILE", conflicts_with = "attach_core")]
    pub provenance: Vec<PathBuf>,
    /// File for the standard input; `-` takes this program's own
    #[arg(long, value_name = "FILE")]
    pub stdin: Option<PathBuf>,
    /// Variable of the environment, which is otherwise empty but for PATH, LANG and HOME
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Package whose code fails, for a new incident
    #[arg(long, value_name = "NAME", default_value = "")]
    pub package: String,
    /// The failure is undefined behaviour (such a witness is never carried over), for a new incident
    #[arg(long)]
    pub undefined_behaviour: bool,
    /// Then replay it this often, and admit it if all replays agree
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub check: Option<u32>,
    /// File or whole directory to keep besides what the run touches, for other builds that ask for it
    #[arg(long, value_name = "PATH")]
    pub include: Vec<PathBuf>,
    /// Run up to N times, each with another schedule of the threads, seed, clock or heap, and keep the first
    /// run that shows what is expected; the capsule then replays exactly that
    #[arg(long, value_name = "N", conflicts_with = "attach_core", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub search: Option<u32>,
    /// Directory inside and outside that the command runs in
    #[arg(long, default_value = "/", value_name = "DIR")]
    pub working_directory: PathBuf,
    /// Replace secrets and personal data by pseudonyms before anything is stored, by this policy [default:
    /// the built-in one]; kept only if the incident still happens
    #[arg(long, value_name = "POLICY", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub redact: Option<String>,
    /// Scan by this policy; its `on_finding` says whether recording warns, refuses or redacts
    #[arg(long, value_name = "FILE", env = "ASSAY_REDACTION_POLICY")]
    pub redaction_policy: Option<PathBuf>,
    /// Only run and say what was seen; keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The command
    #[arg(last = true, required_unless_present = "attach_core", value_name = "CMD")]
    pub command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// List incidents
    List,
    /// Show an incident with its witnesses and verdicts
    Show {
        /// Its id or an alias
        id: String,
    },
    /// Write an incident with its witnesses and statements as one file
    Bundle {
        /// Its id or an alias
        id: String,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Check a bundle, replay its witnesses here, and take them in
    Import {
        /// The bundle
        file: PathBuf,
        /// Trust only this key (`ed25519:...`, or a file that holds it)
        #[arg(long, value_name = "KEY")]
        trust: Option<String>,
    },
    /// Verify a bundle, offline
    Verify {
        /// The bundle
        file: PathBuf,
        /// Trust only this key (`ed25519:...`, or a file that holds it)
        #[arg(long, value_name = "KEY")]
        trust: Option<String>,
    },
    /// Define incidents from incident.toml files
    Define {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Stack {
    /// Read a trace as a tool printed it
    Parse(TraceFile),
    /// Read a trace and strip what tools and compilers add
    Normalize(TraceFile),
    /// Fingerprint a trace
    Fingerprint(TraceFile),
    /// Find the incidents that a trace looks like
    Match {
        #[command(flatten)]
        file: TraceFile,
        /// How many to show
        #[arg(long, default_value_t = 5)]
        limit: usize,
    },
    /// Show the captured stacks of an incident
    Explain {
        /// Its id or an alias
        incident: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TraceFile {
    /// The file; `-` for standard input
    pub file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Delta {
    /// Index binaries; what was indexed once is compared in milliseconds
    Index {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Store them and enter them into the catalogue too, so that `find` and the console know them
        #[arg(long)]
        catalogue: bool,
    },
    /// Say which artifacts of the catalogue contain a function
    Find {
        /// The hash of what it means (sha256:...), or with --in its name or its address such as 0x1f00
        function: String,
        /// The file that has the function
        #[arg(long = "in", value_name = "FILE")]
        file: Option<PathBuf>,
        /// At most so many places
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// Go on after the `next` of the page before
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
    /// Say what really changed between two binaries
    Diff {
        /// The earlier file
        a: PathBuf,
        /// The later file
        b: PathBuf,
        /// Show this function side by side: its name, or its address in A such as 0x1f00
        #[arg(long, value_name = "NAME|ADDRESS")]
        function: Option<String>,
    },
    /// Make the signature of a patch from a build that has the incident and one that has the fix
    Sign {
        /// The build that has the incident
        vulnerable: PathBuf,
        /// The build that has the fix
        fixed: PathBuf,
        /// The incident
        #[arg(long, value_name = "ID")]
        incident: String,
        /// Only these functions, by their names in the file [default: every changed function]
        #[arg(long, value_name = "NAME")]
        function: Vec<String>,
        /// Where to write the signature
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Say whether binaries have a patch
    Presence {
        /// The signature: a file, or an incident whose signature the store has
        signature: PathBuf,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Prove that every function of A is unchanged in B
    Prove {
        /// The earlier file
        a: PathBuf,
        /// The later file
        b: PathBuf,
        /// Where to write the proof
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Check a proof from the two files alone
    Check {
        /// The proof
        proof: PathBuf,
        /// The earlier file
        a: PathBuf,
        /// The later file
        b: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Create a release
    Create {
        /// Its name
        name: String,
        /// An artifact, a file or a directory; the role is its name unless given
        #[arg(long, required = true, value_name = "[ROLE=]PATH", num_args = 1..)]
        artifact: Vec<String>,
    },
    /// List releases
    List,
    /// Show a release and its decisions
    Show {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The release
    pub release: String,
    /// Try runs of this release's artifacts first for carry-over
    #[arg(long, value_name = "RELEASE")]
    pub baseline: Option<String>,
    /// The policy file [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// How many witnesses run at one time [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub jobs: Option<u32>,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write a SARIF log
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Gate {
    /// Print each rule of a decision with the evidence it used
    Explain {
        /// The decision's id or statement, or a release's name for its newest
        decision: String,
    },
    /// Evaluate a decision again from what it keeps
    Replay {
        /// The decision's id or statement, or a release's name for its newest
        decision: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Verify signatures, inclusion and consistency of the whole log
    Verify,
    /// Print the proof that a statement is included
    Prove {
        /// The statement's digest
        digest: String,
    },
    /// Print the log's head
    Head,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Write the evidence of a release's newest decision
    Export {
        /// The release
        release: String,
        /// The file to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Verify exported evidence, offline
    Verify {
        /// The file
        file: PathBuf,
        /// Trust only this key (`ed25519:...`, or a file that holds it)
        #[arg(long, value_name = "KEY")]
        trust: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once (the tenant is that of --tenant)
    New {
        /// What it may do
        #[arg(long, value_name = "read|write")]
        scope: String,
        /// What it is for
        #[arg(long, default_value = "")]
        name: String,
        /// How long it lives
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// List tokens
    List,
    /// End a token
    Revoke {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a signing key (Ed25519, mode 0600)
    New {
        /// The file to write [default: the key that signing uses]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show the public half of the signing key
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quota {
    /// Show what the tenant may use and uses
    Show,
    /// Set all quotas anew; what is not named is not limited
    Set {
        /// Bytes of one capsule
        #[arg(long, value_name = "N")]
        capsule_bytes: Option<u64>,
        /// Bytes of all witnesses
        #[arg(long, value_name = "N")]
        witness_bytes: Option<u64>,
        /// Replays that begin in one hour
        #[arg(long, value_name = "N")]
        replays_per_hour: Option<u64>,
        /// Replays at one time
        #[arg(long, value_name = "N")]
        concurrent_replays: Option<u64>,
    },
}
