# Entry points for people, packagers and CI. The work itself is done by cargo,
# debhelper and the scripts in tests/lab.
#
#   make            build the program
#   make demo       three nodes, a client and Services, live in a VM (Debian, as root)
#   make test       every test, on this host, in namespaces and in a VM (Debian, as root)
#   make bench      the benches; those of the kernel need root
#   make deb        build and check the Debian package, into dist/
#   make install    DESTDIR= PREFIX=
#   make tools      install what the targets above need, by apt-get (as root)

SHELL = /bin/bash
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(LIBDIR)/systemd/system
# The program to install; "make install" does not compile.
PROGRAM ?= target/release/kube-router
INSTALL = install -p

.PHONY: build demo test bench deb tools install install-files install-units clean

build:
	$(CARGO) build --release --locked --bin kube-router

demo: tools
	tests/lab/demo

test: tools
	tests/lab/all

bench:
	$(CARGO) bench --locked

deb:
	tests/lab/build-deb

tools:
	tests/lab/install-tools

install: install-files install-units

# Everything but units, users and their like, which debhelper installs by its own rules.
install-files:
	@test -x $(PROGRAM) || { echo "$(PROGRAM) is missing: run make first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(PROGRAM) $(DESTDIR)$(SBINDIR)/kube-router
	$(INSTALL) -d $(DESTDIR)$(SYSCONFDIR)/kube-router/config.d
	$(INSTALL) -D -m 644 etc/config.toml $(DESTDIR)$(SYSCONFDIR)/kube-router/config.toml
	$(INSTALL) -D -m 644 cni/10-kuberouter.conflist \
		$(DESTDIR)$(SYSCONFDIR)/cni/net.d/10-kuberouter.conflist
	$(INSTALL) -D -m 644 systemd/kube-router.modules \
		$(DESTDIR)$(LIBDIR)/modules-load.d/kube-router.conf
	$(INSTALL) -D -m 644 systemd/kube-router.networkd.conf \
		$(DESTDIR)$(LIBDIR)/systemd/networkd.conf.d/kube-router.conf
	for kind in protos tables; do \
		$(INSTALL) -D -m 644 etc/rt_$$kind.d/kube-router.conf \
			$(DESTDIR)$(SYSCONFDIR)/iproute2/rt_$$kind.d/kube-router.conf || exit; \
	done
	$(INSTALL) -D -m 644 etc/rbac.yaml $(DESTDIR)$(DATADIR)/kube-router/rbac.yaml
	$(INSTALL) -d $(DESTDIR)$(DATADIR)/man/man{5,8} $(DESTDIR)$(DATADIR)/zsh/vendor-completions \
		$(DESTDIR)$(DATADIR)/bash-completion/completions $(DESTDIR)$(DATADIR)/fish/vendor_completions.d
	$(PROGRAM) man kube-router.8 >$(DESTDIR)$(DATADIR)/man/man8/kube-router.8
	$(PROGRAM) man kube-router.toml.5 >$(DESTDIR)$(DATADIR)/man/man5/kube-router.toml.5
	$(PROGRAM) completion bash >$(DESTDIR)$(DATADIR)/bash-completion/completions/kube-router
	$(PROGRAM) completion zsh >$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_kube-router
	$(PROGRAM) completion fish >$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/kube-router.fish

install-units:
	$(INSTALL) -D -m 644 systemd/kube-router.service $(DESTDIR)$(UNITDIR)/kube-router.service
	sed -i 's|/usr/sbin/kube-router|$(SBINDIR)/kube-router|' $(DESTDIR)$(UNITDIR)/kube-router.service
	$(INSTALL) -D -m 644 systemd/kube-router.sysusers $(DESTDIR)$(LIBDIR)/sysusers.d/kube-router.conf
	$(INSTALL) -D -m 644 systemd/kube-router.tmpfiles $(DESTDIR)$(LIBDIR)/tmpfiles.d/kube-router.conf

clean:
	$(CARGO) clean
	rm -rf dist
