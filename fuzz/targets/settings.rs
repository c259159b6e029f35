//! Changes of settings, as JSON.
#![no_main]

use ns_core::Settings;
use ns_core::engine::SettingsUpdate;

fn read(bytes: &[u8]) {
    let Ok(update) = serde_json::from_slice::<SettingsUpdate>(bytes) else {
        return;
    };
    if let Ok(settings) = Settings::default().with(&update) {
        assert!(settings.check().is_ok(), "what was taken is in range");
        let told = SettingsUpdate::from(settings.clone());
        assert_eq!(
            Settings::try_from(told).ok(),
            Some(settings),
            "settings are read as they were written"
        );
    }
}

ns_fuzz::target!(read);
