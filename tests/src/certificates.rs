//! Certificates of authorities that live as long as a test.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use belay_client::RequestId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};

/// An authority of a test's own.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certified {
    pub certificate: String,
    pub key: String,
    serial: SerialNumber,
}

/// For numbers that no two certificates share.
static NUMBER: AtomicU64 = AtomicU64::new(1);

fn next_number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let name = format!("authority {}", next_number());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server with these names and addresses.
    pub fn server(&self, names: &[&str]) -> Certified {
        self.certify(names, ExtendedKeyUsagePurpose::ServerAuth, 2040)
    }

    /// For a server, until the beginning of this year.
    pub fn server_until(&self, names: &[&str], year: i32) -> Certified {
        self.certify(names, ExtendedKeyUsagePurpose::ServerAuth, year)
    }

    /// For a client with these names: SPIFFE ids, or DNS names.
    pub fn client(&self, names: &[&str]) -> Certified {
        self.certify(names, ExtendedKeyUsagePurpose::ClientAuth, 2040)
    }

    fn certify(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, until: i32) -> Certified {
        let mut params = CertificateParams::new(Vec::new()).expect("no names yet");
        params.subject_alt_names = names.iter().map(|name| subject(name)).collect();
        params
            .distinguished_name
            .push(DnType::CommonName, "a test's");
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let serial = SerialNumber::from(next_number());
        params.serial_number = Some(serial.clone());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("it is signed");
        Certified {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A list of those that are revoked, in PEM.
    pub fn revocations(&self, revoked: &[&Certified]) -> String {
        self.revocations_until(revoked, 2040)
    }

    /// The same, to be followed by the next at the beginning of this year.
    pub fn revocations_until(&self, revoked: &[&Certified], year: i32) -> String {
        let revoked = revoked.iter().map(|certified| RevokedCertParams {
            serial_number: certified.serial.clone(),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(next_number()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.0).expect("it is signed");
        list.pem().expect("PEM")
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn subject(name: &str) -> SanType {
    if let Ok(address) = name.parse::<IpAddr>() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(name.try_into().expect("ASCII"))
    } else {
        SanType::DnsName(name.try_into().expect("ASCII"))
    }
}

/// A folder of files that goes with the test.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("belay-files-{}", RequestId::mint()));
        std::fs::create_dir(&folder).expect("a folder of one's own");
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, in one step for who reads it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let next = self.path(&format!("{name}.next"));
        std::fs::write(&next, text).expect("a file");
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&next, own).expect("it is this user's");
        std::fs::rename(&next, &path).expect("a file");
        path
    }

    /// The certificate and the key of one, as two files.
    pub fn certified(&self, name: &str, certified: &Certified) -> (PathBuf, PathBuf) {
        (
            self.write(&format!("{name}.pem"), &certified.certificate),
            self.write(&format!("{name}.key"), &certified.key),
        )
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path as an argument.
pub fn argument(path: &Path) -> &str {
    path.to_str().expect("Unicode")
}
