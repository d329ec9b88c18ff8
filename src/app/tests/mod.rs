mod daemon;
mod privileges;
mod systemd;
