//! Licence keys, as somebody enters them: the whole key, and its first part as if it had been signed.
#![no_main]

use ns_core::license::{LicensePublicKey, claims, payload, verify};

fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = LicensePublicKey::from_bytes(&[7; 32]) {
        assert!(verify(&text, &[key]).is_err(), "a key that nobody has signed");
    }
    let first = text.split('.').next().unwrap_or_default();
    if let Ok(read) = claims(first) {
        let again = payload(&read).ok().and_then(|payload| claims(&payload).ok());
        assert_eq!(again, Some(read), "claims are read as they were written");
    }
}

ns_fuzz::target!(read);
