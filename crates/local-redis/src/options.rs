//! How a server is started.

use std::path::Path;

/// How a server is started: without persistence and without a password, unless something else is said.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    append_only: bool,
    password: Option<String>,
    arguments: Vec<String>,
}

impl RedisOptions {
    /// Writes every command to disk before it is answered, so that [`RedisServer::kill`](crate::RedisServer::kill) loses nothing.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Asks for a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds an option of `redis-server`, as in `("--maxmemory", "5mb")`.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn command_line(&self, port: u16, directory: &Path) -> Vec<String> {
        let mut line: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"].map(String::from).into();
        line.extend(["--port".into(), port.to_string(), "--dir".into(), directory.display().to_string()]);
        if self.append_only {
            line.extend(["--appendonly", "yes", "--appendfsync", "always"].map(String::from));
        }
        if let Some(password) = &self.password {
            line.extend(["--requirepass".to_owned(), password.clone()]);
        }
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// The address of a server on this port.
    pub(crate) fn address(&self, port: u16) -> String {
        let credentials = self.password.as_ref().map(|word| format!(":{word}@")).unwrap_or_default();
        format!("redis://{credentials}127.0.0.1:{port}")
    }

    /// What a fresh connection says to get in.
    pub(crate) fn greeting(&self) -> String {
        self.password.as_ref().map(|word| format!("AUTH {word}\r\n")).unwrap_or_default()
    }
}
