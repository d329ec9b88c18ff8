mod daemon;
mod explain;
mod privileges;
mod scrape;
mod systemd;
