//! The labelled items: values in contexts, and texts without any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::random::{ALPHANUMERIC, HEX, LOWER, Random};
use super::values;

/// A text and what stands in it: kind and bytes.
pub struct Item {
    pub text: String,
    pub label: Option<(&'static str, std::ops::Range<usize>)>,
}

/// Which half: other contexts, another seed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Tuning,
    HeldOut,
}

/// Where a value of any kind may stand.
const TUNING: &[&str] = &[
    "{}",
    "value is {} here",
    "2024-03-01T10:22:33Z INFO worker[311]: got {} from upstream",
    "{\"id\": 7, \"field\": \"{}\", \"ok\": true}",
    "  note: {}\n  next: 1\n",
    "at handler ({}) line 12",
    "<td>{}</td>",
    "a,b,{},c",
];
const HELD_OUT: &[&str] = &[
    "ERROR: cannot process '{}' (code 17)",
    "field = {} ; end",
    "[{}]",
    "The customer wrote: \"{}\".",
    "x|{}|y",
    "data: {}\r\n\r\n",
    "{\"payload\":{\"v\":\"{}\"}}",
    "> {}\n> thanks",
    "insert into t values ('{}', 3)",
];

const PASSWORD_TUNING: &[&str] = &[
    "password={}\n",
    "DB_PASSWORD={}\n",
    "{\"password\": \"{}\"}",
    "password: {}\n",
    "mysql --password {} -u root",
    "Server=db;User Id=sa;Password={};Encrypt=yes",
    "passwd = '{}'",
    "export PGPASSWORD='{}'",
    "<password>{}</password>",
];
const PASSWORD_HELD_OUT: &[&str] = &[
    "SMTP_PASS={}\n",
    "  passphrase: \"{}\"\n",
    "{\"user\":\"x\",\"pwd\":\"{}\"}",
    "--db-password={}",
    "client_secret={}&grant_type=code",
    "spring.datasource.password={}\n",
    "userPassword => '{}',",
    "jdbc:sqlserver://db;user=a;password={};",
    "$config['db_password'] = '{}';",
];
const SECRET_TUNING: &[&str] = &[
    "api_key={}\n",
    "{\"access_token\": \"{}\"}",
    "AUTH_TOKEN: {}\n",
    "X-Api-Key: {}\r\n",
    "aws_secret_access_key = {}\n",
];
const SECRET_HELD_OUT: &[&str] = &[
    "SECRET_KEY_BASE={}\n",
    "apiKey: '{}',",
    "//registry.npmjs.org/:_authToken={}\n",
    "refresh_token={}&x=1",
    "--token {}",
    "\"signing-key\": \"{}\"",
];

fn place(template: &str, kind: &'static str, value: &str) -> Item {
    let start = template.find("{}").unwrap();
    Item { text: template.replacen("{}", value, 1), label: Some((kind, start..start + value.len())) }
}

/// Items of both signs, in equal shares for every kind.
pub fn items(half: Half, rounds: usize) -> Vec<Item> {
    let mut random = Random(if half == Half::Tuning { 20_260_101 } else { 77_003_311 });
    let mut all = Vec::new();
    for round in 0..rounds {
        positives(half, round, &mut random, &mut all);
    }
    for _ in 0..rounds * 20 {
        all.push(Item { text: negative(half, &mut random), label: None });
    }
    all
}

/// A kind's name and what makes a value of it.
type Maker = (&'static str, fn(&mut Random) -> String);

fn positives(half: Half, round: usize, random: &mut Random, all: &mut Vec<Item>) {
    let tuning = half == Half::Tuning;
    let contexts = if tuning { TUNING } else { HELD_OUT };
    for which in 0..9 {
        let (kind, value) = values::token(random, which);
        all.push(place(random.word(contexts), kind, &value));
    }
    let plain: [Maker; 9] = [
        ("payment_card", values::card),
        ("iban", values::iban),
        ("email", values::email),
        ("us_ssn", values::ssn),
        ("uk_nino", values::nino),
        ("public_ip", values::public_ip),
        ("mac_address", values::mac),
        ("location", values::location),
        ("jwt", values::jwt),
    ];
    for (kind, make) in plain {
        let value = make(random);
        all.push(place(random.word(contexts), kind, &value));
    }
    let (words, number) = values::national(random);
    all.push(place(
        &random.word(contexts).replacen("{}", &format!("{words}{{}}"), 1),
        "national_id",
        &number,
    ));
    all.push(phone(tuning, contexts, random));
    let host = values::host(random);
    let hosts: &[&str] = if tuning {
        &["connected to {} port 5432", "{\"hostname\": \"{}\"}", "panic on {}: oom"]
    } else {
        &["Mar 12 04:05:06 {} sshd[812]: session opened", "HOSTNAME={}\n", "tcp://{}:9000/x"]
    };
    all.push(place(random.word(hosts), "host_name", &host));
    let homes: &[&str] = if tuning {
        &["File \"/home/{}/src/app.py\", line 3", "C:\\Users\\{}\\Desktop\\a.txt", "HOME=/home/{}\n"]
    } else {
        &[
            "at /Users/{}/src/x.rs:12:3",
            "\"path\":\"C:\\\\Users\\\\{}\\\\AppData\"",
            "open('/home/{}/.ssh/config')",
            "file:///home/{}/a",
        ]
    };
    let user = values::user(random);
    all.push(place(random.word(homes), "user_name", &user));
    let password = values::password(random);
    all.push(place(
        random.word(if tuning { PASSWORD_TUNING } else { PASSWORD_HELD_OUT }),
        "password",
        &password,
    ));
    let secret = values::secret(random);
    all.push(place(
        random.word(if tuning { SECRET_TUNING } else { SECRET_HELD_OUT }),
        "secret_value",
        &secret,
    ));
    all.push(structured(tuning, round, random));
    let (begin, body, end) = values::private_key(random);
    all.push(place(
        &format!("{}{begin}{{}}{end}\n", if tuning { "key:\n" } else { "deploy key follows\n" }),
        "private_key",
        &body,
    ));
}

/// National forms need a word beside them; international ones do not.
fn phone(tuning: bool, contexts: &[&'static str], random: &mut Random) -> Item {
    let value = values::phone(random);
    let keyed =
        if tuning { ["phone: {}\n", "Tel. {}"] } else { ["\"mobile\": \"{}\"", "call me at {} tomorrow"] };
    let template = if value.starts_with('+') || value.starts_with('(') {
        random.word(contexts)
    } else {
        random.word(&keyed)
    };
    place(template, "phone", &value)
}

fn structured(tuning: bool, round: usize, random: &mut Random) -> Item {
    let name = random.string(LOWER, 6);
    match round % 3 {
        0 => {
            let password = random.string(ALPHANUMERIC, 14);
            let scheme = if tuning { "postgres" } else { "amqps" };
            place(&format!("url {scheme}://{name}:{{}}@db.bigbank.com:5432/app"), "url_password", &password)
        }
        1 => {
            let basic = STANDARD.encode(format!("{name}:{}", random.string(ALPHANUMERIC, 10)));
            let header =
                if tuning { "Authorization: Basic {}\r\n" } else { "curl -H 'authorization: Basic {}' x" };
            place(header, "authorization", &basic)
        }
        _ => {
            let key = STANDARD.encode(random.bytes(64));
            let text = if tuning {
                "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=core"
            } else {
                "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={}"
            };
            place(text, "azure_key", &key)
        }
    }
}

/// Texts that look like something and are nothing.
fn negative(half: Half, random: &mut Random) -> String {
    let value = lookalike(random);
    let contexts = if half == Half::Tuning { TUNING } else { HELD_OUT };
    if random.below(3) == 0 {
        return ordinary(half, random);
    }
    random.word(contexts).replacen("{}", &value, 1)
}

fn uuid(random: &mut Random) -> String {
    format!(
        "{}-{}-4{}-a{}-{}",
        random.string(HEX, 8),
        random.string(HEX, 4),
        random.string(HEX, 3),
        random.string(HEX, 3),
        random.string(HEX, 12)
    )
}

fn lookalike(random: &mut Random) -> String {
    match random.below(17) {
        0 => random.string(HEX, 40),
        1 => uuid(random),
        2 => format!("sha256:{}", random.string(HEX, 64)),
        3 => format!("{}.{}.{}", random.below(30), random.below(99), random.below(999)),
        4 => format!(
            "20{:02}-{:02}-{:02}T{:02}:{:02}:{:02}.{}Z",
            random.below(30),
            random.between(1, 12),
            random.between(1, 28),
            random.below(24),
            random.below(60),
            random.below(60),
            random.digits(6)
        ),
        5 => format!("data:image/png;base64,iVBORw0KGgo{}", STANDARD.encode(random.bytes(120))),
        6 => random.string(ALPHANUMERIC, 22),
        7 | 8 => values::broken(random),
        9 => format!(
            "{}.{}.{}.{}",
            random.word(&["10", "127", "192.168.1"]),
            random.below(255),
            random.below(255),
            random.below(255)
        ),
        10 => format!("0x{}", random.string(HEX, 16)),
        11 => random.between(1_600_000_000_000, 1_800_000_000_000).to_string(),
        12 => {
            format!("v{}.{}.{}.{}", random.below(20), random.below(99), random.below(99), random.below(999))
        }
        13 => format!("user{}@example.com", random.below(99)),
        14 => format!(
            "{}@{}.{}.{}",
            random.string(LOWER, 6),
            random.below(9),
            random.below(20),
            random.below(9)
        ),
        15 => format!("{:.6}", random.below(1_000_000) as f64 / 997.0),
        _ => format!("std::{}::{}", random.string("abcdef", 4), random.string(HEX, 4)),
    }
}

fn ordinary(half: Half, random: &mut Random) -> String {
    let tuning: &[&str] = &[
        "password: must have at least 8 characters",
        "Enter password: ",
        "password=${DB_PASSWORD}",
        "token: unexpected end of input",
        "max_tokens=4096",
        "GET /index.html HTTP/1.1 200 5120 \"-\" \"curl/8.1\"",
        "test result: ok. 1284 passed; 0 failed; 12 ignored",
        "commit 4f2a1b9c merge branch 'main'",
        "git@github.com:stella-ops/assay.git",
        "listening on 0.0.0.0:8080",
        "File \"/usr/lib/python3.11/json/decoder.py\", line 337",
        "/home/runner/build/repo",
        "AKIAIOSFODNN7EXAMPLE",
        "ff:ff:ff:ff:ff:ff",
        "2001:db8::1",
        "192.0.2.44",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "icon@2x.png",
        "elapsed 12:34:56:789",
        "std::vector<int>::push_back",
        "secret=<redacted>",
        "OID 1.3.6.1.4.1.311.21.20",
        "load average: 0.52, 0.58, 0.59",
        "Chrome/120.0.6099.109 Safari/537.36",
    ];
    let held_out: &[&str] = &[
        "passwords do not match, try again",
        "pwd: command not found",
        "api_key = os.environ['API_KEY']",
        "token_type=bearer",
        "password_file=/run/secrets/db",
        "Compiling serde v1.0.229",
        "error[E0308]: mismatched types",
        "thread 'main' panicked at src/main.rs:4:5",
        "Content-Length: 4111",
        "hg@bitbucket.org",
        "bind 127.0.0.1:5432",
        "segfault at 7f3c2a1b ip 000055d0c8a1 sp 00007ffd error 4",
        "/home/ubuntu/app",
        "noreply@github.com",
        "00:00:00:00:00:00",
        "fe80::1%eth0",
        "198.51.100.7",
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
        "systemd-journald@abc.service",
        "a::b::c",
        "password: \"{{ vault_db }}\"",
        "version 12.4.18.2 released",
        "range 100-200-3000",
        "tokenizer.json loaded in 12 ms",
        "keyboard layout: us",
        "lat 12 ms, lon 3",
        "pass: 120, fail: 3",
    ];
    (random.word(if half == Half::Tuning { tuning } else { held_out })).to_owned()
}
