# What kedge is built and tested with, by Debian's package names.
DEPS_BUILD := gcc make pkg-config libc6-dev libgit2-dev libyaml-dev libcurl4-gnutls-dev \
	libinotifytools0-dev libevent-dev libmicrohttpd-dev libwslay-dev libjansson-dev \
	libsqlite3-dev libmnl-dev libnetfilter-conntrack-dev libseccomp-dev libcap-ng-dev \
	libarchive-dev libzstd-dev libgnutls28-dev nettle-dev libldns-dev
DEPS_RUN := iptables iproute2
DEPS_TEST := libcmocka-dev bats git curl perl jq openssh-server openssh-client conntrack procps \
	clang-format clang-tidy cppcheck

## make deps       installs what is missing with apt-get
deps:
	@missing=; for p in $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	command -v kubectl >/dev/null || missing="$$missing kubernetes-client"; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "deps: needs, by Debian's names:$$missing"; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi
