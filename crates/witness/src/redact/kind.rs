//! What a finding is.

use std::fmt;
use std::sync::Arc;

macro_rules! kinds {
    ($($name:ident = $text:literal, $secret:literal, $doc:literal;)*) => {
        /// What a finding is.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $doc] $name,)*
            /// A pattern of the policy, by its name.
            Custom(Arc<str>),
        }

        impl Kind {
            /// Every built-in kind.
            pub const ALL: &[Kind] = &[$(Self::$name),*];

            /// Its stable `snake_case` name; that of a policy's own pattern is as the policy says.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Custom(name) => name,
                }
            }

            /// Whether it grants access to something, rather than being about a person.
            pub fn is_secret(&self) -> bool {
                match self {
                    $(Self::$name => $secret,)*
                    Self::Custom(_) => true,
                }
            }
        }
    };
}

kinds! {
    PrivateKey = "private_key", true, "A private key: PEM, OpenSSH, OpenPGP, PuTTY.";
    AwsKey = "aws_key", true, "An AWS access key id.";
    GcpKey = "gcp_key", true, "A Google API key or OAuth secret.";
    AzureKey = "azure_key", true, "An Azure storage key, shared access signature or client secret.";
    GithubToken = "github_token", true, "A GitHub token.";
    GitlabToken = "gitlab_token", true, "A GitLab token.";
    SlackToken = "slack_token", true, "A Slack token or webhook.";
    StripeKey = "stripe_key", true, "A Stripe key.";
    NpmToken = "npm_token", true, "An npm token.";
    PypiToken = "pypi_token", true, "A PyPI token.";
    CratesToken = "crates_token", true, "A crates.io token.";
    Jwt = "jwt", true, "A JSON web token.";
    UrlPassword = "url_password", true, "The password of a URL.";
    Authorization = "authorization", true, "The credentials of an Authorization header.";
    Password = "password", true, "A password beside a key that says so.";
    SecretValue = "secret_value", true, "A random value beside a key that speaks of a secret.";
    Email = "email", false, "An e-mail address.";
    Phone = "phone", false, "A telephone number.";
    Iban = "iban", false, "An IBAN.";
    PaymentCard = "payment_card", false, "A payment card's number.";
    UsSsn = "us_ssn", false, "A US social security number.";
    UkNino = "uk_nino", false, "A UK national insurance number.";
    NationalId = "national_id", false, "A national identity number with check digits.";
    PublicIp = "public_ip", false, "A public IPv4 or IPv6 address.";
    MacAddress = "mac_address", false, "A MAC address.";
    UserName = "user_name", false, "A user's name, in the path of a home directory.";
    HostName = "host_name", false, "A machine's name.";
    Location = "location", false, "Coordinates of a place.";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
