//! Addresses as people write them.

use std::net::{Ipv4Addr, SocketAddr};

/// Of an address to listen at or to ask: an IP address and a port; `localhost:PORT`, which is this
/// machine alone; `:PORT`, which is every IPv4 address of this machine.
///
/// # Errors
/// In words. Other names are not looked up: what they stand for may change, and a listener would
/// not follow.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let malformed = "must be an address such as 127.0.0.1:50051, localhost:50051 or :50051";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or(malformed)?;
    let port: u16 = port.parse().map_err(|_| malformed)?;
    let ip = match host {
        "" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        _ => return Err(malformed.to_owned()),
    };
    Ok(SocketAddr::new(ip.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, read) in [
            ("127.0.0.1:50051", "127.0.0.1:50051"),
            ("[::1]:50051", "[::1]:50051"),
            ("localhost:50051", "127.0.0.1:50051"),
            (":50051", "0.0.0.0:50051"),
            (":0", "0.0.0.0:0"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), read);
        }
        for text in [
            "",
            "50051",
            "localhost",
            "localhost:",
            ":65536",
            "belay.example.com:50051",
            "::1:50051",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }
}
