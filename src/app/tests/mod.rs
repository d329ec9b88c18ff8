mod daemon;
mod drops;
mod explain;
mod privileges;
mod scrape;
mod systemd;
