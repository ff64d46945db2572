//! The data directory: the store, the certificate and its key, the administrator's token.
//!
//! Each is made once, by `enroll` or `serve`, whichever comes first. A lock file prevents two processes from making
//! them at the same time; another prevents two servers from sharing one directory.

use crate::{
    credential,
    settings::ServiceUrl,
    store::{Store, StoreError},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const CERTIFICATE_HOST: &str = "certificate-host";

/// The directory given by `--data`.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Certificate and key that identify the server to agents.
pub(crate) struct Identity {
    /// The certificate in PEM.
    pub(crate) certificate_pem: String,
    /// Its private key in PEM.
    pub(crate) key_pem: String,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// A file operation failed.
    #[error("cannot {what} \"{}\"; is the data directory yours to write?", path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// Path of the file or directory.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// Neither a server nor an enrolment has used this directory yet.
    #[error("\"{}\" is no data directory of a collector yet; start one with \"pingtong serve\", or enroll an agent first", path.display())]
    Empty {
        /// Path of the directory.
        path: PathBuf,
    },
    /// Another server uses this directory.
    #[error("another \"pingtong serve\" uses \"{}\"; stop it, or give this one its own --data", path.display())]
    InUse {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The certificate names another host than the settings.
    #[error(
        "the certificate in \"{}\" was made for \"{made_for}\", the url says \"{wanted}\"; put the old host back, or delete certificate.pem and key.pem there and enroll every agent again",
        path.display()
    )]
    OtherHost {
        /// Path of the directory.
        path: PathBuf,
        /// The host that the certificate names.
        made_for: String,
        /// The host that the settings name.
        wanted: String,
    },
    /// The kernel returned no random numbers.
    #[error("cannot make a secret")]
    Random(#[source] getrandom::Error),
    /// No certificate can be made for this host.
    #[error("cannot make a certificate for \"{host}\"; set url to a host name or an address")]
    Certificate {
        /// Host of the URL in the settings.
        host: String,
        /// The error of the certificate generator.
        #[source]
        source: rcgen::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DataDir {
    /// Opens the directory; creates it with mode 0700 if needed.
    ///
    /// # Errors
    /// If the directory cannot be created.
    pub(crate) fn create(path: &Path) -> Result<Self, DataDirError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| DataDirError::Io {
            what: "make",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a directory that a server or an enrolment has made.
    ///
    /// # Errors
    /// [`DataDirError::Empty`] if it holds no certificate.
    pub(crate) fn existing(path: &Path) -> Result<Self, DataDirError> {
        let dir = Self { path: path.to_owned() };
        if dir.certificate_path().is_file() { Ok(dir) } else { Err(DataDirError::Empty { path: path.to_owned() }) }
    }

    /// Path of the SQLite file.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.path.join("pingtong.sqlite3")
    }

    /// Path of the certificate.
    pub(crate) fn certificate_path(&self) -> PathBuf {
        self.path.join("certificate.pem")
    }

    /// Reads the certificate.
    ///
    /// # Errors
    /// [`DataDirError::Io`] if the file cannot be read.
    pub(crate) fn certificate_pem(&self) -> Result<String, DataDirError> {
        self.read("certificate.pem")
    }

    /// Reads the administrator's token.
    ///
    /// # Errors
    /// [`DataDirError::Io`] if the file cannot be read.
    pub(crate) fn admin_token(&self) -> Result<SecretString, DataDirError> {
        Ok(SecretString::from(self.read("admin-token")?.trim()))
    }

    /// The certificate and its key for the host of `url`, and the administrator's token; makes those that are missing.
    ///
    /// # Errors
    /// If a file or the store cannot be read or written, the certificate or a secret cannot be made, or the certificate
    /// names another host.
    pub(crate) fn prepare(&self, store: &Store, url: &ServiceUrl) -> Result<(Identity, SecretString), DataDirError> {
        let lock = self.lock_file("make.lock")?;
        lock.lock().map_err(|source| self.io("lock", "make.lock", source))?;
        let (certificate, key, token) = ("certificate.pem", "key.pem", "admin-token");
        if !self.path.join(certificate).is_file() || !self.path.join(key).is_file() {
            let made = rcgen::generate_simple_self_signed([url.host().to_owned()])
                .map_err(|source| DataDirError::Certificate { host: url.host().to_owned(), source })?;
            // Record the host first: a certificate without its recorded host could not be distinguished from a wrong
            // one.
            store.set_word(CERTIFICATE_HOST, url.host())?;
            self.write(key, 0o600, &made.signing_key.serialize_pem())?;
            self.write(certificate, 0o644, &made.cert.pem())?;
        }
        if !self.path.join(token).is_file() {
            let secret = credential::generate().map_err(DataDirError::Random)?;
            self.write(token, 0o600, secret.expose_secret())?;
        }
        let made_for = store.word_or_insert(CERTIFICATE_HOST, url.host())?;
        if made_for != url.host() {
            let wanted = url.host().to_owned();
            return Err(DataDirError::OtherHost { path: self.path.clone(), made_for, wanted });
        }
        let identity = Identity { certificate_pem: self.read(certificate)?, key_pem: self.read(key)? };
        Ok((identity, self.admin_token()?))
    }

    /// Locks the directory for one server until the returned file is dropped.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] if another server holds the lock; [`DataDirError::Io`] if the lock file cannot be used.
    pub(crate) fn hold(&self) -> Result<File, DataDirError> {
        let file = self.lock_file("serve.lock")?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(self.io("lock", "serve.lock", source)),
        }
    }

    fn lock_file(&self, name: &str) -> Result<File, DataDirError> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.join(name))
            .map_err(|source| self.io("open", name, source))
    }

    fn read(&self, name: &str) -> Result<String, DataDirError> {
        std::fs::read_to_string(self.path.join(name)).map_err(|source| self.io("read", name, source))
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> Result<(), DataDirError> {
        write_whole(&self.path.join(name), mode, text).map_err(|source| self.io("write", name, source))
    }

    fn io(&self, what: &'static str, name: &str, source: io::Error) -> DataDirError {
        DataDirError::Io { what, path: self.path.join(name), source }
    }
}

/// Writes a file atomically: it exists whole or not at all, and it has `mode` from its first byte on.
pub(crate) fn write_whole(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn identity_is_made_once_and_belongs_to_one_host() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&place.path().join("data")).unwrap();
        let store = Store::open(&dir.store_path()).unwrap();
        let url = ServiceUrl::parse("https://127.0.0.1:7443").unwrap();
        let (first, token) = dir.prepare(&store, &url).unwrap();
        let (second, again) = dir.prepare(&store, &url).unwrap();
        assert_eq!((&first.certificate_pem, &first.key_pem), (&second.certificate_pem, &second.key_pem));
        assert!(credential::is(&token, again.expose_secret()));
        for name in ["key.pem", "admin-token"] {
            let mode = std::fs::metadata(place.path().join("data").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let other = ServiceUrl::parse("https://elsewhere:7443").unwrap();
        assert!(matches!(dir.prepare(&store, &other), Err(DataDirError::OtherHost { .. })));
    }

    #[test]
    fn two_servers_do_not_share_a_directory() {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::create(place.path()).unwrap();
        let held = dir.hold().unwrap();
        assert!(matches!(dir.hold(), Err(DataDirError::InUse { .. })));
        drop(held);
        dir.hold().unwrap();
    }
}
