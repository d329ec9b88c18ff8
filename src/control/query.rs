//! Path and query of a request as a question. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use super::PAGE;
use super::view::Table;
use crate::net::{Prefix, host_prefix};

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    Neighbors {
        peer: Option<IpAddr>,
        after: Option<IpAddr>,
    },
    Rib {
        table: Table,
        peer: Option<IpAddr>,
        prefix: Option<Prefix>,
        after: Option<Prefix>,
        limit: usize,
    },
    /// An address stands for the longest prefix with a path that contains it.
    Explain { prefix: Prefix, is_address: bool },
}

/// A request that asks nothing we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    #[error("no such page: /v1/bgp/neighbors, /v1/bgp/rib and /v1/bgp/explain are there")]
    Path,
    #[error("{0}: no such parameter here")]
    Parameter(String),
    #[error("{0}: given twice")]
    Twice(&'static str),
    #[error("{parameter}={value}: expected {expected}")]
    Value {
        parameter: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("prefix: missing")]
    NoPrefix,
}

/// The parameters, each at most once.
#[derive(Debug, Default)]
struct Parameters<'a> {
    peer: Option<&'a str>,
    prefix: Option<&'a str>,
    table: Option<&'a str>,
    after: Option<&'a str>,
    limit: Option<&'a str>,
}

// === impl Query ===

impl Query {
    /// What `path` with `query` asks.
    ///
    /// # Errors
    /// What makes no sense in it.
    pub fn parse(path: &str, query: Option<&str>) -> Result<Self, BadQuery> {
        match path {
            "/v1/bgp/neighbors" => {
                let given = Parameters::parse(query, &["peer", "after"])?;
                Ok(Self::Neighbors {
                    peer: value("peer", given.peer, "an address")?,
                    after: value("after", given.after, "an address")?,
                })
            }
            "/v1/bgp/rib" => {
                let known = ["table", "peer", "prefix", "after", "limit"];
                let given = Parameters::parse(query, &known)?;
                Ok(Self::Rib {
                    table: given.table()?,
                    peer: value("peer", given.peer, "an address")?,
                    prefix: prefix("prefix", given.prefix)?,
                    after: prefix("after", given.after)?,
                    limit: given.limit()?,
                })
            }
            "/v1/bgp/explain" => {
                let given = Parameters::parse(query, &["prefix"])?;
                let text = given.prefix.ok_or(BadQuery::NoPrefix)?;
                if let Ok(address) = text.parse() {
                    return Ok(Self::Explain {
                        prefix: host_prefix(address),
                        is_address: true,
                    });
                }
                let prefix = prefix("prefix", Some(text))?.ok_or(BadQuery::NoPrefix)?;
                Ok(Self::Explain {
                    prefix,
                    is_address: false,
                })
            }
            _ => Err(BadQuery::Path),
        }
    }

    /// The request's path with its query; [`Query::parse`] reads it back.
    #[must_use]
    pub fn target(&self) -> String {
        let (path, given) = match self {
            Self::Neighbors { peer, after } => {
                let given = vec![pair("peer", peer.as_ref()), pair("after", after.as_ref())];
                ("/v1/bgp/neighbors", given)
            }
            Self::Rib {
                table,
                peer,
                prefix,
                after,
                limit,
            } => {
                let given = vec![
                    Some(format!("table={}", word(*table))),
                    pair("peer", peer.as_ref()),
                    pair("prefix", prefix.as_ref()),
                    pair("after", after.as_ref()),
                    Some(format!("limit={limit}")),
                ];
                ("/v1/bgp/rib", given)
            }
            Self::Explain { prefix, is_address } => {
                let prefix = match is_address {
                    true => prefix.addr().to_string(),
                    false => prefix.to_string(),
                };
                ("/v1/bgp/explain", vec![pair("prefix", Some(&prefix))])
            }
        };
        let given: Vec<String> = given.into_iter().flatten().collect();
        match given.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", given.join("&")),
        }
    }
}

fn pair(name: &str, value: Option<&impl ToString>) -> Option<String> {
    value.map(|value| format!("{name}={}", value.to_string()))
}

fn word(table: Table) -> &'static str {
    match table {
        Table::Loc => "loc",
        Table::In => "in",
        Table::Out => "out",
    }
}

// === impl Parameters ===

impl<'a> Parameters<'a> {
    fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Self, BadQuery> {
        let mut given = Self::default();
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unknown = || BadQuery::Parameter(name.to_owned());
            if !known.contains(&name) {
                return Err(unknown());
            }
            let (name, place) = match name {
                "peer" => ("peer", &mut given.peer),
                "prefix" => ("prefix", &mut given.prefix),
                "table" => ("table", &mut given.table),
                "after" => ("after", &mut given.after),
                "limit" => ("limit", &mut given.limit),
                _ => return Err(unknown()),
            };
            if place.replace(value).is_some() {
                return Err(BadQuery::Twice(name));
            }
        }
        Ok(given)
    }

    fn table(&self) -> Result<Table, BadQuery> {
        match self.table {
            None | Some("loc") => Ok(Table::Loc),
            Some("in") => Ok(Table::In),
            Some("out") => Ok(Table::Out),
            Some(other) => Err(BadQuery::Value {
                parameter: "table",
                value: other.to_owned(),
                expected: "loc, in or out",
            }),
        }
    }

    fn limit(&self) -> Result<usize, BadQuery> {
        let limit: Option<usize> = value("limit", self.limit, "a number")?;
        Ok(limit.unwrap_or(PAGE).clamp(1, PAGE))
    }
}

fn value<T: FromStr>(
    parameter: &'static str,
    text: Option<&str>,
    expected: &'static str,
) -> Result<Option<T>, BadQuery> {
    let parse = |text: &str| {
        text.parse().map_err(|_| BadQuery::Value {
            parameter,
            value: text.to_owned(),
            expected,
        })
    };
    text.map(parse).transpose()
}

fn prefix(parameter: &'static str, text: Option<&str>) -> Result<Option<Prefix>, BadQuery> {
    let prefix: Option<Prefix> = value(parameter, text, "a prefix such as 10.0.0.0/8")?;
    Ok(prefix.map(|prefix| prefix.trunc()))
}
