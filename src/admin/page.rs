//! The live page: its files, which are part of the binary, and the headers they go out with. Nothing on it
//! comes from anywhere else.

use axum::http::{HeaderName, HeaderValue, header};

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// Where it is asked for.
    pub(super) path: &'static str,
    /// What it is.
    pub(super) kind: &'static str,
    /// What is in it.
    pub(super) text: &'static str,
}

macro_rules! files {
    ($($path:literal, $name:literal, $kind:literal;)+) => {
        /// All files of the page.
        pub(super) const FILES: &[File] = &[$(File {
            path: $path,
            kind: $kind,
            text: include_str!(concat!("page/", $name)),
        },)+];
    };
}

files! {
    "/", "index.html", "text/html; charset=utf-8";
    "/page.css", "page.css", "text/css; charset=utf-8";
    "/theme.js", "theme.js", "text/javascript; charset=utf-8";
    "/page.js", "page.js", "text/javascript; charset=utf-8";
    "/make.js", "make.js", "text/javascript; charset=utf-8";
    "/graphs.js", "graphs.js", "text/javascript; charset=utf-8";
    "/topology.js", "topology.js", "text/javascript; charset=utf-8";
    "/tables.js", "tables.js", "text/javascript; charset=utf-8";
    "/icon.svg", "icon.svg", "image/svg+xml";
}

/// What every answer but those of the open pages carries: it runs only what the page's own files hold, shows in
/// no frame, and is kept nowhere.
pub(super) const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let all: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(all < 100_000, "{all} bytes");
        for File { path, text, .. } in FILES {
            for link in ["http:", "https:", "//cdn", "@import", "eval(", "innerHTML"] {
                let namespace = link == "http:" && *path == "/icon.svg";
                assert!(namespace || !text.contains(link), "{path}: {link}");
            }
        }
        // Each file that another one names is there.
        for File { path, text, .. } in FILES {
            for part in text.split(['"', '\'']) {
                let names = part.strip_prefix('.').unwrap_or(part);
                let is_file = [".js", ".css", ".svg"].iter().any(|it| names.ends_with(it));
                if names.starts_with('/') && is_file {
                    assert!(
                        FILES.iter().any(|file| file.path == names),
                        "{path}: {names}"
                    );
                }
            }
        }
    }
}
