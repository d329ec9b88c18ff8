mod daemon;
mod privileges;
mod scrape;
mod systemd;
