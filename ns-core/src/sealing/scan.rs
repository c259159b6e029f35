//! Secrets where none belong: in free text.

/// Whether the text holds what looks like a key, a token or a password (SEC-15). Notes that do are refused: a note is read by
/// everybody who sees the cluster, and is kept as it was typed.
///
/// It counts: a Ceph key; a private key in PEM; a password, secret, token or key with a value behind `=` or `:`, as an
/// option of a command or in a URL, in English or Korean; and 32 or more characters of a key's alphabet that mix cases and
/// digits as only chance does. It does not count: UUIDs and fsids, digests in hex, addresses, paths and names, public ssh keys
/// and their fingerprints, and sentences about passwords, `password: see the vault`.
///
/// It is a look and no proof: a short password in a sentence goes unseen.
///
/// ```
/// use ns_core::sealing::looks_like_a_secret;
/// assert!(looks_like_a_secret("log in with password=horse-17"));
/// assert!(!looks_like_a_secret("fsid 2b7c91e4-5a0d-4f63-9e18-d7043cba65f2, the password is in the vault"));
/// ```
#[must_use]
pub fn looks_like_a_secret(text: &str) -> bool {
    holds_private_key(text) || text.lines().any(gives_a_secret_away) || holds_token(text)
}

/// `-----BEGIN … PRIVATE KEY…-----`, also where line ends were lost.
fn holds_private_key(text: &str) -> bool {
    const BEGIN: &str = "-----BEGIN ";
    text.match_indices(BEGIN)
        .filter_map(|(at, _)| text[at + BEGIN.len()..].split("-----").next())
        .any(|label| label.contains("PRIVATE KEY"))
}

/// What ends the name of a secret, in lower case and without what separates words.
const SECRET_NAMES: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "secretkey",
    "accesskey",
    "apikey",
    "authkey",
    "clientkey",
    "encryptionkey",
    "privatekey",
    "token",
    "credential",
    "비밀번호",
    "패스워드",
    "비번",
    "암호",
    "비밀키",
];

/// Names that are the end of too many other words (`bypass`).
const SECRET_WORDS: [&str; 3] = ["pass", "pwd", "pw"];

/// How many bytes before a sign are looked at for a name, and behind it for a value, what stands between included. A line of
/// nothing but signs must not be read once for each of them.
const LOOK: usize = 120;

/// With one of these a sentence goes on, or it says that there is nothing.
const PROSE: [&str; 40] = [
    "a", "all", "an", "as", "ask", "at", "by", "changed", "expired", "expires", "false", "for", "from", "held", "in",
    "is", "kept", "known", "lives", "managed", "n/a", "no", "none", "not", "null", "of", "on", "only", "optional",
    "required", "rotated", "same", "see", "stored", "the", "to", "true", "unknown", "with", "yes",
];

/// One line in which something with the name of a secret is given a value.
fn gives_a_secret_away(line: &str) -> bool {
    let assigned = line
        .char_indices()
        .filter(|(_, sign)| matches!(sign, '=' | ':' | '\u{ff1d}' | '\u{ff1a}'))
        .any(|(at, sign)| is_secret_name(&line[..at]) && is_value(&line[at + sign.len_utf8()..]));
    let mut words = line.split_whitespace().peekable();
    let option = std::iter::from_fn(|| words.next().map(|word| (word, words.peek().copied())))
        .any(|(word, next)| word.starts_with("--") && is_secret_name(word) && next.is_some_and(is_value));
    assigned || option || has_password_in_url(line)
}

/// Whether the text ends with the name of a secret: `OS_PASSWORD`, `"client-secret"`, `API key`, `Password (admin)`.
fn is_secret_name(text: &str) -> bool {
    let quotes = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '*' | ']');
    let mut text = text[text.floor_char_boundary(text.len().saturating_sub(LOOK))..].trim_end_matches(quotes);
    if text.ends_with(')') {
        text = text.rsplit_once('(').map_or("", |(before, _)| before);
    }
    let text = text
        .trim_end_matches(quotes)
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .to_lowercase();
    let joint = |c: char| matches!(c, ' ' | '\t' | '_' | '-' | '.');
    let last = text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let name: String = text
        .rsplit(|c: char| !c.is_alphanumeric() && !joint(c))
        .next()
        .unwrap_or_default()
        .split(joint)
        .collect();
    let singular = name.strip_suffix('s').unwrap_or(&name);
    SECRET_WORDS.contains(&last)
        || SECRET_NAMES
            .iter()
            .any(|secret| name.ends_with(secret) || singular.ends_with(secret))
}

/// Whether the text begins with a value, rather than with a sentence, a placeholder or nothing.
fn is_value(text: &str) -> bool {
    // `token::new`, `secret://path`.
    if text.starts_with(':') || text.starts_with("//") {
        return false;
    }
    let quote = |c: char| matches!(c, '"' | '\'' | '`');
    // The end of what was set in bold: `**Password:** …`.
    let text = text.strip_prefix("** ").unwrap_or(text);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || quote(c) || matches!(c, '=' | '>'));
    let text = &text[..text.floor_char_boundary(LOOK)];
    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches(|c: char| quote(c) || matches!(c, ',' | ';' | '.'));
    let masked = word
        .chars()
        .all(|c| matches!(c, '*' | '•' | '.' | '…' | '-' | '_' | '?' | 'x' | 'X'));
    let bracketed = [('<', '>'), ('[', ']'), ('(', ')')]
        .iter()
        .any(|(open, close)| text.starts_with(*open) && text.contains(*close));
    let variable = ["${", "$(", "{{"].iter().any(|begin| text.starts_with(begin));
    let prose = PROSE.contains(&word.to_lowercase().as_str());
    !masked && !bracketed && !variable && !prose
}

/// `amqp://user:password@host`.
fn has_password_in_url(line: &str) -> bool {
    line.match_indices("://").any(|(at, sign)| {
        let rest = &line[at + sign.len()..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .unwrap_or(rest.len());
        rest[..end]
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .is_some_and(|(_, password)| is_value(password))
    })
}

/// How long a run of a key's alphabet is at least that counts by itself.
const TOKEN: usize = 32;

/// Every run of base64 characters (of either alphabet) is looked at by itself.
fn holds_token(text: &str) -> bool {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-');
    let mut from = 0;
    while let Some(start) = text[from..].find(in_token).map(|at| from + at) {
        let end = text[start..].find(|c| !in_token(c)).map_or(text.len(), |at| start + at);
        let (before, run, after) = (&text[..start], &text[start..end], &text[end..]);
        if is_ceph_key(run, after) || run.len() >= TOKEN && !is_public(before, run) && is_random(run) {
            return true;
        }
        from = end;
    }
    false
}

/// Base64 of 28 bytes that begin with a 1: type, time, length and the 16 bytes of the key.
fn is_ceph_key(run: &str, after: &str) -> bool {
    let key = run.len().checked_sub(38).and_then(|at| run.get(at..));
    key.is_some_and(|key| key.starts_with("AQ") && !key.contains(['_', '-']))
        && after.starts_with("==")
        && !after.starts_with("===")
}

/// The public half of an ssh key (`ssh-ed25519 AAAA…`), or the fingerprint of one (`SHA256:…`).
fn is_public(before: &str, run: &str) -> bool {
    let kind = before.split_whitespace().next_back().unwrap_or_default();
    let key = run.starts_with("AAAA") && ["ssh-", "ecdsa-", "sk-"].iter().any(|begin| kind.starts_with(begin));
    key || before.ends_with("SHA256:")
}

/// Whether only chance, or a cipher, writes like this: letters of both cases and digits that take turns all the time. Words
/// stay lower case for most of their length, and so do names that are put together from words. What is hex of one case is
/// left out of it: ids and digests.
fn is_random(run: &str) -> bool {
    // Base64 of `{"`: JSON web tokens, and the tokens that pair two Ceph clusters. Their text is JSON, which is not random.
    if run.starts_with("eyJ") {
        return true;
    }
    let has = |class: fn(&u8) -> bool| run.bytes().any(|byte| class(&byte));
    if !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)) {
        return false;
    }
    // Short parts tell nothing: `Vm02` changes as often as a key.
    let parts = run
        .split(['+', '/', '_', '-'])
        .filter(|part| part.len() >= 8 && !is_hex_of_one_case(part));
    let (mut length, mut pairs, mut changes) = (0, 0, 0);
    for part in parts {
        length += part.len();
        pairs += part.len() - 1;
        changes += part
            .as_bytes()
            .windows(2)
            .filter(|two| class(two[0]) != class(two[1]))
            .count();
    }
    // Chance makes it about 65 of 100, a name in camel case 20 to 40.
    length >= TOKEN / 2 && changes * 100 >= pairs * 40
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}

fn is_hex_of_one_case(part: &str) -> bool {
    let of = |letters: std::ops::RangeInclusive<u8>| part.bytes().all(|b| b.is_ascii_digit() || letters.contains(&b));
    of(b'a'..=b'f') || of(b'A'..=b'F')
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    /// Bytes that look random and are the same in each run. Every key of these tests is made of them.
    fn noise(seed: u32) -> [u8; 32] {
        Sha256::digest(seed.to_be_bytes()).into()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn ceph_key(seed: u32) -> String {
        let noise = noise(seed);
        let mut key = vec![1, 0];
        key.extend_from_slice(&noise[..8]);
        key.extend_from_slice(&[16, 0]);
        key.extend_from_slice(&noise[8..24]);
        STANDARD.encode(key)
    }

    fn uuid(seed: u32) -> String {
        let bytes: [u8; 16] = noise(seed)[..16].try_into().unwrap();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn seen(text: &str) {
        assert!(looks_like_a_secret(text), "not seen: {text}");
    }

    fn let_pass(text: &str) {
        assert!(!looks_like_a_secret(text), "taken for a secret: {text}");
    }

    #[test]
    fn sec_15_a_ceph_key_is_seen_wherever_it_stands() {
        for seed in 0..200 {
            let key = ceph_key(seed);
            assert!(key.len() == 40 && key.starts_with("AQ") && key.ends_with("=="));
            seen(&key);
            seen(&format!("client.admin\n\tkey = {key}\n\tcaps mon = \"allow *\""));
            seen(&format!("열쇠는 {key}입니다"));
            seen(&format!("key={key}, valid till May"));
        }
        // Even one that chance made look like words.
        seen(&format!("AQ{}==", "a".repeat(36)));
    }

    #[test]
    fn sec_15_a_private_key_is_seen() {
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            seen(&format!("old host key:\n-----BEGIN {kind}PRIVATE KEY-----\nMIIx\n"));
        }
        seen("-----BEGIN PGP PRIVATE KEY BLOCK-----");
        seen(r"-----BEGIN PRIVATE KEY-----\nMIIx\n-----END PRIVATE KEY-----");
        let_pass("-----BEGIN PUBLIC KEY-----\nMIIx\n-----END PUBLIC KEY-----");
        let_pass("----- BEGIN of the second room: its PRIVATE KEY cabinet is on the left -----");
    }

    #[test]
    fn sec_15_a_value_with_the_name_of_a_secret_is_seen() {
        for text in [
            "password=horse-17",
            "password = horse-17",
            "password: horse-17",
            "Password : horse-17",
            "Password (admin): horse-17",
            "**Password:** horse-17",
            "the passwords: horse-17 and horse-18",
            "OS_PASSWORD=horse-17",
            "export OS_PASSWORD='horse-17'",
            "admin_password: \"horse-17\"",
            "{\"password\": \"horse-17\"}",
            "{'password1':'horse-17'}",
            "password => horse-17",
            "dbPassword:=horse-17",
            "pw: horse-17",
            "pwd=horse-17",
            "db_pass=horse-17",
            "secret: horse-17",
            "client-secret: horse-17",
            "rgw.secret=horse-17",
            "API key: horse-17",
            "api_key=horse-17",
            "Secret access key: horse-17",
            "X-Auth-Token: horse-17",
            "token=horse-17",
            "passphrase: correct horse battery staple",
            "first line\nsecond: line\nsecret: horse-17",
            "비밀번호: horse-17",
            "비밀번호\u{ff1a}horse-17",
            "password=/horse-17",
            "관리자 비밀번호:horse-17",
            "암호 = horse-17",
            "https://portal.example/login?user=kim&password=horse-17",
            "rbd --password horse-17 ls",
            "amqp://stack:horse-17@10.0.0.5:5672//",
            "use \"postgres://ns:horse-17@db/ns\"",
        ] {
            seen(text);
        }
    }

    #[test]
    fn sec_15_what_is_said_about_secrets_passes() {
        for text in [
            "",
            "the password is in the vault",
            "password: see the vault",
            "Password: ask Kim, extension 4417",
            "secret: kept by the storage team",
            "password: ********",
            "password: <in the vault>",
            "password=${OS_PASSWORD}",
            "password: xxxxxx",
            "password:",
            "password: \"\"",
            "password: none.",
            "Passwords and tokens: rotated every 90 days",
            "secretary: Kim",
            "bypass: on, compass: north",
            "vault path secret://dr/seoul",
            "Token::new is called by the portal",
            "password_file: /etc/ns/password",
            "secret/ceph holds it",
            "token lifetime: 8h",
            "rbd --password-file /etc/ns/password ls",
            "http://10.10.1.5:5000",
            "https://[fd00::5]:5000/v3 for the account admin",
            "mail kim@example.com: key: left drawer",
            "비밀번호는 금고에 있습니다",
            "서울 1센터: 운영",
        ] {
            let_pass(text);
        }
    }

    #[test]
    fn sec_15_long_random_tokens_are_seen() {
        // Nearly all: some happen to look like a name, of the shortest three in a hundred.
        const EACH: u32 = 4_000;
        for length in [32, 40, 43] {
            let found = |encode: fn(&[u8]) -> String| {
                (0..EACH)
                    .filter(|seed| looks_like_a_secret(&format!("see {} there", &encode(&noise(*seed))[..length])))
                    .count()
            };
            let standard = found(|bytes| STANDARD_NO_PAD.encode(bytes));
            let url_safe = found(|bytes| URL_SAFE_NO_PAD.encode(bytes));
            let least = EACH as usize * if length == 32 { 960 } else { 985 } / 1000;
            assert!(
                standard >= least && url_safe >= least,
                "{length}: {standard} {url_safe}"
            );
        }
        seen(&STANDARD.encode(noise(1)));
        let json = format!(r#"{{"fsid":"{}","client_id":"rbd-mirror-peer"}}"#, uuid(1));
        seen(&format!("token from site B {}", STANDARD.encode(json)));
    }

    #[test]
    fn sec_15_ids_and_digests_pass() {
        for seed in 0..1_000 {
            let (uuid, digest) = (uuid(seed), hex(&noise(seed)));
            let_pass(&uuid);
            let_pass(&uuid.to_uppercase());
            let_pass(&format!("fsid = {uuid}"));
            let_pass(&format!("fsid: {}", uuid.replace('-', "")));
            let_pass(&format!("Volume-{uuid}"));
            let_pass(&format!("rbd:Volumes/volume-{uuid}_{}", uuid.to_uppercase()));
            let_pass(&format!(
                "sha256:{digest}, md5 {}, commit {}",
                &digest[..32],
                &digest[..40]
            ));
            let_pass(&digest.to_uppercase());
        }
    }

    #[test]
    fn sec_15_a_hostile_text_is_read_in_no_time() {
        for piece in [
            "pw:(",
            "a:",
            "--token ",
            "://",
            "://a:",
            "-----BEGIN ",
            "password",
            "a=(",
            "결:",
            "AQ",
            "Ab1",
        ] {
            let _ = looks_like_a_secret(&format!("{})", piece.repeat(50_000)));
        }
    }

    proptest! {
        #[test]
        fn sec_15_any_text_can_be_read(
            text in "(password|비밀번호|[\u{0}-\u{10ffff}]|[:=(\\[\"*/@ \u{ff1a}]|--token |://|AQ|-----BEGIN |[A-Za-z0-9]{20,40}){0,20}",
            word in "[a-z]{1,8}[0-9]{1,4}",
        ) {
            let _ = looks_like_a_secret(&text);
            let noted = format!("{text}\npassword={word}");
            prop_assert!(looks_like_a_secret(&noted));
        }
    }

    #[test]
    fn sec_15_names_paths_and_addresses_pass() {
        let public = STANDARD_NO_PAD.encode([&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &noise(7)].concat());
        for text in [
            "/var/lib/ceph/mon/ceph-Host01/keyring-2024-Backup",
            "https://portal.example.com/Projects/SeoulRecovery2024/Plans/Quarterly-Drill-03",
            "OpenStackHelmChartV2Release20240101ProdSeoulZoneA",
            "Site-A-Rack02-Host03-Vm04-Vm05-Vm06-Vm07-Vm08",
            "Rocky-9-GenericCloud-Base-9.4-20240509.0.x86_64.qcow2",
            "kubernetes-Deployment-Frontend-7d9f8c6b5-xk2lz",
            "mon host = [v2:192.168.10.11:3300,v1:192.168.10.11:6789]",
            "2024-05-09T10:11:12+09:00 .. 2024-05-10T10:11:12+09:00",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "==============================================",
            "AQ is no key, and AQIDBA== is too short for one",
            "결제 시스템 1차 복구 클러스터 (서울 → 부산), 담당: 김민수 02-555-0100",
        ] {
            let_pass(text);
        }
        let_pass(&format!("site B: ssh-ed25519 {public} root@ceph-b1"));
        let_pass(&format!(
            "its fingerprint is SHA256:{}",
            STANDARD_NO_PAD.encode(noise(8))
        ));
        seen(&format!("site B: {public}"));
    }
}
