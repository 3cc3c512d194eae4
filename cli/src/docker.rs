//! Where Docker's client keeps trust data, and which server it asks.

use std::path::PathBuf;

use crate::{
    config::{ConfigError, Surroundings},
    environment::Environment,
    server::without_user,
};

/// What Docker's client goes by.
#[derive(Debug)]
pub struct Docker {
    directory: PathBuf,
    server: Option<String>,
}

/// Files by which a server is known, and oneself to it; those that are there.
#[derive(Debug, Default)]
pub struct Tls {
    /// Its authority.
    pub ca: Option<PathBuf>,
    /// A certificate of one's own.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
}

impl Docker {
    /// The client's directory and server, if it is meant.
    ///
    /// # Errors
    /// [`ConfigError::NoDocker`].
    pub fn of(surroundings: Surroundings, environment: &Environment) -> Result<Option<Self>, ConfigError> {
        match surroundings {
            Surroundings::Notarys => Ok(None),
            Surroundings::Dockers => {
                let directory = environment.docker().ok_or(ConfigError::NoDocker)?;
                let server = environment.value("DOCKER_CONTENT_TRUST_SERVER");
                let server = server.map(|url| url.to_string_lossy().into_owned());
                Ok(Some(Self { directory, server }))
            }
        }
    }

    /// Keys and metadata.
    #[must_use]
    pub fn trust_dir(&self) -> PathBuf {
        self.directory.join("trust")
    }

    /// The server that the variable names.
    ///
    /// # Errors
    /// [`ConfigError::DockerServer`]: as Docker's client, by https only.
    pub fn server(&self) -> Result<Option<String>, ConfigError> {
        match &self.server {
            Some(url) if !url.starts_with("https://") => Err(ConfigError::DockerServer { url: without_user(url) }),
            server => Ok(server.clone()),
        }
    }

    /// What lies in `tls/HOST:PORT` for a server.
    #[must_use]
    pub fn tls(&self, url: &str) -> Tls {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or_default();
        let folder = self.directory.join("tls").join(host);
        // a host is one name, whatever the URL says
        let is_host = !host.is_empty() && host != "." && host != "..";
        let there = |name: &str| Some(folder.join(name)).filter(|path| is_host && path.is_file());
        Tls { ca: there("ca.crt"), client_cert: there("client.cert"), client_key: there("client.key") }
    }
}
