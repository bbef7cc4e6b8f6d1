//! Addresses, and that no password of one is ever shown.

use super::*;

#[test]
fn addresses_are_understood_and_shown_without_a_password() {
    for (text, shown) in [
        ("sqlite://sekisho.db", "sqlite://sekisho.db"),
        ("sqlite:///var/lib/sekisho/sekisho.db", "sqlite:///var/lib/sekisho/sekisho.db"),
        ("sqlite://with space/ü%20.db", "sqlite://with space/ü%20.db"),
        ("postgres://ada:hunter2@db.example.com/state", "postgres://db.example.com:5432/state"),
        ("postgresql://ada:hunter2@db:6432/state?sslmode=verify-full", "postgres://db:6432/state"),
        ("postgres://ada:hunter%402%2F%23@[::1]/state", "postgres://[::1]:5432/state"),
        ("postgres:///state?host=/run/postgresql&user=ada", "postgres:///run/postgresql/state"),
        ("postgres://ada:hunter2@db", "postgres://db:5432/ada"),
    ] {
        let address: Address = text.parse().unwrap_or_else(|mistake| panic!("{text}: {mistake}"));
        assert_eq!(format!("{address} {address:?}"), format!("{shown} {shown}"), "{text}");
    }
}

#[test]
fn what_is_no_address_is_told_without_repeating_it() {
    for (text, expected) in [
        ("", "must be `sqlite://FILE`"),
        ("sqlite://", "must be `sqlite://FILE`"),
        ("sqlite://folder/", "must be `sqlite://FILE`"),
        ("postgres://", "must be `sqlite://FILE`"),
        ("mysql://ada:hunter2@db/state", "must be `sqlite://FILE`"),
        ("sqlite:sekisho.db", "must be `sqlite://FILE`"),
        ("sqlite://:memory:", "more than the path of a file"),
        ("sqlite://a.db?mode=memory", "more than the path of a file"),
        ("postgres://ada:hunter2@db:port/state", "is not a URL: invalid port number"),
        ("postgres://ada:hun/ter2@db/state", "is not a URL: invalid port number"),
        ("postgres://ada:12/hunter2@db/state", "`%2F`"),
        ("postgres://ada:12/hunter2@db", "`%2F`"),
        ("postgres://ada:hunter2@db/state#hunter2", "`%23`"),
        ("postgres://ada@db/state?passwrod=hunter2", "a parameter that is not known here; known are sslmode"),
        ("postgres://ada@db/state?password=hunter2", "a parameter that is not known here"),
        ("postgres://ada@db/state?sslmode=hunter2", "a value that cannot be used"),
        ("postgres://ada@db/state?port=hunter2", "a value that cannot be used"),
        ("postgres://ada:hunter2%ff@db/state", "a value that cannot be used"),
    ] {
        let told = text.parse::<Address>().unwrap_err().to_string();
        assert!(told.contains(expected), "{text}: {told}");
        assert!(!told.contains("hunter2") && !told.contains("ter2"), "{told}");
    }
}
