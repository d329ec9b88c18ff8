//! Kubeconfig files with everything embedded.

use crate::pki::Pki;

/// How a kubeconfig proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// The server's bearer token.
    Token,
    /// A bearer token that the server doesn't know.
    WrongToken,
    /// A client certificate of the server's authority.
    ClientCertificate,
    /// A client certificate of an authority that the server doesn't know.
    WrongClientCertificate,
}

/// YAML of a kubeconfig with one cluster, one user and one context, all named `test`.
pub(crate) fn kubeconfig(
    server: &str,
    pki: Option<&Pki>,
    token: &str,
    credentials: Credentials,
) -> String {
    let authority = pki.map_or_else(String::new, |pki| {
        format!(
            "    certificate-authority-data: {}\n",
            base64(pki.ca.as_bytes())
        )
    });
    let user = match (credentials, pki) {
        (Credentials::Token, _) => format!("    token: {token}\n"),
        (Credentials::WrongToken, _) => format!("    token: not-{token}\n"),
        (Credentials::ClientCertificate, Some(pki)) => certificate(&pki.client),
        (Credentials::WrongClientCertificate, Some(pki)) => certificate(&pki.stranger),
        _ => String::new(),
    };
    let user = if user.is_empty() {
        "  user: {}\n".to_owned()
    } else {
        format!("  user:\n{user}")
    };
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: {server}\n{authority}\
         users:\n- name: test\n{user}contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n\
         current-context: test\n"
    )
}

fn certificate(identity: &crate::pki::Identity) -> String {
    let (certificate, key) = (
        base64(identity.certificate.as_bytes()),
        base64(identity.key.as_bytes()),
    );
    format!("    client-certificate-data: {certificate}\n    client-key-data: {key}\n")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let symbol = usize::try_from(group >> (18 - 6 * at) & 63).unwrap_or(0);
            out.push(if at <= chunk.len() {
                char::from(ALPHABET[symbol])
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_rfc_4648_says() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
