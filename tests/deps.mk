# What kedge is built and tested with, by Debian's package names.
DEPS_BUILD := gcc make pkg-config libc6-dev libgit2-dev libyaml-dev libcurl4-gnutls-dev \
	libinotifytools0-dev libevent-dev libmicrohttpd-dev libwslay-dev libjansson-dev \
	libsqlite3-dev libmnl-dev libnetfilter-conntrack-dev libseccomp-dev libcap-ng-dev \
	libarchive-dev libisal-dev zlib1g-dev libzstd-dev libgnutls28-dev nettle-dev libldns-dev
DEPS_RUN := iptables iproute2
DEPS_DEMO := git curl jq
DEPS_TEST := libcmocka-dev bats nftables perl socat busybox-static zstd skopeo umoci buildah docker-registry openssl openssh-server openssh-client conntrack procps bind9-dnsutils python3-kubernetes \
	clang-format clang-tidy cppcheck

## make deps       installs what is missing with apt-get
deps:
	@tests/install $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_DEMO) $(DEPS_TEST) $(if $(shell command -v kubectl),,kubernetes-client)
demo-deps:
	@tests/install $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_DEMO)
