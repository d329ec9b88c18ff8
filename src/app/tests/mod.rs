mod daemon;
mod drops;
mod explain;
mod policy_metrics;
mod privileges;
mod scrape;
mod systemd;
